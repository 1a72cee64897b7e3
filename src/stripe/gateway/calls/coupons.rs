//! Coupons.

use stripe_product::coupon::{CreateCoupon, CreateCouponAppliesTo, RetrieveCoupon};
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::Coupon;
use super::super::page::{set_if_any, set_if_some};
use super::super::shape::{Metadata, unordered};

/// A discount to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCoupon {
    /// The id it shall have; `None`: Stripe makes one.
    pub id: Option<String>,
    /// What customers read, at most 40 characters.
    pub name: Option<String>,
    /// How much less.
    pub off: Off,
    /// For how long.
    pub duration: CouponDuration,
    /// The ids of the products that it reduces; empty: all. What is metered stays billed in full
    /// when only what is licensed is named.
    pub products: Vec<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// How much less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// Hundredths of a percent, 1 to 10000.
    HundredthsOfPercent(u16),
    /// Cents.
    Cents(i64),
}

/// For how long a coupon reduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CouponDuration {
    /// As long as the subscription lives.
    Forever,
    /// One invoice.
    Once,
    /// So many months.
    Months(i64),
}

impl Gateway {
    /// Creates a discount.
    pub async fn create_coupon(&self, new: &NewCoupon, key: &str) -> Answer<Coupon> {
        let mut request = CreateCoupon::new();
        request = match new.off {
            Off::HundredthsOfPercent(hundredths) => {
                request.percent_off(f64::from(hundredths) / 100.0)
            }
            Off::Cents(cents) => request.amount_off(cents).currency(Currency::USD),
        };
        request = match new.duration {
            CouponDuration::Forever => request.duration(stripe_shared::CouponDuration::Forever),
            CouponDuration::Once => request.duration(stripe_shared::CouponDuration::Once),
            CouponDuration::Months(months) => request
                .duration(stripe_shared::CouponDuration::Repeating)
                .duration_in_months(months),
        };
        if !new.products.is_empty() {
            let mut applies_to = CreateCouponAppliesTo::new();
            applies_to.products = Some(new.products.clone());
            request = request.applies_to(applies_to);
        }
        set_if_some!(request, id = &new.id, name = &new.name);
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Returns a discount, with what it reduces.
    pub async fn retrieve_coupon(&self, id: &str) -> Answer<Coupon> {
        let request = RetrieveCoupon::new(id).expand(vec!["applies_to".to_owned()]);
        self.read(&request).await
    }
}
