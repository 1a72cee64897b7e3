//! Batches, events and customers for tests, in few words.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use crate::domain::catalog::{Aggregation, Filter, Meter};
use crate::domain::counter::CounterSpec;
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, EventId, MeterId, ReservationId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{
    HeldWindow, ItemHold, Reservation, ReservationState, ReservedItem,
};
use crate::domain::rollup::Rollup;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{Labels, UsageEvent};
use crate::domain::window::{TimeRange, Window};
use crate::storage::{
    Batch, BatchMark, Changes, Committed, CounterRow, CounterSet, CounterShift, CustomerNo,
    CustomerWrite, EventFlags, EventKey, EventKind, EventQuery, EventRow, Fold, FoldResult, Found,
    RequestKey, RollupShift, Store, StoreError, StoredAnswer, StoredEvent, Use,
};

/// 2026-01-01T00:00:00Z: when test customers begin.
pub const START: Timestamp = Timestamp::from_micros_clamped(1_767_225_600_000_000);

/// Returns the instant so many minutes after [`START`].
pub fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_micros_clamped(START.as_micros() + minutes * 60_000_000)
}

/// Returns the instant so many days after [`START`].
pub fn day(days: i64) -> Timestamp {
    minute(days * 1440)
}

/// Returns the stretch between two minutes after [`START`].
pub fn between(start: i64, end: i64) -> TimeRange {
    TimeRange {
        start: minute(start),
        end: minute(end),
    }
}

pub fn customer_id(id: &str) -> CustomerId {
    CustomerId::new(id).unwrap()
}

pub fn subaccount_id(id: &str) -> SubaccountId {
    SubaccountId::new(id).unwrap()
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let own = |text: &str| Box::from(text);
    pairs
        .iter()
        .map(|(key, value)| (own(key), own(value)))
        .collect()
}

/// Returns a customer that begins at [`START`].
pub fn customer(id: &str) -> Customer {
    Customer {
        id: customer_id(id),
        display_name: Box::from(id),
        email: Box::default(),
        metadata: Labels::new(),
        create_time: START,
        update_time: START,
        delete_time: None,
    }
}

/// Returns a write of a customer without a plan.
pub fn customer_write(id: &str) -> CustomerWrite {
    CustomerWrite {
        customer: customer(id),
        subscription: None,
        tracked: Vec::new(),
    }
}

/// Creates a customer.
pub async fn create(store: &dyn Store, id: &str) -> CustomerNo {
    create_tracking(store, id, &[]).await
}

/// Creates a customer that tracks counters.
pub async fn create_tracking(
    store: &dyn Store,
    id: &str,
    tracked: &[Arc<CounterSpec>],
) -> CustomerNo {
    let mut write = customer_write(id);
    write.tracked = tracked.to_vec();
    let changes = Changes {
        customers: vec![write],
        ..Changes::default()
    };
    let (committed, _) = Draft::new().changes(changes).run(store).await;
    assert_eq!(committed.created.len(), 1, "{id} is new");
    committed.created[0].1
}

/// Returns a counter of meter `tokens`.
pub fn spec(window: &str) -> Arc<CounterSpec> {
    spec_where(window, &[])
}

/// Returns a counter of meter `tokens` under a filter.
pub fn spec_where(window: &str, filter: &[(&str, &str)]) -> Arc<CounterSpec> {
    Arc::new(CounterSpec {
        meter: MeterId::new("tokens").unwrap(),
        filter: Filter(labels(filter)),
        window: window.parse::<Window>().unwrap(),
    })
}

/// Returns the meter `tokens`.
pub fn meter() -> Meter {
    Meter {
        id: MeterId::new("tokens").unwrap(),
        name: Box::from("Tokens"),
        unit: Box::from("token"),
        aggregation: Aggregation::Sum,
        dimensions: vec![Box::from("model"), Box::from("user")],
        unique_by: None,
        weights: Vec::new(),
        allow_negative: false,
        stripe_event_name: None,
    }
}

/// Returns an event of meter `tokens` that counts, was used and was received at one instant.
pub fn event(of: (CustomerNo, &str), id: &str, quantity: i64, at: Timestamp) -> EventRow {
    EventRow {
        customer: of.0,
        event: UsageEvent {
            event_id: EventId::new(id).unwrap(),
            customer_id: customer_id(of.1),
            subaccount_id: None,
            meter_id: MeterId::new("tokens").unwrap(),
            quantity,
            event_time: Some(at),
            dimensions: Labels::new(),
            metadata: Labels::new(),
            reservation_id: None,
        },
        kind: EventKind::Usage,
        weighted: Milli::from_units(quantity).unwrap(),
        event_time: at,
        count_time: at,
        record_time: at,
        flags: EventFlags::default(),
    }
}

/// Short ways to change an event.
impl EventRow {
    pub fn of_subaccount(mut self, id: &str) -> Self {
        self.event.subaccount_id = Some(subaccount_id(id));
        self
    }

    pub fn of_meter(mut self, id: &str) -> Self {
        self.event.meter_id = MeterId::new(id).unwrap();
        self
    }

    pub fn with(mut self, dimensions: &[(&str, &str)]) -> Self {
        self.event.dimensions = labels(dimensions);
        self
    }

    pub fn received(mut self, at: Timestamp) -> Self {
        self.record_time = at;
        self
    }

    /// Returns the event that takes this one back.
    pub fn voided(&self, received: Timestamp) -> Self {
        let mut void = self.clone();
        void.kind = EventKind::Void;
        void.event.quantity = -void.event.quantity;
        void.weighted = Milli(-void.weighted.0);
        void.record_time = received;
        void
    }

    pub fn key(&self) -> EventKey {
        EventKey {
            customer: self.customer,
            event: self.event.event_id.clone(),
            kind: self.kind,
        }
    }

    /// Returns what this event does to its rollup.
    pub fn rollup(&self) -> RollupShift {
        let mut add = Rollup::of_event(self.weighted, self.count_time);
        let void = self.kind == EventKind::Void;
        if void {
            add.count = -1;
            add.max = None;
            add.latest = None;
        }
        RollupShift {
            customer: self.customer,
            subaccount: self.event.subaccount_id.clone(),
            meter: self.event.meter_id.clone(),
            hour: Rollup::hour_of(self.count_time),
            dimensions: self.event.dimensions.clone(),
            add,
            recount: void,
        }
    }
}

/// Returns what events do to rollups, one shift per row.
pub fn rollups_of<'a>(rows: impl IntoIterator<Item = &'a EventRow>) -> Vec<RollupShift> {
    let mut shifts: Vec<RollupShift> = Vec::new();
    for shift in rows.into_iter().map(EventRow::rollup) {
        let same = shifts.iter_mut().find(|other| {
            other.customer == shift.customer
                && other.subaccount == shift.subaccount
                && other.meter == shift.meter
                && other.hour == shift.hour
                && other.dimensions == shift.dimensions
        });
        if let Some(other) = same {
            other.add = other.add.merge(shift.add).unwrap();
            other.recount |= shift.recount;
        } else {
            shifts.push(shift);
        }
    }
    shifts
}

/// Returns a counter row of the customer: used and reserved in units.
pub fn counter(spec: &Arc<CounterSpec>, range: TimeRange, used: i64, reserved: i64) -> CounterRow {
    CounterRow {
        subaccount: None,
        spec: Arc::clone(spec),
        start: range.start,
        end: range.end,
        used: Use::Fixed(Milli(used * 1000)),
        reserved: Milli(reserved * 1000),
    }
}

/// Returns a write of a counter row.
pub fn set(customer: &str, row: CounterRow) -> CounterSet {
    CounterSet {
        customer: customer_id(customer),
        row,
    }
}

/// Returns a shift of the customer's counter: used and reserved in units.
pub fn shift(
    customer: &str,
    spec: &Arc<CounterSpec>,
    range: TimeRange,
    used: i64,
    reserved: i64,
) -> CounterShift {
    CounterShift {
        customer: customer_id(customer),
        subaccount: None,
        spec: Arc::clone(spec),
        start: range.start,
        end: range.end,
        used: Milli(used * 1000),
        reserved: Milli(reserved * 1000),
    }
}

/// Returns an open reservation of so many tokens in one window, made at `at` for an hour.
pub fn reservation(id: &str, at: Timestamp, tokens: i64, windows: Vec<HeldWindow>) -> Reservation {
    Reservation {
        id: ReservationId::new(id).unwrap(),
        subaccount: None,
        holder: Box::from("worker-1"),
        metadata: labels(&[("job", "7")]),
        items: vec![ReservedItem {
            feature: crate::domain::id::FeatureId::new("chat").unwrap(),
            granted: tokens,
            dimensions: labels(&[("model", "large")]),
            hold: ItemHold::Quota {
                meter: MeterId::new("tokens").unwrap(),
                reserved: Milli(tokens * 1000),
                used: Milli::ZERO,
                windows,
            },
        }],
        reserve_time: at,
        expire_time: at.plus(Span::from_hours(1)),
        state: ReservationState::Open,
        end_time: None,
    }
}

/// Returns a window that a reservation holds.
pub fn held(spec: &Arc<CounterSpec>, start: Timestamp) -> HeldWindow {
    HeldWindow {
        of_subaccount: false,
        spec: Arc::clone(spec),
        start,
    }
}

/// Returns an answer of method `Consume`.
pub fn answer(request: &str, text: &str) -> StoredAnswer {
    StoredAnswer {
        key: RequestKey {
            caller: Box::from("anonymous"),
            method: "Consume",
            request: crate::domain::id::RequestId::new(request).unwrap(),
        },
        content: [7; 16],
        answer: Box::from(text),
    }
}

/// Returns a question for all events of a customer.
pub fn all_events(customer: &str) -> EventQuery {
    EventQuery {
        customer: customer_id(customer),
        subaccount: None,
        meter: None,
        range: TimeRange::ALWAYS,
        dimensions: Labels::new(),
        ids: Vec::new(),
        after: None,
        limit: 100_000,
    }
}

/// Reads all events of a customer.
pub async fn events_of(store: &dyn Store, customer: &str) -> Vec<StoredEvent> {
    let page = store.events(all_events(customer)).await.unwrap();
    assert_eq!(page.next, None);
    page.items
}

/// Reads a counter of the customer in whole units, used and reserved.
pub async fn counter_of(
    store: &dyn Store,
    customer: &str,
    spec: &Arc<CounterSpec>,
    start: Timestamp,
) -> Option<(i64, i64)> {
    let account = store.account(&customer_id(customer), START).await.unwrap();
    let rows = account.unwrap().counters;
    let mut same = rows
        .iter()
        .filter(|row| row.spec == *spec && row.start == start && row.subaccount.is_none());
    let row = same.next()?;
    assert!(same.next().is_none(), "one row per counter");
    let Use::Fixed(used) = row.used else {
        panic!("{spec:?} is fixed");
    };
    Some((used.0 / 1000, row.reserved.0 / 1000))
}

/// What the decision of a draft was shown.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// How often it was called.
    pub calls: usize,
    /// Chunk, index and what is stored.
    pub duplicates: Vec<(usize, usize, StoredEvent)>,
    pub events: Vec<Option<StoredEvent>>,
    pub requests: Vec<Option<StoredAnswer>>,
    pub accounts: Vec<Option<crate::storage::AccountRows>>,
    pub folds: Vec<FoldResult>,
}

/// A batch in the making.
pub struct Draft {
    pub mark: BatchMark,
    pub now: Timestamp,
    plain: Vec<Arc<Vec<EventRow>>>,
    probe_events: Vec<EventKey>,
    probe_requests: Vec<RequestKey>,
    load: Vec<CustomerId>,
    folds: Vec<Fold>,
    changes: Changes,
}

static NUMBER: AtomicI64 = AtomicI64::new(0);

impl Draft {
    /// Returns an empty batch under a mark of its own, decided at [`START`].
    pub fn new() -> Self {
        Self {
            mark: BatchMark {
                epoch: 1,
                number: NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
            },
            now: START,
            plain: Vec::new(),
            probe_events: Vec::new(),
            probe_requests: Vec::new(),
            load: Vec::new(),
            folds: Vec::new(),
            changes: Changes::default(),
        }
    }

    /// Decides at another instant.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Takes another mark.
    pub fn marked(mut self, mark: BatchMark) -> Self {
        self.mark = mark;
        self
    }

    /// Adds a chunk of plain events.
    pub fn plain(mut self, rows: Vec<EventRow>) -> Self {
        self.plain.push(Arc::new(rows));
        self
    }

    pub fn probe(mut self, key: EventKey) -> Self {
        self.probe_events.push(key);
        self
    }

    pub fn request(mut self, key: RequestKey) -> Self {
        self.probe_requests.push(key);
        self
    }

    pub fn load(mut self, customer: &str) -> Self {
        self.load.push(customer_id(customer));
        self
    }

    pub fn fold(mut self, fold: Fold) -> Self {
        self.folds.push(fold);
        self
    }

    /// Decides on these changes, whatever is found.
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = changes;
        self
    }

    /// Commits and says what became of it and what the decision saw.
    pub async fn commit(self, store: &dyn Store) -> (Result<Committed, StoreError>, Seen) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (write, changes) = (Arc::clone(&seen), self.changes);
        let decide = move |found: &Found<'_>| {
            let mut seen = write.lock().unwrap();
            seen.calls += 1;
            seen.duplicates = found
                .duplicates
                .iter()
                .map(|duplicate| (duplicate.chunk, duplicate.index, duplicate.stored.clone()))
                .collect();
            seen.events.clone_from(&found.events);
            seen.requests.clone_from(&found.requests);
            seen.accounts.clone_from(&found.accounts);
            seen.folds.clone_from(&found.folds);
            changes
        };
        let batch = Batch {
            mark: self.mark,
            now: self.now,
            plain: self.plain,
            probe_events: self.probe_events,
            probe_requests: self.probe_requests,
            load: self.load,
            folds: self.folds,
            decide: Box::new(decide),
        };
        let outcome = store.commit(batch).await;
        let seen = seen.lock().unwrap().clone();
        (outcome, seen)
    }

    /// Commits what must succeed.
    pub async fn run(self, store: &dyn Store) -> (Committed, Seen) {
        let (outcome, seen) = self.commit(store).await;
        let committed = outcome.unwrap();
        assert!(!committed.repeated);
        assert_eq!(seen.calls, 1);
        (committed, seen)
    }

    /// Commits what must break a constraint.
    pub async fn must_break(self, store: &dyn Store) {
        let (outcome, _) = self.commit(store).await;
        assert!(
            matches!(outcome, Err(StoreError::Constraint(_))),
            "{outcome:?}"
        );
    }
}
