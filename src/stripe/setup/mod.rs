//! What Stripe has to sell, made to agree with the catalog: looked at first, then changed, as often as one likes.

mod difference;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use self::difference::Difference;

use self::difference::interval;
use super::gateway::{
    Charge, Cursor, Fault, Gateway, Interval as Every, Kind, Link, Meter, NewMeter, NewPrice,
    NewProduct, Price, PriceTier, ProductChange, Recurrence, Step,
};
use super::mirrored::{INTERVAL_KEY, PLAN_KEY};
use crate::domain::billing::{ListedAmount, ListedMeter, ListedPrice, PriceList, Sold, word};
use crate::domain::catalog::Interval;
use crate::domain::fingerprint::fingerprint;

/// Most prices that Stripe finds by lookup key at a time.
const KEYS_A_CALL: usize = 10;

/// Sets Stripe up.
#[derive(Clone)]
pub struct Setup {
    gateway: Arc<Gateway>,
}

impl Setup {
    /// Looks and changes through a gateway.
    #[must_use]
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Returns in what Stripe differs from a price list.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    pub async fn differences(&self, list: &PriceList) -> Result<Vec<Difference>, Fault> {
        let mut found = Vec::new();
        let meters = self.meters().await?;
        for listed in &list.meters {
            match meters.get(&*listed.event_name) {
                None => found.push(Difference::CreateMeter(listed.clone())),
                Some(meter) if meter.display_name != *listed.name => {
                    found.push(Difference::RenameMeter {
                        id: meter.id.clone(),
                        listed: listed.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        let keys: Vec<Box<str>> = list
            .prices
            .iter()
            .map(|price| price.lookup_key.clone())
            .collect();
        let prices = self.prices(&keys).await?;
        for listed in &list.prices {
            let meter = listed.meter.as_ref().and_then(|meter| {
                let of = list.meters.iter().find(|listed| listed.meter == *meter)?;
                meters.get(&*of.event_name).map(|meter| meter.id.as_str())
            });
            match prices.get(&*listed.lookup_key) {
                None => found.push(Difference::CreatePrice(listed.clone())),
                Some(price) if !agrees(price, listed, meter) => {
                    found.push(Difference::ReplacePrice {
                        old: price.id.clone(),
                        listed: listed.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        Ok(found)
    }

    /// Makes Stripe agree with a price list; returns what was changed.
    ///
    /// # Errors
    /// When Stripe cannot be asked or refuses; what was done until then stays, and the same may be done again.
    pub async fn apply(&self, list: &PriceList) -> Result<Vec<Difference>, Fault> {
        let found = self.differences(list).await?;
        // Meters first: prices name them.
        for difference in &found {
            match difference {
                Difference::CreateMeter(listed) => self.create_meter(listed).await?,
                Difference::RenameMeter { id, listed } => {
                    let key = key(&("rename", id, &listed.name));
                    self.gateway.update_meter(id, &listed.name, &key).await?;
                }
                Difference::CreatePrice(_) | Difference::ReplacePrice { .. } => {}
            }
        }
        let meters = self.meters().await?;
        for difference in &found {
            let (listed, old) = match difference {
                Difference::CreatePrice(listed) => (listed, None),
                Difference::ReplacePrice { old, listed } => (listed, Some(old)),
                Difference::CreateMeter(_) | Difference::RenameMeter { .. } => continue,
            };
            let meter = listed.meter.as_ref().and_then(|meter| {
                let of = list.meters.iter().find(|listed| listed.meter == *meter)?;
                meters.get(&*of.event_name)
            });
            self.create_price(listed, meter, old).await?;
        }
        Ok(found)
    }

    /// Returns the prices that have these lookup keys, by key.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    pub async fn prices(&self, keys: &[Box<str>]) -> Result<BTreeMap<String, Price>, Fault> {
        let mut found = BTreeMap::new();
        for keys in keys.chunks(KEYS_A_CALL) {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            let page = self.gateway.list_prices(&keys, Cursor::FIRST).await?;
            for price in page.data.into_iter().filter(|price| price.active) {
                if let Some(key) = price.lookup_key.clone() {
                    found.insert(key, price);
                }
            }
        }
        Ok(found)
    }

    /// Returns the active meters by the names of their events.
    async fn meters(&self) -> Result<BTreeMap<String, Meter>, Fault> {
        let mut found = BTreeMap::new();
        let mut page = self.gateway.list_meters(Cursor::FIRST).await?;
        loop {
            for meter in &page.data {
                if meter.status == "active" {
                    found.insert(meter.event_name.clone(), meter.clone());
                }
            }
            let Some(next) = page.next() else {
                return Ok(found);
            };
            page = self.gateway.list_meters(next).await?;
        }
    }

    async fn create_meter(&self, listed: &ListedMeter) -> Result<(), Fault> {
        let new = NewMeter {
            display_name: listed.name.to_string(),
            event_name: listed.event_name.to_string(),
        };
        let key = key(&("meter", &listed.event_name, &listed.name));
        self.gateway.create_meter(&new, &key).await?;
        Ok(())
    }

    async fn create_price(
        &self,
        listed: &ListedPrice,
        meter: Option<&Meter>,
        old: Option<&String>,
    ) -> Result<(), Fault> {
        self.need_product(listed).await?;
        let recurrence = interval(&listed.sold).map(|interval| Recurrence {
            interval: match interval {
                Interval::Month => Every::Month,
                Interval::Year => Every::Year,
            },
            interval_count: 1,
            meter: meter.map(|meter| meter.id.clone()),
        });
        let new = NewPrice {
            product: listed.product.to_string(),
            lookup_key: Some(listed.lookup_key.to_string()),
            nickname: None,
            charge: charge(&listed.amount),
            recurrence,
            metadata: metadata(&listed.sold),
        };
        // Which one it replaces is part of the key: a price may come back that was there before.
        let key = key(&("price", &listed.lookup_key, &new, old));
        self.gateway.create_price(&new, &key).await?;
        Ok(())
    }

    /// Sees to it that the product of a price is there under its name.
    async fn need_product(&self, listed: &ListedPrice) -> Result<(), Fault> {
        match self.gateway.retrieve_product(&listed.product).await {
            Ok(product) if product.active && product.name == *listed.product_name => Ok(()),
            Ok(_) => {
                let change = ProductChange {
                    name: Some(listed.product_name.to_string()),
                    active: Some(true),
                    ..ProductChange::default()
                };
                let key = key(&("product", &listed.product, &change));
                self.gateway
                    .update_product(&listed.product, &change, &key)
                    .await?;
                Ok(())
            }
            Err(fault) if fault.kind == Kind::NotFound => {
                let new = NewProduct {
                    id: Some(listed.product.to_string()),
                    name: listed.product_name.to_string(),
                    ..NewProduct::default()
                };
                let key = key(&("product", &new));
                self.gateway.create_product(&new, &key).await?;
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }
}

/// What a price says of itself, so that a subscription to it tells the plan.
fn metadata(sold: &Sold) -> BTreeMap<String, String> {
    let pair = |key: &str, value: &dyn fmt::Display| (key.to_owned(), value.to_string());
    BTreeMap::from_iter(match sold {
        Sold::Plan(plan, interval) => {
            vec![pair(PLAN_KEY, plan), pair(INTERVAL_KEY, &word(*interval))]
        }
        Sold::Overage(plan, feature, _) => {
            vec![
                pair("bursar_overage_plan", plan),
                pair("bursar_feature", feature),
            ]
        }
        Sold::Usage(product, _) | Sold::Piece(product) => vec![pair("bursar_product", product)],
    })
}

fn charge(amount: &ListedAmount) -> Charge {
    match amount {
        ListedAmount::Unit(cents) => cents
            .parse()
            .map_or_else(|_| Charge::Decimal(cents.to_string()), Charge::Cents),
        ListedAmount::Package { cents, size } => Charge::Package {
            cents: cents.to_string(),
            divide_by: *size,
            round: Step::Up,
        },
        ListedAmount::Tiered { by_volume, tiers } => {
            let tier = |(up_to, cents): &(Option<i64>, Box<str>)| PriceTier {
                up_to: *up_to,
                unit: Some(cents.to_string()),
                flat: None,
            };
            let tiers = tiers.iter().map(tier).collect();
            if *by_volume {
                Charge::Volume(tiers)
            } else {
                Charge::Graduated(tiers)
            }
        }
    }
}

/// Whether a price at Stripe is what the list says.
fn agrees(price: &Price, listed: &ListedPrice, meter: Option<&str>) -> bool {
    let product = price.product.as_ref().map(Link::id);
    let recurring = price.recurring.as_ref();
    let counted = recurring.and_then(|recurring| recurring.meter.as_deref());
    let every = recurring.map(|recurring| (recurring.interval.as_str(), recurring.interval_count));
    let wanted = interval(&listed.sold).map(|interval| (word(interval), 1));
    product == Some(&*listed.product)
        && price.currency == "usd"
        && every == wanted
        && counted == meter.filter(|_| listed.meter.is_some())
        && metadata(&listed.sold)
            .iter()
            .all(|(key, value)| price.metadata.get(key) == Some(value))
        && costs(price, &listed.amount)
}

fn costs(price: &Price, amount: &ListedAmount) -> bool {
    let unit = |whole: Option<i64>, decimal: Option<&str>| {
        decimal.map_or_else(
            || whole.map(|cents| cents.to_string()),
            |text| Some(plain(text)),
        )
    };
    let own = || unit(price.unit_amount, price.unit_amount_decimal.as_deref());
    match amount {
        ListedAmount::Unit(cents) => {
            price.transform_quantity.is_none() && own().as_deref() == Some(cents)
        }
        ListedAmount::Package { cents, size } => {
            let package = price.transform_quantity.as_ref();
            own().as_deref() == Some(cents)
                && package.is_some_and(|of| of.divide_by == *size && of.round == "up")
        }
        ListedAmount::Tiered { by_volume, tiers } => {
            let mode = if *by_volume { "volume" } else { "graduated" };
            let theirs = price.tiers.iter().map(|tier| {
                let cents = unit(tier.unit_amount, tier.unit_amount_decimal.as_deref());
                (tier.up_to, cents.unwrap_or_default())
            });
            let ours = tiers
                .iter()
                .map(|(up_to, cents)| (*up_to, cents.to_string()));
            price.tiers_mode.as_deref() == Some(mode) && theirs.eq(ours)
        }
    }
}

/// Writes a decimal without needless zeros, as the list has it.
fn plain(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// Names a call by what it asks for: the same is done once.
fn key(content: &impl fmt::Debug) -> String {
    format!("setup_{}", fingerprint(format!("{content:?}"), 16))
}
