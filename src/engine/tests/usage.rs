//! Usage in few words: a catalog of every aggregation, and events of any age.

use super::setting::{Setting, customer, labels, subaccount};
use crate::domain::id::{EventId, MeterId};
use crate::domain::time::Span;
use crate::domain::usage::UsageEvent;
use crate::engine::{RecordOutcome, SubaccountProfile, VoidAnswer, VoidAsk, VoidWhat};

/// Every aggregation; `tokens` with every kind of window, for the customer and for each subaccount.
pub const CATALOG: &str = r#"
default_plan = "free"
meters.tokens = { aggregation = "sum", unit = "token", dimensions = ["model", "user"] }
meters.calls = { aggregation = "count", unit = "call", dimensions = ["model"] }
meters.peak = { aggregation = "max", unit = "user" }
meters.level = { aggregation = "latest", unit = "byte" }
meters.users = { aggregation = "unique_count", unit = "user", dimensions = ["user"], unique_by = "user" }

[features]
sso = "boolean"
jobs = "concurrency"
tokens = { metered = { meter = "tokens" } }
large = { metered = { meter = "tokens", filter = { model = "large" } } }

[plans.free.entitlements]
sso = true
jobs = 2
large = { limits = [{ amount = 100, window = "hour" }] }
tokens = { limits = [
    { amount = 1_000_000, window = "month" },
    { amount = 500_000, window = "5h" },
    { amount = 600_000, window = "day" },
    { amount = "unlimited", window = "lifetime" },
], subaccount_limits = [{ amount = 300_000, window = "day" }, { amount = 200_000, window = "7d" }] }
"#;

/// Starts with [`CATALOG`], the customer `acme` and its subaccount `bot`, 40 days after its creation.
pub async fn setting() -> Setting {
    let setting = Setting::new().await;
    setting.apply(CATALOG).await.unwrap();
    let (id, profile) = (subaccount("bot"), SubaccountProfile::default());
    let (acme, request) = (customer("acme"), setting.fresh());
    let made = setting
        .engine
        .create_subaccount("t", request, &acme, id, profile);
    made.await.unwrap();
    setting.pass(40, 0);
    setting
}

pub fn event_id(id: &str) -> EventId {
    EventId::new(id).unwrap()
}

impl Setting {
    /// Returns an event of `acme` that happened so many minutes ago.
    pub fn event(&self, id: &str, meter: &str, quantity: i64, minutes: u32) -> UsageEvent {
        UsageEvent {
            event_id: event_id(id),
            customer_id: customer("acme"),
            subaccount_id: None,
            meter_id: MeterId::new(meter).unwrap(),
            quantity,
            event_time: Some(self.engine.now().minus(Span::from_minutes(minutes))),
            dimensions: labels(&[]),
            metadata: labels(&[]),
            reservation_id: None,
        }
    }

    pub async fn record(&self, events: Vec<UsageEvent>) -> Vec<RecordOutcome> {
        let prepared = self.engine.prepare(events).await.unwrap();
        self.engine.record(prepared).await.unwrap()
    }

    /// Records events that are new and right.
    pub async fn recorded(&self, events: Vec<UsageEvent>) {
        for outcome in self.record(events).await {
            assert!(matches!(outcome, RecordOutcome::Recorded(_)), "{outcome:?}");
        }
    }

    pub fn void_ask(ids: &[&str]) -> VoidAsk {
        VoidAsk {
            customer: customer("acme"),
            what: VoidWhat::Ids(ids.iter().map(|id| event_id(id)).collect()),
            reason: Box::from("counted twice"),
            dry_run: false,
        }
    }

    pub async fn void(&self, ids: &[&str]) -> VoidAnswer {
        let ask = Self::void_ask(ids);
        self.engine.void("t", self.fresh(), ask).await.unwrap()
    }

    /// Returns what every limit on tokens has counted, of the customer and of its subaccount.
    pub async fn counted(&self) -> Vec<(bool, String, i64, i64)> {
        let mut all = Vec::new();
        for (of, sub) in [("tokens", Some("bot")), ("large", None)] {
            for limit in self.look(of, sub).await.limits {
                let window = limit.window.to_string();
                all.push((limit.of_subaccount, window, limit.used.0, limit.reserved.0));
            }
        }
        all
    }
}
