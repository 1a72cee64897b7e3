//! An engine on an empty store, and calls in few words.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::failing::Failing;
use crate::clock::{Clock, ManualClock};
use crate::domain::catalog::parse_catalog;
use crate::domain::decision::Decision;
use crate::domain::id::{
    AllocationId, CustomerId, EventId, FeatureId, MeterId, PlanId, RequestId, SubaccountId,
};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{Labels, UsageEvent};
use crate::domain::window::Window;
use crate::engine::{
    AllocateAnswer, AllocateCall, CatalogAnswer, CatalogCall, CheckAsk, CheckMode, Engine, Error,
    Limits, PlanCall, PlanStanding, Profile, RecordOutcome, ReserveAnswer, ReserveCall,
};
use crate::storage::memory::MemoryStore;
use crate::storage::{AuditQuery, Store, StoredCatalog};

/// What the tests sell. Month and day step from the customer's anchor.
pub const CATALOG: &str = r#"
default_plan = "free"
meters.tokens = { aggregation = "sum", unit = "token", dimensions = ["model"] }
meters.peak = { aggregation = "max", unit = "user" }

[features]
sso = "boolean"
tier = "static"
seats = "allocation"
jobs = "concurrency"
calls = "rate"
tokens = { metered = { meter = "tokens" } }
peak = { metered = { meter = "peak" } }

[plans.free.entitlements]
seats = 1
tokens = { limits = [{ amount = 100, window = "month" }] }

[plans.carry]
on_change = "carry"
[plans.carry.entitlements]
seats = 3
jobs = 2
tokens = { limits = [
    { amount = 1_000, window = "month" },
    { amount = 600, window = "day" },
    { amount = 5_000, window = "billing_period" },
], subaccount_limits = [{ amount = 300, window = "day" }] }

[plans.reset]
on_change = "reset"
[plans.reset.entitlements]
tokens = { limits = [{ amount = 500, window = "month" }] }

[plans.prorate]
on_change = "prorate"
[plans.prorate.entitlements]
tokens = { limits = [{ amount = 3_000, window = "month" }] }

[plans.unlimited]
on_change = "prorate"
[plans.unlimited.entitlements]
tokens = { limits = [{ amount = "unlimited", window = "month" }] }

[plans.paid]
prices = { year = "290.00" }
trial_days = 14
commitment = { paid = 9, delivered = 12 }
[plans.paid.entitlements]
sso = true
"#;

pub struct Setting {
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    pub store: Arc<Failing>,
    requests: AtomicU32,
}

/// 2026-01-01T00:00:00Z.
pub fn start() -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000).unwrap()
}

pub fn customer(id: &str) -> CustomerId {
    CustomerId::new(id).unwrap()
}

pub fn feature(id: &str) -> FeatureId {
    FeatureId::new(id).unwrap()
}

pub fn subaccount(id: &str) -> SubaccountId {
    SubaccountId::new(id).unwrap()
}

pub fn request(id: &str) -> RequestId {
    RequestId::new(id).unwrap()
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let own = |text: &str| Box::from(text);
    pairs
        .iter()
        .map(|(key, value)| (own(key), own(value)))
        .collect()
}

pub fn stored_catalog(toml: &str, version: i64) -> StoredCatalog {
    let mut catalog = parse_catalog(toml).unwrap();
    catalog.version = version;
    StoredCatalog {
        catalog: Arc::new(catalog),
        source: Arc::from(toml),
        apply_time: start(),
    }
}

/// A call to give `acme` a plan.
pub fn plan(id: &str) -> PlanCall {
    PlanCall {
        customer: customer("acme"),
        plan: PlanId::new(id).unwrap(),
        interval: None,
        status: None,
        trial_end: None,
        grace_end: None,
        anchor: None,
    }
}

/// A call to give `acme` a seat.
pub fn seat(id: &str) -> AllocateCall {
    AllocateCall {
        customer: customer("acme"),
        feature: feature("seats"),
        id: AllocationId::new(id).unwrap(),
        subaccount: None,
        metadata: Labels::new(),
    }
}

impl Setting {
    /// Starts with the catalog as version 1 and the customer `acme`.
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        let told = Arc::clone(&clock);
        let store = Arc::new(Failing::new(MemoryStore::new(Arc::new(move || told.now()))));
        let (engine, _) = Engine::start(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            stored_catalog(CATALOG, 0),
            Limits::default(),
        );
        let requests = AtomicU32::new(0);
        let setting = Self {
            engine,
            clock,
            store,
            requests,
        };
        assert_eq!(setting.apply(CATALOG).await.unwrap().version, 1);
        setting.create("acme").await;
        setting
    }

    /// Returns a request id that was not used before.
    pub fn fresh(&self) -> RequestId {
        let nth = self.requests.fetch_add(1, Ordering::Relaxed);
        request(&format!("fresh-{nth}"))
    }

    pub async fn create(&self, id: &str) {
        let profile = Profile {
            display_name: Box::from("Ann"),
            email: Box::from("ann@example.org"),
            metadata: labels(&[("region", "eu")]),
            billing_anchor: None,
        };
        let created = self
            .engine
            .create_customer("t", self.fresh(), customer(id), profile);
        created.await.unwrap();
    }

    pub async fn apply(&self, toml: &str) -> Result<CatalogAnswer, Error> {
        let call = CatalogCall {
            source: Box::from(toml),
            expected_version: None,
        };
        self.engine.apply_catalog("t", self.fresh(), call).await
    }

    pub fn pass(&self, days: u32, hours: u32) {
        self.clock.advance(Span::from_days(days));
        self.clock.advance(Span::from_hours(hours));
    }

    /// Records tokens that were used so long ago.
    pub async fn used_ago(&self, tokens: i64, ago: Span, sub: Option<&str>) {
        let event = UsageEvent {
            event_id: EventId::new(self.fresh().as_str()).unwrap(),
            customer_id: customer("acme"),
            subaccount_id: sub.map(subaccount),
            meter_id: MeterId::new("tokens").unwrap(),
            quantity: tokens,
            event_time: Some(self.engine.now().minus(ago)),
            dimensions: Labels::new(),
            metadata: Labels::new(),
            reservation_id: None,
        };
        let prepared = self.engine.prepare(vec![event]).await.unwrap();
        let outcomes = self.engine.record(prepared).await.unwrap();
        assert!(
            matches!(outcomes[0], RecordOutcome::Recorded(_)),
            "{outcomes:?}"
        );
    }

    pub async fn used(&self, tokens: i64) {
        self.used_ago(tokens, Span::ZERO, None).await;
    }

    pub async fn reserve(&self, of: &str, quantity: i64, sub: Option<&str>) -> ReserveAnswer {
        self.try_reserve(of, quantity, sub).await.unwrap()
    }

    /// Tries to set tokens aside for a day.
    pub async fn try_hold(&self, tokens: i64) -> Result<ReserveAnswer, Error> {
        self.try_reserve("tokens", tokens, None).await
    }

    async fn try_reserve(
        &self,
        of: &str,
        quantity: i64,
        sub: Option<&str>,
    ) -> Result<ReserveAnswer, Error> {
        let call = ReserveCall {
            customer: customer("acme"),
            subaccount: sub.map(subaccount),
            items: vec![(feature(of), quantity, quantity, Labels::new())],
            ttl: Span::from_hours(24),
            holder: Box::default(),
            metadata: Labels::new(),
            verbose: false,
        };
        self.engine.reserve("t", self.fresh(), call).await
    }

    /// Looks at a feature of `acme` from memory, and from the store, which must say the same.
    pub async fn look(&self, of: &str, sub: Option<&str>) -> Decision {
        let seen = self.check(of, 0, sub).await;
        self.engine.forget_all();
        assert_eq!(self.check(of, 0, sub).await, seen, "{of} as it is stored");
        seen
    }

    pub async fn check(&self, of: &str, quantity: i64, sub: Option<&str>) -> Decision {
        let ask = CheckAsk {
            feature: feature(of),
            quantity,
            dimensions: Labels::new(),
        };
        let how = CheckMode {
            dry_run: true,
            verbose: true,
            ..CheckMode::default()
        };
        let sub = sub.map(subaccount);
        let (acme, asks) = (customer("acme"), [ask]);
        let made = self.engine.check(&acme, sub.as_ref(), &asks, how);
        made.await.unwrap().remove(0)
    }

    pub async fn assign(&self, call: PlanCall) -> Result<PlanStanding, Error> {
        self.engine.assign_plan("t", self.fresh(), call).await
    }

    pub async fn allocate(&self, call: AllocateCall) -> Result<AllocateAnswer, Error> {
        self.engine.allocate("t", self.fresh(), call).await
    }

    /// Sets tokens aside for a day; false when that is denied.
    pub async fn hold(&self, tokens: i64, sub: Option<&str>) -> bool {
        let answer = self.reserve("tokens", tokens, sub).await;
        answer.reservation.is_some()
    }

    /// The tokens of the month: amount and use.
    pub async fn month(&self) -> (Option<i64>, i64) {
        let seen = self.look("tokens", None).await;
        let mut limits = seen.limits.iter();
        let month = limits.find(|limit| limit.window == Window::Month);
        let month = month.expect("every plan limits the month");
        (month.amount, month.used.units_up())
    }

    /// Every counter equals the fold of events and reservations.
    pub async fn counters_are_right(&self) {
        let query = AuditQuery {
            customer: None,
            after: None,
            limit: 100,
        };
        let page = self.store.audit(query).await.unwrap();
        assert!(page.checked > 0);
        assert_eq!(page.mismatches, []);
    }
}

/// Says what an error is, in short.
pub fn cause<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome.unwrap_err() {
        Error::Invalid { field, .. } => format!("invalid {field}"),
        Error::NotFound { kind, .. } => format!("no {kind}"),
        Error::Exists { kind, .. } => format!("other {kind}"),
        Error::CustomerDeleted { .. } => "deleted".to_owned(),
        Error::RequestIdReused { .. } => "request reused".to_owned(),
        Error::FeatureKind { wanted, .. } => format!("not {wanted}"),
        Error::CatalogVersion { actual, .. } => format!("at version {actual}"),
        Error::CatalogInvalid(faults) => format!("{} faults", faults.len()),
        other => panic!("{other:?}"),
    }
}
