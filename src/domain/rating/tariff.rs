//! By what use of a meter is billed: a product that sells it, or features whose overage the plan charges. What draws on a
//! wallet is charged when it is used, by the customer's account.

use super::destination::Destination;
use super::line::Terms;
use super::percent::Percent;
use crate::domain::catalog::{
    Catalog, Charge, EntitlementSpec, FeatureKind, Filter, Interval, Limit, MeteredSpec, OnLimit,
    Plan, Pricing, Product,
};
use crate::domain::id::{FeatureId, MeterId, ProductId};
use crate::domain::quantity::Milli;
use crate::domain::rights::Rights;
use crate::domain::window::Window;

/// What a customer has, or a plan by itself.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The catalog that the plan is of.
    pub catalog: &'a Catalog,
    /// The plan; `None`: there is none.
    pub plan: Option<&'a Plan>,
    /// The customer's rights, which overrides may have changed; `None`: those of the plan.
    pub rights: Option<&'a Rights>,
    /// What its volume takes off.
    pub discount: Percent,
}

/// How a part of a meter's use is billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Who charges it.
    pub seller: Seller,
    /// The part of the meter.
    pub filter: Filter,
    /// What is not charged; `None`: use is charged from the first unit.
    pub included: Option<Included>,
    /// What units cost.
    pub pricing: Pricing,
    /// What changes that for the customer.
    pub terms: Terms,
    /// Where what is charged ends up.
    pub destination: Destination,
}

/// Who charges use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seller {
    /// A product.
    Product(ProductId),
    /// The plan, for a feature.
    Feature(FeatureId),
}

/// What is included in each window of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Included {
    /// How much.
    pub amount: Milli,
    /// In which window.
    pub window: Window,
}

impl Included {
    /// Whether its window holds a whole billing period at least, so that one window tells all of it.
    #[must_use]
    pub const fn spans(&self, interval: Interval) -> bool {
        match self.window {
            Window::BillingPeriod | Window::Lifetime => true,
            Window::Month => matches!(interval, Interval::Month),
            Window::Hour | Window::Day | Window::Week | Window::Rolling(_) => false,
        }
    }

    /// Whether its windows follow one another, so that use of the past can be told apart by them.
    #[must_use]
    pub const fn steps(&self) -> bool {
        match self.window {
            Window::Hour | Window::Day | Window::Week | Window::Month | Window::BillingPeriod => {
                true
            }
            Window::Lifetime | Window::Rolling(_) => false,
        }
    }
}

/// Returns the limit that overage counts against: one that lets use go beyond it before one that blocks; of those that
/// are alike, the one with the longest window. `None`: no limit has an amount.
#[must_use]
pub fn overage_limit(limits: &[Limit]) -> Option<&Limit> {
    let rank = |limit: &&Limit| {
        let is_open = match limit.on_limit {
            OnLimit::Allow | OnLimit::AllowUpTo(_) => true,
            OnLimit::Block => false,
        };
        let length = match limit.window {
            Window::Rolling(length) => (0, length.as_micros()),
            Window::Hour => (1, 0),
            Window::Day => (2, 0),
            Window::Week => (3, 0),
            Window::Month => (4, 0),
            Window::BillingPeriod => (5, 0),
            Window::Lifetime => (6, 0),
        };
        (is_open, length)
    };
    let finite = limits.iter().filter(|limit| limit.amount.is_some());
    finite.max_by_key(rank)
}

impl Offer<'_> {
    /// Returns how use of a meter is billed, part by part. One event is of one part at most; what is of none is included,
    /// unless it draws on a wallet.
    #[must_use]
    pub fn tariffs(&self, meter: &MeterId) -> Vec<Tariff> {
        if let Some(sold) = self.sold(meter) {
            return vec![sold];
        }
        let granted = self.granted().into_iter();
        let charged = granted.filter_map(|(feature, spec)| {
            let charge = spec.charge.as_ref().or_else(|| self.plan_charge(feature))?;
            self.charged(meter, feature, spec, charge)
        });
        charged.collect()
    }

    fn sold(&self, meter: &MeterId) -> Option<Tariff> {
        let products = self.catalog.products.values();
        products.into_iter().find_map(|product| match product {
            Product::Usage {
                id,
                meter: sold,
                pricing,
                minimum_micros,
                ..
            } if sold == meter => Some(Tariff {
                seller: Seller::Product(id.clone()),
                filter: Filter::default(),
                included: None,
                pricing: pricing.clone(),
                terms: Terms {
                    discount: self.discount,
                    minimum_micros: *minimum_micros,
                },
                destination: self.billed(meter),
            }),
            Product::Usage { .. } | Product::Outcome { .. } | Product::CreditPack(_) => None,
        })
    }

    fn billed(&self, meter: &MeterId) -> Destination {
        Destination::billed(self.catalog.meters.get(meter).map(AsRef::as_ref))
    }

    /// Returns the metered features that are granted.
    fn granted(&self) -> Vec<(&FeatureId, &MeteredSpec)> {
        if let Some(rights) = self.rights {
            let rights = rights.all().iter();
            let granted = rights.map(|right| (&right.feature.id, &right.spec));
            return granted.filter_map(metered).collect();
        }
        let entitlements = self.plan.iter().flat_map(|plan| &plan.entitlements);
        entitlements.filter_map(metered).collect()
    }

    /// Returns how the plan charges a feature. An override sets other limits and says nothing about prices.
    fn plan_charge<'s>(&'s self, feature: &'s FeatureId) -> Option<&'s Charge> {
        let (_, spec) = metered((feature, self.plan?.entitlements.get(feature)?))?;
        spec.charge.as_ref()
    }

    fn charged(
        &self,
        meter: &MeterId,
        feature: &FeatureId,
        spec: &MeteredSpec,
        charge: &Charge,
    ) -> Option<Tariff> {
        let filter = match &self.catalog.features.get(feature)?.kind {
            FeatureKind::Metered { meter: on, filter } if on == meter => filter.clone(),
            FeatureKind::Metered { .. }
            | FeatureKind::Boolean
            | FeatureKind::Static
            | FeatureKind::Allocation
            | FeatureKind::Concurrency
            | FeatureKind::Rate => return None,
        };
        let pricing = match charge {
            Charge::Overage(pricing) => pricing,
            Charge::Wallet { .. } => return None,
        };
        // What no limit ends is all included.
        let limit = overage_limit(&spec.limits)?;
        let included = Included {
            amount: Milli::from_units_saturating(limit.amount?),
            window: limit.window,
        };
        Some(Tariff {
            seller: Seller::Feature(feature.clone()),
            filter,
            included: Some(included),
            pricing: pricing.clone(),
            terms: Terms {
                discount: self.discount,
                minimum_micros: 0,
            },
            destination: self.billed(meter),
        })
    }
}

fn metered<'a>(
    (feature, spec): (&'a FeatureId, &'a EntitlementSpec),
) -> Option<(&'a FeatureId, &'a MeteredSpec)> {
    match spec {
        EntitlementSpec::Metered(spec) => Some((feature, spec)),
        EntitlementSpec::Boolean(_)
        | EntitlementSpec::Static(_)
        | EntitlementSpec::Allocation(_)
        | EntitlementSpec::Concurrency(_)
        | EntitlementSpec::Rate(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Mode;

    #[test]
    fn overage_counts_against_the_longest_limit_that_lets_use_go_beyond() {
        let limit = |window: &str, amount, on_limit| Limit {
            amount,
            window: window.parse().unwrap(),
            on_limit,
            mode: Mode::Enforce,
        };
        let chosen = |limits: &[Limit]| overage_limit(limits).map(|limit| limit.window.to_string());
        let (block, allow, some) = (OnLimit::Block, OnLimit::Allow, Some(5));
        let month = limit("month", some, allow);
        let blocking = limit("billing_period", some, block);
        let day = limit("day", some, OnLimit::AllowUpTo(1));
        let rolling = limit("5h", some, allow);
        let endless = limit("lifetime", None, allow);
        let all = [
            rolling.clone(),
            day,
            blocking.clone(),
            month,
            endless.clone(),
        ];
        assert_eq!(chosen(&all).as_deref(), Some("month"));
        assert_eq!(
            chosen(&[limit("day", some, block), blocking]).as_deref(),
            Some("billing_period")
        );
        assert_eq!(chosen(&[rolling]).as_deref(), Some("5h"));
        assert_eq!(chosen(&[endless]), None);
        assert_eq!(chosen(&[]), None);
    }
}
