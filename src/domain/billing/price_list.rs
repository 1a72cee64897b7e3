//! What Stripe has to sell for a catalog: one price for each thing, found again by its lookup key.

use std::fmt::Write as _;

use crate::domain::catalog::{
    Catalog, Charge, EntitlementSpec, FeatureKind, Interval, Plan, PriceTier, Pricing, Product,
};
use crate::domain::id::{FeatureId, MeterId, PlanId, ProductId};

/// Micro-units in a cent.
const MICROS_A_CENT: i128 = 10_000;
/// Decimals of a cent that Stripe takes.
const DECIMALS: usize = 12;

/// All that Stripe has to sell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceList {
    /// Meters whose usage Stripe bills, by what Stripe calls their events.
    pub meters: Vec<ListedMeter>,
    /// Prices, by lookup key.
    pub prices: Vec<ListedPrice>,
    /// What cannot be sold through Stripe, and why.
    pub faults: Vec<ListFault>,
}

/// A meter whose usage Stripe bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMeter {
    /// The meter.
    pub meter: MeterId,
    /// What Stripe calls its events.
    pub event_name: Box<str>,
    /// Its name for people.
    pub name: Box<str>,
}

/// What a price is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sold {
    /// A plan, for an interval.
    Plan(PlanId, Interval),
    /// Use of a feature beyond what a plan includes.
    Overage(PlanId, FeatureId, Interval),
    /// A product that is sold by use.
    Usage(ProductId, Interval),
    /// A product that is sold by the piece.
    Piece(ProductId),
}

/// A price that Stripe has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPrice {
    /// What it is of.
    pub sold: Sold,
    /// The name that stays when another price takes its place.
    pub lookup_key: Box<str>,
    /// Names the thing at Stripe.
    pub product: Box<str>,
    /// The name of the thing for people.
    pub product_name: Box<str>,
    /// What it costs.
    pub amount: ListedAmount,
    /// What counts the quantity; `None`: nothing does, it is one at a time.
    pub meter: Option<MeterId>,
}

/// What a price comes to. Amounts are cents of US dollars, as decimals without needless zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedAmount {
    /// So much a unit.
    Unit(Box<str>),
    /// So much for each started package of so many units.
    Package {
        /// For a package.
        cents: Box<str>,
        /// Units in it.
        size: i64,
    },
    /// Each unit costs what its tier says, or all cost what the tier of the total says.
    Tiered {
        /// Whether all units cost what the tier of the total says.
        by_volume: bool,
        /// The last unit of each tier, inclusive, and what a unit costs; the last has no end.
        tiers: Vec<(Option<i64>, Box<str>)>,
    },
}

/// Something that cannot be sold through Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFault {
    /// What, by its lookup key.
    pub lookup_key: Box<str>,
    /// Why, for people.
    pub why: Box<str>,
}

impl Sold {
    /// Returns the lookup key of its price.
    #[must_use]
    pub fn lookup_key(&self) -> String {
        match self {
            Self::Plan(plan, interval) => format!("bursar_plan_{plan}_{}", word(*interval)),
            Self::Overage(plan, feature, interval) => {
                format!("bursar_overage_{plan}_{feature}_{}", word(*interval))
            }
            Self::Usage(product, interval) => format!("bursar_usage_{product}_{}", word(*interval)),
            Self::Piece(product) => format!("bursar_product_{product}"),
        }
    }
}

/// Returns Stripe's word for an interval.
#[must_use]
pub const fn word(interval: Interval) -> &'static str {
    match interval {
        Interval::Month => "month",
        Interval::Year => "year",
    }
}

/// Returns what Stripe has to have for a catalog.
#[must_use]
pub fn price_list(catalog: &Catalog) -> PriceList {
    let mut list = PriceList::default();
    for meter in catalog.meters.values() {
        if let Some(event_name) = &meter.stripe_event_name {
            list.meters.push(ListedMeter {
                meter: meter.id.clone(),
                event_name: event_name.clone(),
                name: meter.name.clone(),
            });
        }
    }
    for plan in catalog.plans.values() {
        for price in &plan.prices {
            list.plan(plan, price.interval, price.amount_micros);
            list.overages(catalog, plan, price.interval);
        }
    }
    for product in catalog.products.values() {
        list.product(catalog, product);
    }
    list.prices.sort_by(|a, b| a.lookup_key.cmp(&b.lookup_key));
    list
}

/// Returns the lookup keys of all that a subscription to a plan has: its own price, and those of use.
#[must_use]
pub fn items_of(list: &PriceList, plan: &PlanId, interval: Interval) -> Vec<Box<str>> {
    let is_item = |price: &&ListedPrice| match &price.sold {
        Sold::Plan(of, every) => of == plan && *every == interval,
        Sold::Overage(of, _, every) => of == plan && *every == interval,
        Sold::Usage(_, every) => *every == interval,
        Sold::Piece(_) => false,
    };
    let items = list.prices.iter().filter(is_item);
    items.map(|price| price.lookup_key.clone()).collect()
}

impl PriceList {
    fn plan(&mut self, plan: &Plan, interval: Interval, amount_micros: Option<i64>) {
        // What is agreed on with each customer has no price here.
        let Some(micros) = amount_micros else {
            return;
        };
        let sold = Sold::Plan(plan.id.clone(), interval);
        let thing = (format!("bursar_plan_{}", plan.id), &*plan.name);
        self.add(sold, thing, &per_unit(micros), None);
    }

    fn overages(&mut self, catalog: &Catalog, plan: &Plan, interval: Interval) {
        for (feature, spec) in &plan.entitlements {
            let EntitlementSpec::Metered(metered) = spec else {
                continue;
            };
            let Some(Charge::Overage(pricing)) = &metered.charge else {
                continue;
            };
            let Some(of) = catalog.features.get(feature) else {
                continue;
            };
            let FeatureKind::Metered { meter, .. } = &of.kind else {
                continue;
            };
            let Some(counted) = catalog.meters.get(meter) else {
                continue;
            };
            if counted.stripe_event_name.is_some() {
                let sold = Sold::Overage(plan.id.clone(), feature.clone(), interval);
                let id = format!("bursar_overage_{}_{feature}", plan.id);
                let name = format!("{}: {} beyond what is included", plan.name, of.name);
                self.add(sold, (id, &name), pricing, Some(meter.clone()));
            }
        }
    }

    fn product(&mut self, catalog: &Catalog, product: &Product) {
        let thing = (format!("bursar_product_{}", product.id()), product.name());
        match product {
            Product::Usage {
                id, meter, pricing, ..
            } => {
                let counted = catalog.meters.get(meter);
                if counted.is_some_and(|meter| meter.stripe_event_name.is_some()) {
                    for interval in [Interval::Month, Interval::Year] {
                        let sold = Sold::Usage(id.clone(), interval);
                        self.add(sold, thing.clone(), pricing, Some(meter.clone()));
                    }
                }
            }
            Product::Outcome {
                id, amount_micros, ..
            } => self.add(
                Sold::Piece(id.clone()),
                thing,
                &per_unit(*amount_micros),
                None,
            ),
            Product::CreditPack(pack) => {
                let sold = Sold::Piece(pack.id.clone());
                self.add(sold, thing, &per_unit(pack.amount_micros), None);
            }
        }
    }

    fn add(
        &mut self,
        sold: Sold,
        (product, product_name): (String, &str),
        pricing: &Pricing,
        meter: Option<MeterId>,
    ) {
        let lookup_key: Box<str> = sold.lookup_key().into();
        match amount(pricing) {
            Ok(amount) => self.prices.push(ListedPrice {
                sold,
                lookup_key,
                product: product.into(),
                product_name: product_name.into(),
                amount,
                meter,
            }),
            Err(why) => self.faults.push(ListFault {
                lookup_key,
                why: why.into(),
            }),
        }
    }
}

const fn per_unit(amount_micros: i64) -> Pricing {
    Pricing::PerUnit {
        amount_micros,
        per: 1,
    }
}

/// Returns a price in Stripe's terms.
fn amount(pricing: &Pricing) -> Result<ListedAmount, &'static str> {
    const ENDLESS: &str = "a unit costs a fraction of a cent with more than 12 decimals";
    let cents = |micros: i64, per: i64| cents(micros, per).ok_or(ENDLESS);
    match pricing {
        // Stripe charges a flat amount of a tier without any use as well; ours needs use.
        Pricing::Flat { .. } => Err("Stripe has no price that is flat once there is use"),
        Pricing::PerUnit { amount_micros, per } => {
            Ok(ListedAmount::Unit(cents(*amount_micros, *per)?))
        }
        Pricing::Package {
            amount_micros,
            size,
        } => Ok(ListedAmount::Package {
            cents: cents(*amount_micros, 1)?,
            size: *size,
        }),
        Pricing::Graduated { tiers } => tiered(tiers, false, cents),
        Pricing::Volume { tiers } => tiered(tiers, true, cents),
    }
}

fn tiered(
    tiers: &[PriceTier],
    by_volume: bool,
    cents: impl Fn(i64, i64) -> Result<Box<str>, &'static str>,
) -> Result<ListedAmount, &'static str> {
    let tier = |tier: &PriceTier| Ok((tier.up_to, cents(tier.unit_micros, 1)?));
    Ok(ListedAmount::Tiered {
        by_volume,
        tiers: tiers
            .iter()
            .map(tier)
            .collect::<Result<_, &'static str>>()?,
    })
}

/// Writes micro-units per so many units as cents per unit; `None`: that has too many decimals.
fn cents(micros: i64, per: i64) -> Option<Box<str>> {
    let (numerator, denominator) = (i128::from(micros), i128::from(per) * MICROS_A_CENT);
    if numerator < 0 || denominator <= 0 {
        return None;
    }
    let mut text = (numerator / denominator).to_string();
    let mut rest = numerator % denominator;
    if rest > 0 {
        text.push('.');
    }
    for _ in 0..DECIMALS {
        if rest == 0 {
            break;
        }
        rest *= 10;
        // Writing to a text does not fail.
        let _ = write!(text, "{}", rest / denominator);
        rest %= denominator;
    }
    (rest == 0).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::parse_catalog;

    #[test]
    fn cents_are_written_exactly_or_not_at_all() {
        for (micros, per, expected) in [
            (19_990_000, 1, Some("1999")),
            (10_000, 1, Some("1")),
            (0, 1, Some("0")),
            (30_000, 1_000, Some("0.003")),
            (12_345, 1, Some("1.2345")),
            (1, 1, Some("0.0001")),
            (10_000, 3, None),
            (1, 100_000_000, Some("0.000000000001")),
            (1, 1_000_000_000, None),
        ] {
            assert_eq!(cents(micros, per).as_deref(), expected, "{micros}/{per}");
        }
    }

    const CATALOG: &str = r#"
meters.tokens = { aggregation = "sum", stripe_event_name = "acme_tokens" }
meters.calls = { aggregation = "count" }
features.tokens = { metered = { meter = "tokens" } }
features.calls = { metered = { meter = "calls" } }
[plans.pro]
prices = { month = "29.00", year = "290.00" }
[plans.pro.entitlements]
tokens = { limits = [{ amount = 100, window = "month", on_limit = "allow" }], overage = { per_unit = "0.03", per = 1_000 } }
calls = { limits = [{ amount = 100, window = "month", on_limit = "allow" }], overage = { per_unit = "1" } }
"#;

    #[test]
    fn plans_and_what_exceeds_them_are_listed_and_nothing_that_stripe_does_not_count() {
        let list = price_list(&parse_catalog(CATALOG).unwrap());
        assert_eq!(list.faults, []);
        assert_eq!(&*list.meters[0].event_name, "acme_tokens");
        let keys: Vec<_> = list.prices.iter().map(|price| &*price.lookup_key).collect();
        assert_eq!(
            keys,
            [
                "bursar_overage_pro_tokens_month",
                "bursar_overage_pro_tokens_year",
                "bursar_plan_pro_month",
                "bursar_plan_pro_year",
            ]
        );
        assert_eq!(list.prices[0].amount, ListedAmount::Unit("0.003".into()));
        assert_eq!(list.prices[2].amount, ListedAmount::Unit("2900".into()));
        let pro = PlanId::new("pro").unwrap();
        let items = items_of(&list, &pro, Interval::Year);
        let expected = ["bursar_overage_pro_tokens_year", "bursar_plan_pro_year"];
        assert_eq!(items, expected.map(Box::from));
    }

    #[test]
    fn each_shipped_catalog_can_be_sold() {
        for text in [
            include_str!("../../../catalogs/default.toml"),
            include_str!("../../../catalogs/aims.toml"),
            include_str!("../../../catalogs/aegis.toml"),
            include_str!("../../../catalogs/aias.toml"),
        ] {
            let list = price_list(&parse_catalog(text).unwrap());
            assert_eq!(list.faults, []);
            assert!(!list.prices.is_empty());
        }
    }
}
