//! The sandbox and its test clock: an engine, the model of Stripe behind it, and what follows when time passes.

mod clock;
mod keeping;

use std::sync::Arc;

use bursar::clock::{Clock, ManualClock, MovedClock};
use bursar::domain::catalog::{Interval, parse_catalog};
use bursar::domain::id::{CustomerId, EventId, FeatureId, MeterId, RequestId};
use bursar::domain::subscription::SubscriptionStatus;
use bursar::domain::time::{Span, Timestamp};
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::engine::{
    Biller, BillingTerms, CheckAsk, CheckMode, Engine, Limits, PlanStanding, Profile,
    RecordOutcome, SubscribeAsk, moved_ahead,
};
use bursar::storage::memory::MemoryStore;
use bursar::storage::{Store, StoredCatalog};
use bursar::stripe::gateway::{
    Caller, Cursor, Gateway, Invoice, InvoiceFilter, Rates, Repeats, Transport,
};
use bursar::stripe::{Sandbox, StripeBiller};

use crate::harness::START;

/// What is sold: two dollars a month with ten calls, each further one for a cent.
const CATALOG: &str = r#"
default_plan = "free"
[meters.calls]
unit = "call"
aggregation = "sum"
stripe_event_name = "calls"
[features]
sso = "boolean"
calls = { metered = { meter = "calls" } }
[plans.free]
name = "Free"
[plans.free.entitlements]
calls = { limits = [{ amount = 1, window = "month" }] }
[plans.pro]
name = "Pro"
prices = { month = "2.00" }
[plans.pro.entitlements]
sso = true
calls = { limits = [{ amount = 10, window = "billing_period", on_limit = "allow" }], overage = { per_unit = "0.01" } }
[plans.max]
name = "Max"
prices = { month = "9.00" }
[plans.max.entitlements]
sso = true
calls = { limits = [{ amount = 100, window = "billing_period", on_limit = "allow" }], overage = { per_unit = "0.01" } }
"#;

/// An engine that bills through the sandbox.
pub struct Stage {
    pub engine: Engine,
    pub biller: StripeBiller,
    pub sandbox: Arc<Sandbox>,
    pub gateway: Arc<Gateway>,
    pub store: Arc<dyn Store>,
    /// The time without what was moved.
    pub inner: Arc<ManualClock>,
}

impl Stage {
    pub async fn new() -> Self {
        let start = Timestamp::from_micros_clamped(START);
        let inner = Arc::new(ManualClock::at(start));
        let time = Arc::clone(&inner);
        let store = Arc::new(MemoryStore::new(Arc::new(move || time.now())));
        Self::on(store, inner).await
    }

    /// Another engine on a store, as after a restart.
    pub async fn on(store: Arc<dyn Store>, inner: Arc<ManualClock>) -> Self {
        let mut catalog = parse_catalog(CATALOG).unwrap();
        catalog.version = 1;
        let catalog = StoredCatalog {
            catalog: Arc::new(catalog),
            source: CATALOG.into(),
            apply_time: inner.now(),
        };
        let ahead = moved_ahead(&*store).await.unwrap();
        let told = Arc::clone(&inner) as Arc<dyn Clock>;
        let clock = Arc::new(MovedClock::new(told, ahead));
        let told = Arc::clone(&clock) as Arc<dyn Clock>;
        let (engine, _) = Engine::start(Arc::clone(&store), told, catalog, Limits::default());
        engine.set_billing(BillingTerms::default());
        let sandbox = Arc::new(Sandbox::new(engine.clone(), clock));
        let transport = Arc::clone(&sandbox) as Arc<dyn Transport>;
        let caller = Caller::new(transport, Rates::LIVE, Repeats::default(), 1);
        let gateway = Arc::new(Gateway::new(caller));
        let (to, held) = (Arc::clone(&gateway), Some(Arc::clone(&sandbox)));
        let biller = StripeBiller::new(engine.clone(), to, ("life".into(), false), held);
        Self {
            engine,
            biller,
            sandbox,
            gateway,
            store,
            inner,
        }
    }

    /// Creates a customer that pays for `pro` with a good card.
    pub async fn subscribe(&self, id: &str) -> CustomerId {
        self.subscribe_to(id, "pro").await
    }

    /// Creates a customer that pays for a plan with a good card.
    pub async fn subscribe_to(&self, id: &str, plan: &str) -> CustomerId {
        let customer = CustomerId::new(id).unwrap();
        let request = RequestId::new(format!("create-{id}")).unwrap();
        let profile = Profile::default();
        let made = self
            .engine
            .create_customer("test", request, customer.clone(), profile);
        made.await.unwrap();
        self.biller
            .set_card(&customer, "4242424242424242")
            .await
            .unwrap();
        let ask = SubscribeAsk {
            customer: customer.clone(),
            plan: plan.to_owned().try_into().unwrap(),
            interval: Interval::Month,
        };
        self.biller.subscribe(&ask, id).await.unwrap();
        customer
    }
}

impl Stage {
    /// Records use of the meter.
    pub async fn used(&self, customer: &CustomerId, id: &str, quantity: i64) {
        let event = UsageEvent {
            event_id: EventId::new(id).unwrap(),
            customer_id: customer.clone(),
            subaccount_id: None,
            meter_id: MeterId::new("calls").unwrap(),
            quantity,
            event_time: None,
            dimensions: Labels::new(),
            metadata: Labels::new(),
            reservation_id: None,
        };
        let prepared = self.engine.prepare(vec![event]).await.unwrap();
        let outcomes = self.engine.record(prepared).await.unwrap();
        let is_recorded = |one: &RecordOutcome| matches!(one, RecordOutcome::Recorded(_));
        assert!(outcomes.iter().all(is_recorded), "{outcomes:?}");
    }

    /// Lets days pass.
    pub async fn pass(&self, days: u32) -> Timestamp {
        let span = Span::from_days(days);
        self.biller.advance_test_clock(span).await.unwrap()
    }

    pub async fn standing(&self, customer: &CustomerId) -> PlanStanding {
        self.engine.get_subscription(customer).await.unwrap()
    }

    pub async fn status(&self, customer: &CustomerId) -> SubscriptionStatus {
        self.standing(customer).await.subscription.unwrap().status
    }

    /// The invoices of a customer, the oldest first.
    pub async fn invoices(&self, customer: &CustomerId) -> Vec<Invoice> {
        let (held, _) = self.engine.get_customer(customer).await.unwrap();
        let payer = held.payer.unwrap();
        let filter = InvoiceFilter {
            customer: Some(&payer),
            subscription: None,
        };
        let page = self.gateway.list_invoices(filter, Cursor::FIRST).await;
        let mut all = page.unwrap().data;
        all.reverse();
        all
    }

    /// Whether a customer may use what only `pro` has.
    pub async fn is_entitled(&self, customer: &CustomerId) -> bool {
        let ask = CheckAsk {
            feature: FeatureId::new("sso").unwrap(),
            quantity: 1,
            dimensions: Labels::new(),
        };
        let mode = CheckMode::default();
        let decisions = self.engine.check(customer, None, &[ask], mode).await;
        decisions.unwrap()[0].allowed
    }
}
