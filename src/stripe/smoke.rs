//! A trial of an account at Stripe with test money: what bursar needs of it, from a customer to the end of its subscription.
//! Everything it makes is told apart by its name, and none of it is left in use.

use std::sync::Arc;
use std::time::Duration;

use super::gateway::{
    CancelNow, Charge, Cursor, Fault, Gateway, Interval, InvoiceFilter, Kind, Meter, NewCustomer,
    NewItem, NewMeter, NewMeterEvent, NewPrice, NewProduct, NewSubscription, PaymentBehavior,
    PriceChange, ProductChange, Recurrence, Span, SummaryFilter, SummaryWindow,
};
use crate::clock::wall_clock;

/// What the meter, its product and their names begin with.
const NAME: &str = "bursar_smoke";
/// The card that pays: Stripe's own for tests.
const CARD: &str = "pm_card_visa";
/// Units that are used.
const UNITS: i64 = 7;
/// Between looks at Stripe's sums.
const PAUSE: Duration = Duration::from_secs(3);
const MICROS: i64 = 1_000_000;
const HOUR: i64 = 3_600;

/// What was seen, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is as it should be.
    Well(String),
    /// It is worth to know.
    Note(String),
    /// It is not as it should be.
    Wrong(String),
}

impl Seen {
    /// Returns the words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Well(text) | Self::Note(text) | Self::Wrong(text) => text,
        }
    }
}

/// Tries an account out.
pub struct Smoke {
    gateway: Arc<Gateway>,
    /// How long Stripe's sums may take to show what was used.
    wait: Duration,
    /// When it began, in microseconds: names this trial.
    turn: i64,
}

/// What was made and is to go again.
#[derive(Default)]
struct Made {
    meter: Option<String>,
    product: Option<String>,
    prices: Vec<String>,
    customer: Option<String>,
    subscription: Option<String>,
}

impl Smoke {
    /// Tries through a gateway.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, wait: Duration) -> Self {
        let turn = wall_clock().as_micros();
        Self {
            gateway,
            wait,
            turn,
        }
    }

    /// Tries, and cleans up whatever came of it; returns whether all was well.
    pub async fn run(&self, mut say: impl FnMut(&Seen)) -> bool {
        let mut made = Made::default();
        let mut is_well = true;
        match self.money().await {
            Ok(seen) => say(&seen),
            Err(seen) => {
                say(&seen);
                return false;
            }
        }
        if let Err(fault) = self.attempt(&mut made, &mut say).await {
            say(&Seen::Wrong(fault.to_string()));
            is_well = false;
        }
        for (what, gone) in self.clean_up(&made).await {
            match gone {
                Ok(()) => say(&Seen::Well(format!("{what}: cleaned up"))),
                Err(fault) => {
                    say(&Seen::Wrong(format!("{what} is left behind: {fault}")));
                    is_well = false;
                }
            }
        }
        is_well
    }

    /// Sees that the account deals in test money.
    async fn money(&self) -> Result<Seen, Seen> {
        let balance = self.gateway.retrieve_balance().await;
        match balance.map_err(|fault| Seen::Wrong(fault.to_string()))? {
            live if live.livemode => {
                Err(Seen::Wrong("the account answers in live mode".to_owned()))
            }
            _ => Ok(Seen::Well("the key is accepted, in test mode".to_owned())),
        }
    }

    async fn attempt(&self, made: &mut Made, say: &mut impl FnMut(&Seen)) -> Result<(), Fault> {
        let well = |text: String| Seen::Well(text);
        let meter = self.meter().await?;
        made.meter = Some(meter.id.clone());
        say(&well(format!("a meter: {}", meter.id)));
        made.product = Some(self.product().await?);
        let (fee, use_of) = (self.price(None).await?, self.price(Some(&meter)).await?);
        made.prices = vec![fee.clone(), use_of.clone()];
        say(&well(format!("prices: {fee}, and {use_of} of use")));
        let customer = self.customer().await?;
        made.customer = Some(customer.clone());
        say(&well(format!("a customer with a test card: {customer}")));
        let subscription = self.subscribe(&customer, [&fee, &use_of]).await?;
        made.subscription = Some(subscription.0.clone());
        say(&well(format!(
            "a subscription: {}, {}",
            subscription.0, subscription.1
        )));
        self.use_some(&customer, say).await?;
        self.wait_for_sums(&meter, &customer, say).await?;
        let how = CancelNow {
            invoice_now: true,
            prorate: false,
        };
        let ended = self
            .gateway
            .cancel_subscription(&subscription.0, how)
            .await?;
        made.subscription = None;
        say(&well(format!("it ends: {}", ended.status)));
        let filter = InvoiceFilter {
            customer: Some(&customer),
            subscription: None,
        };
        for invoice in self
            .gateway
            .list_invoices(filter, Cursor::FIRST)
            .await?
            .data
        {
            let status = invoice.status.unwrap_or_default();
            let text = format!("invoice {}: {status}, {} cents", invoice.id, invoice.total);
            say(&well(text));
        }
        Ok(())
    }

    fn key(&self, what: &str) -> String {
        format!("smoke_{what}_{}", self.turn)
    }

    /// Returns the meter, which cannot be deleted and so may be there, asleep.
    async fn meter(&self) -> Result<Meter, Fault> {
        let mut page = self.gateway.list_meters(Cursor::FIRST).await?;
        let mut all = page.data.clone();
        while let Some(next) = page.next() {
            page = self.gateway.list_meters(next).await?;
            all.extend(page.data.iter().cloned());
        }
        match all.into_iter().find(|meter| meter.event_name == NAME) {
            Some(meter) if meter.status == "active" => Ok(meter),
            Some(meter) => {
                let key = self.key("wake");
                self.gateway.reactivate_meter(&meter.id, &key).await
            }
            None => {
                let new = NewMeter {
                    display_name: "bursar smoke test".to_owned(),
                    event_name: NAME.to_owned(),
                };
                self.gateway.create_meter(&new, &self.key("meter")).await
            }
        }
    }

    async fn product(&self) -> Result<String, Fault> {
        match self.gateway.retrieve_product(NAME).await {
            Ok(_) => self.set_product_active(true).await?,
            Err(fault) if fault.kind == Kind::NotFound => {
                let new = NewProduct {
                    id: Some(NAME.to_owned()),
                    name: "bursar smoke test".to_owned(),
                    ..NewProduct::default()
                };
                let key = self.key("product");
                self.gateway.create_product(&new, &key).await?;
            }
            Err(fault) => return Err(fault),
        }
        Ok(NAME.to_owned())
    }

    async fn set_product_active(&self, active: bool) -> Result<(), Fault> {
        let change = ProductChange {
            active: Some(active),
            ..ProductChange::default()
        };
        let key = self.key(if active { "sell" } else { "shelve" });
        self.gateway.update_product(NAME, &change, &key).await?;
        Ok(())
    }

    /// Makes a price: a dollar a month, or a cent for each unit of use.
    async fn price(&self, meter: Option<&Meter>) -> Result<String, Fault> {
        let new = NewPrice {
            product: NAME.to_owned(),
            lookup_key: None,
            nickname: Some("bursar smoke test".to_owned()),
            charge: Charge::Cents(if meter.is_some() { 1 } else { 100 }),
            recurrence: Some(Recurrence {
                interval: Interval::Month,
                interval_count: 1,
                meter: meter.map(|meter| meter.id.clone()),
            }),
            metadata: [].into(),
        };
        let key = self.key(if meter.is_some() { "use" } else { "fee" });
        Ok(self.gateway.create_price(&new, &key).await?.id)
    }

    async fn customer(&self) -> Result<String, Fault> {
        let new = NewCustomer {
            ours: self.key("customer"),
            name: Some("bursar smoke test".to_owned()),
            payment_method: Some(CARD.to_owned()),
            ..NewCustomer::default()
        };
        let key = self.key("customer");
        Ok(self.gateway.create_customer(&new, &key).await?.id)
    }

    async fn subscribe(
        &self,
        customer: &str,
        [fee, use_of]: [&str; 2],
    ) -> Result<(String, String), Fault> {
        let item = |price: &str, quantity| NewItem {
            price: price.to_owned(),
            quantity,
        };
        let new = NewSubscription {
            customer: customer.to_owned(),
            items: vec![item(fee, Some(1)), item(use_of, None)],
            trial: None,
            coupons: Vec::new(),
            default_payment_method: None,
            payment_behavior: PaymentBehavior::ErrorIfIncomplete,
            metadata: [].into(),
        };
        let key = self.key("subscription");
        let made = self.gateway.create_subscription(&new, &key).await?;
        if !made.is_flexible() {
            let why = "the subscription is not in flexible billing mode, in which usage is billed across changes";
            return Err(Fault::of(Kind::InvalidRequest, why));
        }
        Ok((made.id, made.status))
    }

    /// Uses some, twice under one name: it is to count once.
    async fn use_some(&self, customer: &str, say: &mut impl FnMut(&Seen)) -> Result<(), Fault> {
        let event = NewMeterEvent {
            event_name: NAME.to_owned(),
            customer: customer.to_owned(),
            value: UNITS,
            identifier: self.key("event"),
            timestamp: wall_clock().as_micros() / MICROS,
        };
        self.gateway.send_meter_event(&event).await?;
        say(&Seen::Well(format!("{UNITS} units of use are taken")));
        say(&match self.gateway.send_meter_event(&event).await {
            Err(fault) if fault.kind == Kind::AlreadyExists => {
                Seen::Well("the same once more is known, and not counted".to_owned())
            }
            Err(fault) => return Err(fault),
            Ok(_) => Seen::Wrong("the same was taken twice".to_owned()),
        });
        Ok(())
    }

    async fn wait_for_sums(
        &self,
        meter: &Meter,
        customer: &str,
        say: &mut impl FnMut(&Seen),
    ) -> Result<(), Fault> {
        let hour = self.turn / MICROS / HOUR * HOUR;
        let filter = SummaryFilter {
            meter: meter.id.clone(),
            customer: customer.to_owned(),
            span: Span {
                start: hour,
                end: hour + 2 * HOUR,
            },
            window: SummaryWindow::Whole,
        };
        let mut left = self.wait;
        loop {
            let sums = self
                .gateway
                .list_meter_event_summaries(&filter, Cursor::FIRST);
            let shown: Option<i64> = sums
                .await?
                .data
                .iter()
                .map(|sum| sum.aggregated_value.0)
                .sum();
            match shown {
                Some(UNITS) => {
                    say(&Seen::Well(format!("its sums show {UNITS} units")));
                    return Ok(());
                }
                Some(0) => {}
                Some(_) | None => {
                    say(&Seen::Wrong(
                        "its sums show another number of units".to_owned(),
                    ));
                    return Ok(());
                }
            }
            if left.is_zero() {
                let text = "its sums do not show the usage yet; they are minutes behind";
                say(&Seen::Note(text.to_owned()));
                return Ok(());
            }
            let pause = PAUSE.min(left);
            tokio::time::sleep(pause).await;
            left = left.saturating_sub(pause);
        }
    }

    /// Lets go of what was made; says of each thing what came of it.
    async fn clean_up(&self, made: &Made) -> Vec<(String, Result<(), Fault>)> {
        let mut gone = Vec::new();
        if let Some(id) = &made.subscription {
            let how = CancelNow {
                invoice_now: false,
                prorate: false,
            };
            let ended = self.gateway.cancel_subscription(id, how).await;
            gone.push((format!("subscription {id}"), ended.map(drop)));
        }
        if let Some(id) = &made.customer {
            let deleted = self.gateway.delete_customer(id).await;
            gone.push((format!("customer {id}"), deleted.map(drop)));
        }
        for id in &made.prices {
            let change = PriceChange {
                active: Some(false),
                ..PriceChange::default()
            };
            let key = self.key(&format!("off_{id}"));
            let shelved = self.gateway.update_price(id, &change, &key).await;
            gone.push((format!("price {id}"), shelved.map(drop)));
        }
        if let Some(id) = &made.product {
            let shelved = self.set_product_active(false).await;
            gone.push((format!("product {id}"), shelved));
        }
        if let Some(id) = &made.meter {
            let asleep = self.gateway.deactivate_meter(id, &self.key("sleep")).await;
            gone.push((format!("meter {id}"), asleep.map(drop)));
        }
        gone
    }
}
