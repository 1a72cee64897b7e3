//! What Stripe has to sell, made to agree with the catalog: looked at first, then changed, as often as one likes.

mod adoption;
mod agreement;
mod difference;
mod endpoint;
mod portals;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use self::adoption::{Adoption, BadAdoption};
pub use self::difference::Difference;
pub use self::portals::Portal;
pub use self::whole::{Done, SetupFault, Wanted};

use self::agreement::{agrees, charge, metadata};
use self::difference::interval;
use super::gateway::{
    Cursor, Fault, Gateway, Interval as Every, Kind, Meter, NewMeter, NewPrice, NewProduct, Price,
    ProductChange, Recurrence,
};
use crate::clock::wall_clock;
use crate::domain::billing::{ListedMeter, ListedPrice, PriceList};
use crate::domain::catalog::Interval;
use crate::domain::fingerprint::fingerprint;

/// Most prices that Stripe finds by lookup key at a time.
const KEYS_A_CALL: usize = 10;

/// Sets Stripe up.
#[derive(Clone)]
pub struct Setup {
    gateway: Arc<Gateway>,
    /// Names this turn, for calls that are other ones each time.
    turn: i64,
}

impl Setup {
    /// Looks and changes through a gateway.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let turn = wall_clock().as_micros();
        Self { gateway, turn }
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
        self.make_prices(list, &found).await?;
        Ok(found)
    }

    /// Makes meters and prices what differences say.
    async fn make_prices(&self, list: &PriceList, found: &[Difference]) -> Result<(), Fault> {
        // Meters first: prices name them.
        for difference in found {
            match difference {
                Difference::CreateMeter(listed) => self.create_meter(listed).await?,
                Difference::RenameMeter { id, listed } => {
                    let key = key(&("rename", id, &listed.name));
                    self.gateway.update_meter(id, &listed.name, &key).await?;
                }
                Difference::CreatePrice(_)
                | Difference::ReplacePrice { .. }
                | Difference::AdoptPrice { .. }
                | Difference::CreatePortal(_)
                | Difference::ChangePortal { .. }
                | Difference::CreateEndpoint { .. }
                | Difference::ChangeEndpoint { .. }
                | Difference::ReplaceEndpoint { .. } => {}
            }
        }
        let meters = self.meters().await?;
        for difference in found {
            let (listed, old) = match difference {
                Difference::CreatePrice(listed) => (listed, None),
                Difference::ReplacePrice { old, listed } => (listed, Some(old)),
                Difference::CreateMeter(_)
                | Difference::RenameMeter { .. }
                | Difference::AdoptPrice { .. }
                | Difference::CreatePortal(_)
                | Difference::ChangePortal { .. }
                | Difference::CreateEndpoint { .. }
                | Difference::ChangeEndpoint { .. }
                | Difference::ReplaceEndpoint { .. } => continue,
            };
            let meter = listed.meter.as_ref().and_then(|meter| {
                let of = list.meters.iter().find(|listed| listed.meter == *meter)?;
                meters.get(&*of.event_name)
            });
            self.create_price(listed, meter, old).await?;
        }
        Ok(())
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

/// Names a call by what it asks for: the same is done once.
fn key(content: &impl fmt::Debug) -> String {
    format!("setup_{}", fingerprint(format!("{content:?}"), 16))
}
