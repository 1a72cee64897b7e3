//! Changing one product or price in the text of a catalog, so that all else, comments included, stays as it was written.

use serde::Serialize;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::decimal::Millionths;
use super::file::PRICING_KEYS;
use super::{Catalog, CreditPack, Interval, PriceTier, Pricing, Product};
use crate::domain::id::{PlanId, ProductId};

/// A change to a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogEdit {
    /// Declares a product that is not declared yet.
    Register(Product),
    /// Prices a product anew.
    PriceProduct {
        /// The product.
        product: ProductId,
        /// What it costs.
        price: ProductPrice,
    },
    /// Prices a plan anew.
    PricePlan {
        /// The plan.
        plan: PlanId,
        /// How often the price is paid.
        interval: Interval,
        /// Micro-units of US dollars; `None`: by agreement.
        amount_micros: Option<i64>,
    },
}

/// What a product costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductPrice {
    /// One that is priced by use.
    Usage {
        /// What units cost.
        pricing: Pricing,
        /// The least that a billing period with any use costs, in micro-units of US dollars; `None`: stays as it is.
        minimum_micros: Option<i64>,
    },
    /// An outcome or a credit pack, in micro-units of US dollars.
    Amount(i64),
}

/// Why a catalog cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditFault {
    /// It declares no such product.
    NoProduct(ProductId),
    /// It declares no such plan.
    NoPlan(PlanId),
    /// It declares another product of this id.
    Exists(ProductId),
    /// The product has a price of the other kind; true: it is priced by use.
    OtherPrice {
        /// Whether the product is priced by use.
        by_use: bool,
    },
    /// The text does not hold what the catalog does.
    Unlike,
}

impl CatalogEdit {
    /// Returns the text of a catalog with the change made. What the change asks for is checked as part of the catalog
    /// that the text then declares.
    ///
    /// # Errors
    /// When the change does not fit the catalog.
    pub fn apply(&self, source: &str, catalog: &Catalog) -> Result<String, EditFault> {
        let mut document: DocumentMut = source.parse().map_err(|_| EditFault::Unlike)?;
        let root = document.as_table_mut();
        match self {
            Self::Register(product) => match catalog.products.get(product.id()) {
                Some(declared) if declared == product => return Ok(source.to_owned()),
                Some(_) => return Err(EditFault::Exists(product.id().clone())),
                None => {
                    let products = root.entry("products").or_insert_with(|| {
                        let mut table = Table::new();
                        table.set_implicit(true);
                        Item::Table(table)
                    });
                    let products = products.as_table_like_mut().ok_or(EditFault::Unlike)?;
                    products.insert(product.id().as_str(), Item::Table(declaration(product)));
                }
            },
            Self::PriceProduct { product, price } => {
                let Some(declared) = catalog.products.get(product) else {
                    return Err(EditFault::NoProduct(product.clone()));
                };
                let table = below(root, &["products", product.as_str()])?;
                price_product(table, declared, price)?;
            }
            Self::PricePlan {
                plan,
                interval,
                amount_micros,
            } => {
                if !catalog.plans.contains_key(plan) {
                    return Err(EditFault::NoPlan(plan.clone()));
                }
                let table = below(root, &["plans", plan.as_str()])?;
                let prices = table.entry("prices");
                let prices = prices.or_insert(Item::Value(InlineTable::new().into()));
                let amount = amount_micros.map_or_else(|| "custom".into(), money);
                let key = match interval {
                    Interval::Month => "month",
                    Interval::Year => "year",
                };
                set(
                    prices.as_table_like_mut().ok_or(EditFault::Unlike)?,
                    key,
                    amount,
                );
                tidy(prices);
            }
        }
        Ok(document.to_string())
    }

    /// Whether a catalog declares what the change asks for.
    #[must_use]
    pub fn is_in(&self, catalog: &Catalog) -> bool {
        match self {
            Self::Register(product) => catalog.products.get(product.id()) == Some(product),
            Self::PriceProduct { product, price } => match (catalog.products.get(product), price) {
                (
                    Some(Product::Usage {
                        pricing,
                        minimum_micros,
                        ..
                    }),
                    ProductPrice::Usage {
                        pricing: asked,
                        minimum_micros: least,
                    },
                ) => pricing == asked && least.is_none_or(|least| least == *minimum_micros),
                (
                    Some(
                        Product::Outcome { amount_micros, .. }
                        | Product::CreditPack(CreditPack { amount_micros, .. }),
                    ),
                    ProductPrice::Amount(asked),
                ) => amount_micros == asked,
                _ => false,
            },
            Self::PricePlan {
                plan,
                interval,
                amount_micros,
            } => catalog.plans.get(plan).is_some_and(|plan| {
                let mut prices = plan.prices.iter();
                let price = prices.find(|price| price.interval == *interval);
                price.is_some_and(|price| price.amount_micros == *amount_micros)
            }),
        }
    }
}

/// Returns the table at these keys.
fn below<'t>(root: &'t mut Table, keys: &[&str]) -> Result<&'t mut dyn TableLike, EditFault> {
    let mut table: &mut dyn TableLike = root;
    for key in keys {
        let item = table.get_mut(key).ok_or(EditFault::Unlike)?;
        table = item.as_table_like_mut().ok_or(EditFault::Unlike)?;
    }
    Ok(table)
}

fn price_product(
    table: &mut dyn TableLike,
    declared: &Product,
    price: &ProductPrice,
) -> Result<(), EditFault> {
    match (declared, price) {
        (
            Product::Usage { .. },
            ProductPrice::Usage {
                pricing,
                minimum_micros,
            },
        ) => {
            let item = table.get_mut("usage").ok_or(EditFault::Unlike)?;
            let usage = item.as_table_like_mut().ok_or(EditFault::Unlike)?;
            let values = pricing_values(pricing);
            for key in PRICING_KEYS {
                if !values.iter().any(|(kept, _)| *kept == key) {
                    usage.remove(key);
                }
            }
            for (key, value) in values {
                set(usage, key, value);
            }
            match minimum_micros {
                Some(0) => drop(usage.remove("minimum")),
                Some(micros) => set(usage, "minimum", money(*micros)),
                None => {}
            }
            tidy(item);
        }
        (Product::Outcome { .. }, ProductPrice::Amount(micros)) => {
            set(table, "outcome", money(*micros));
        }
        (Product::CreditPack(_), ProductPrice::Amount(micros)) => {
            let pack = table.get_mut("credit_pack").ok_or(EditFault::Unlike)?;
            let pack = pack.as_table_like_mut().ok_or(EditFault::Unlike)?;
            set(pack, "price", money(*micros));
        }
        (Product::Usage { .. }, ProductPrice::Amount(_)) => {
            return Err(EditFault::OtherPrice { by_use: true });
        }
        (Product::Outcome { .. } | Product::CreditPack(_), ProductPrice::Usage { .. }) => {
            return Err(EditFault::OtherPrice { by_use: false });
        }
    }
    Ok(())
}

/// Writes a product as it is declared.
fn declaration(product: &Product) -> Table {
    let mut table = Table::new();
    if product.name() != product.id().as_str() {
        table.insert("name", Item::Value(product.name().into()));
    }
    let (key, value) = match product {
        Product::Usage {
            meter,
            pricing,
            minimum_micros,
            ..
        } => {
            let mut usage = InlineTable::new();
            usage.insert("meter", meter.as_str().into());
            usage.extend(pricing_values(pricing));
            if *minimum_micros != 0 {
                usage.insert("minimum", money(*minimum_micros));
            }
            ("usage", usage.into())
        }
        Product::Outcome { amount_micros, .. } => ("outcome", money(*amount_micros)),
        Product::CreditPack(pack) => {
            let mut table = InlineTable::new();
            table.insert("credit_unit", (*pack.credit_unit).into());
            table.insert("credits", money(pack.credits_micros));
            table.insert("price", money(pack.amount_micros));
            ("credit_pack", table.into())
        }
    };
    table.insert(key, Item::Value(value));
    table
}

fn pricing_values(pricing: &Pricing) -> Vec<(&'static str, Value)> {
    match pricing {
        Pricing::Flat { amount_micros } => vec![("flat", money(*amount_micros))],
        Pricing::PerUnit { amount_micros, per } => {
            vec![("per_unit", money(*amount_micros)), ("per", (*per).into())]
        }
        Pricing::Package {
            amount_micros,
            size,
        } => vec![("package", money(*amount_micros)), ("size", (*size).into())],
        Pricing::Graduated { tiers } => vec![("graduated", tier_values(tiers))],
        Pricing::Volume { tiers } => vec![("volume", tier_values(tiers))],
    }
}

fn tier_values(tiers: &[PriceTier]) -> Value {
    let tier = |tier: &PriceTier| {
        let mut table = InlineTable::new();
        if let Some(up_to) = tier.up_to {
            table.insert("up_to", up_to.into());
        }
        table.insert("unit", money(tier.unit_micros));
        Value::from(table)
    };
    tiers.iter().map(tier).collect::<Array>().into()
}

fn money(micros: i64) -> Value {
    Millionths(micros).to_string().into()
}

/// Sets a value; what stands around the one before, such as a comment, stays.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(before) => {
            *value.decor_mut() = before.decor().clone();
            *before = value;
        }
        None => drop(table.insert(key, Item::Value(value))),
    }
}

/// Sees to it that a table between braces has its space before the last brace and none before commas.
fn tidy(item: &mut Item) {
    let Some(table) = item.as_inline_table_mut() else {
        return;
    };
    let last = table.len().saturating_sub(1);
    for (index, (_, value)) in table.iter_mut().enumerate() {
        let is_blank = value
            .decor()
            .suffix()
            .and_then(|suffix| suffix.as_str())
            .is_none_or(|suffix| suffix.trim().is_empty());
        if is_blank {
            let suffix = if index == last { " " } else { "" };
            value.decor_mut().set_suffix(suffix);
        }
    }
}
