//! Prices.

use stripe_product::price::{
    CreatePrice, CreatePriceRecurring, CreatePriceRecurringUsageType, CreatePriceTiers,
    CreatePriceTiersUpTo, CreatePriceTransformQuantity, CreatePriceTransformQuantityRound,
    ListPrice, RetrievePrice, UpdatePrice,
};
use stripe_shared::{PriceBillingScheme, PriceTiersMode};
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::Price;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};
use super::terms::{Interval, word};

/// A price to be created. Its amounts stay as they are for good; another price replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrice {
    /// What it is the price of.
    pub product: String,
    /// The name that stays when another price takes its place. It is taken from the price that has
    /// it.
    pub lookup_key: Option<String>,
    /// What people who work with prices read.
    pub nickname: Option<String>,
    /// What is charged.
    pub charge: Charge,
    /// How often; `None`: once.
    pub recurrence: Option<Recurrence>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// What is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charge {
    /// Whole cents per unit.
    Cents(i64),
    /// Cents per unit as a decimal with at most 12 places.
    Decimal(String),
    /// Cents, as a decimal, for each begun or full number of units.
    Package {
        /// The cents.
        cents: String,
        /// The number of units.
        divide_by: i64,
        /// What a begun package is.
        round: Step,
    },
    /// Each unit at the price of the tier that it lies in.
    Graduated(Vec<PriceTier>),
    /// All units at the price of the tier that the last one lies in.
    Volume(Vec<PriceTier>),
}

/// What becomes of a number that is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The whole number above it.
    Up,
    /// The whole number below it.
    Down,
}

/// A tier of a price.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceTier {
    /// Its last unit; `None`: it has no end, which only the last tier may.
    pub up_to: Option<i64>,
    /// Cents per unit as a decimal.
    pub unit: Option<String>,
    /// Cents for reaching it as a decimal.
    pub flat: Option<String>,
}

/// How often a price is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// What a period is made of.
    pub interval: Interval,
    /// Of how many; three years at most.
    pub interval_count: u64,
    /// The id of what counts the quantity; `None`: it is what the subscription says.
    pub meter: Option<String>,
}

/// What changes of a price; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceChange {
    /// Whether it can be sold. What is subscribed to stays so.
    pub active: Option<bool>,
    /// The name that stays when another price takes its place. It is taken from the price that has
    /// it.
    pub lookup_key: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

impl Gateway {
    /// Creates a price.
    pub async fn create_price(&self, new: &NewPrice, key: &str) -> Answer<Price> {
        let mut request = CreatePrice::new(Currency::USD).product(new.product.as_str());
        request = charged(request, &new.charge);
        if let Some(recurrence) = &new.recurrence {
            request = request.recurring(recurring(recurrence));
        }
        if let Some(lookup_key) = &new.lookup_key {
            request = request.lookup_key(lookup_key).transfer_lookup_key(true);
        }
        set_if_some!(request, nickname = &new.nickname);
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Returns a price with its tiers.
    pub async fn retrieve_price(&self, id: &str) -> Answer<Price> {
        let request = RetrievePrice::new(id).expand(vec!["tiers".to_owned()]);
        self.read(&request).await
    }

    /// Changes a price.
    pub async fn update_price(&self, id: &str, change: &PriceChange, key: &str) -> Answer<Price> {
        let mut request = UpdatePrice::new(id);
        set_if_some!(request, active = change.active);
        if let Some(lookup_key) = &change.lookup_key {
            request = request.lookup_key(lookup_key).transfer_lookup_key(true);
        }
        set_if_any!(request, metadata = change.metadata => unordered(&change.metadata));
        self.change(&request, key).await
    }

    /// Returns the prices with these names, at most ten, or all when none is named; with their
    /// tiers.
    pub async fn list_prices(
        &self,
        lookup_keys: &[String],
        cursor: Cursor<'_>,
    ) -> Answer<Page<Price>> {
        let mut request = turn_to!(ListPrice::new(), cursor);
        request = request.expand(vec!["data.tiers".to_owned()]);
        set_if_any!(request, lookup_keys = lookup_keys => lookup_keys);
        self.read(&request).await
    }
}

fn charged(request: CreatePrice, charge: &Charge) -> CreatePrice {
    match charge {
        Charge::Cents(cents) => request.unit_amount(*cents),
        Charge::Decimal(cents) => request.unit_amount_decimal(cents),
        Charge::Package {
            cents,
            divide_by,
            round,
        } => {
            let round = match round {
                Step::Up => CreatePriceTransformQuantityRound::Up,
                Step::Down => CreatePriceTransformQuantityRound::Down,
            };
            request
                .unit_amount_decimal(cents)
                .transform_quantity(CreatePriceTransformQuantity::new(*divide_by, round))
        }
        Charge::Graduated(tiers) => tiered(request, PriceTiersMode::Graduated, tiers),
        Charge::Volume(tiers) => tiered(request, PriceTiersMode::Volume, tiers),
    }
}

fn tiered(request: CreatePrice, mode: PriceTiersMode, tiers: &[PriceTier]) -> CreatePrice {
    let tiers: Vec<CreatePriceTiers> = tiers
        .iter()
        .map(|tier| {
            let up_to = tier
                .up_to
                .map_or(CreatePriceTiersUpTo::Inf, CreatePriceTiersUpTo::I64);
            let mut theirs = CreatePriceTiers::new(up_to);
            theirs.unit_amount_decimal.clone_from(&tier.unit);
            theirs.flat_amount_decimal.clone_from(&tier.flat);
            theirs
        })
        .collect();
    request
        .billing_scheme(PriceBillingScheme::Tiered)
        .tiers_mode(mode)
        .tiers(tiers)
}

fn recurring(recurrence: &Recurrence) -> CreatePriceRecurring {
    let mut theirs = CreatePriceRecurring::new(word::<
        stripe_product::price::CreatePriceRecurringInterval,
    >(recurrence.interval.as_str()));
    theirs.interval_count = Some(recurrence.interval_count);
    theirs.usage_type = Some(match recurrence.meter {
        Some(_) => CreatePriceRecurringUsageType::Metered,
        None => CreatePriceRecurringUsageType::Licensed,
    });
    theirs.meter.clone_from(&recurrence.meter);
    theirs
}
