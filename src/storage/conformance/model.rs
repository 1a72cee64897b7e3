//! Random batches, given to a store and to the reference store: both must show the same afterwards.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::fixture::{
    START, all_events, answer, counter, create_tracking, customer_id, customer_write, event, held,
    labels, meter, minute, reservation, rollups_of, set, spec, spec_where, subaccount_id,
};
use crate::domain::catalog::{EntitlementSpec, Interval};
use crate::domain::customer::{Adjustment, Allocation, Override, Subaccount};
use crate::domain::id::{AllocationId, EventId, FeatureId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::{Anchor, TimeRange};
use crate::storage::memory::MemoryStore;
use crate::storage::{
    AuditQuery, Batch, BatchMark, Changes, CounterShift, CustomerNo, CustomerQuery, Denial,
    DenialQuery, EventKey, EventKind, EventRow, Fold, Found, ReservationQuery, Store, StoreError,
    StoredEvent, UsageQuery, Use,
};

const CUSTOMERS: [&str; 3] = ["acme", "bolt", "c/3"];
const KEEP: Span = Span::from_days(40);

/// One event in few numbers.
#[derive(Debug, Clone)]
struct Sketch {
    customer: usize,
    id: u8,
    subaccount: u8,
    dimensions: u8,
    calls: bool,
    quantity: i64,
    minutes_back: i64,
}

/// One step of a random history.
#[derive(Debug, Clone)]
struct Turn {
    minutes_on: i64,
    plain: Vec<Vec<Sketch>>,
    refused: Vec<(usize, usize)>,
    voids: Vec<(usize, u8)>,
    moves: Vec<(usize, Move)>,
    trims: bool,
}

/// What else a batch writes for a customer.
#[derive(Debug, Clone)]
enum Move {
    Reserve(u8, i64),
    End(u8),
    Allocate(u8),
    Free(u8),
    Override(bool),
    Unoverride(bool),
    Adjust(i64),
    Subaccount(u8),
    Rename(u8),
    Answer(u8),
    Deny(u8),
    /// Sets a counter to a value that events do not give.
    Plant(i64),
    /// Breaks the batch.
    Overflow,
}

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let sketch = (
        0..CUSTOMERS.len(),
        0..150_u8,
        0..3_u8,
        0..5_u8,
        any::<bool>(),
        -9..50_i64,
        0..4_000_i64,
    );
    let sketch = sketch.prop_map(
        |(customer, id, subaccount, dimensions, calls, quantity, minutes_back)| Sketch {
            customer,
            id,
            subaccount,
            dimensions,
            calls,
            quantity,
            minutes_back,
        },
    );
    prop::collection::vec(sketch, 0..12)
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0..20_u8, 1..9_i64).prop_map(|(id, quantity)| Move::Reserve(id, quantity)),
        4 => (0..20_u8).prop_map(Move::End),
        2 => (0..9_u8).prop_map(Move::Allocate),
        1 => (0..9_u8).prop_map(Move::Free),
        1 => any::<bool>().prop_map(Move::Override),
        1 => any::<bool>().prop_map(Move::Unoverride),
        1 => (-5..5_i64).prop_map(Move::Adjust),
        1 => (0..3_u8).prop_map(Move::Subaccount),
        1 => any::<u8>().prop_map(Move::Rename),
        2 => (0..40_u8).prop_map(Move::Answer),
        2 => (0..3_u8).prop_map(Move::Deny),
        1 => (-5..5_i64).prop_map(Move::Plant),
        1 => Just(Move::Overflow),
    ]
}

fn turns() -> impl Strategy<Value = Turn> {
    let minutes = prop_oneof![9 => 0..400_i64, 1 => 20_000..60_000_i64];
    (
        minutes,
        prop::collection::vec(sketches(), 0..3),
        prop::collection::vec((0..2_usize, 0..12_usize), 0..3),
        prop::collection::vec((0..CUSTOMERS.len(), 0..150_u8), 0..6),
        prop::collection::vec((0..CUSTOMERS.len(), moves()), 0..4),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(minutes_on, plain, refused, voids, moves, trims)| Turn {
            minutes_on,
            plain,
            refused,
            voids,
            moves,
            trims,
        })
}

/// Half of the ids are UUIDs, half are not.
fn event_id(id: u8) -> String {
    if id.is_multiple_of(2) {
        format!("0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c{id:04x}")
    } else {
        format!("e/{id}")
    }
}

fn feature() -> FeatureId {
    FeatureId::new("chat").unwrap()
}

/// A store with the numbers that it gave.
struct Side<'a> {
    store: &'a dyn Store,
    numbers: Vec<CustomerNo>,
    batches: i64,
}

impl<'a> Side<'a> {
    async fn open(store: &'a dyn Store) -> Self {
        let tracked = [spec("hour"), spec_where("lifetime", &[("model", "m1")])];
        let mut numbers = Vec::new();
        for id in CUSTOMERS {
            numbers.push(create_tracking(store, id, &tracked).await);
        }
        Self {
            store,
            numbers,
            batches: 0,
        }
    }

    fn event(&self, sketch: &Sketch, now: Timestamp) -> EventRow {
        let customer = (self.numbers[sketch.customer], CUSTOMERS[sketch.customer]);
        let back = Span::from_minutes(u32::try_from(sketch.minutes_back).unwrap());
        let id = event_id(sketch.id);
        let mut row = event(customer, &id, sketch.quantity, now.minus(back)).received(now);
        if sketch.subaccount > 0 {
            row = row.of_subaccount(&format!("s{}", sketch.subaccount));
        }
        if sketch.calls {
            row = row.of_meter("calls");
        }
        let (model, user) = (
            format!("m{}", sketch.dimensions % 2),
            format!("u{}", sketch.id),
        );
        match sketch.dimensions {
            0 => row,
            1 | 2 => row.with(&[("model", &model)]),
            _more => row.with(&[("model", &model), ("user", &user)]),
        }
    }

    /// Commits a turn and writes down what was found and what became of it.
    async fn play(&mut self, turn: &Turn, now: Timestamp) -> String {
        self.batches += 1;
        let mut said = String::new();
        if turn.trims {
            while self.store.trim(now, KEEP).await.unwrap() {}
        }
        let plain: Vec<Arc<Vec<EventRow>>> = turn
            .plain
            .iter()
            .map(|chunk| Arc::new(chunk.iter().map(|one| self.event(one, now)).collect()))
            .collect();
        let probe_events = turn.voids.iter().map(|(customer, id)| EventKey {
            customer: self.numbers[*customer],
            event: EventId::new(event_id(*id)).unwrap(),
            kind: EventKind::Usage,
        });
        let fold = |spec, index: usize| Fold {
            customer: self.numbers[index],
            subaccount: (index == 1).then(|| subaccount_id("s1")),
            spec,
            anchor: anchor(),
            since: now.minus(Span::from_hours(5)),
        };
        let found = Arc::new(Mutex::new(String::new()));
        let (write, decided) = (Arc::clone(&found), turn.clone());
        let batch = Batch {
            mark: BatchMark {
                epoch: 7,
                number: self.batches,
            },
            now,
            plain,
            probe_events: probe_events.collect(),
            probe_requests: (0..40).map(|n| answer(&format!("r{n}"), "").key).collect(),
            load: CUSTOMERS.iter().map(|id| customer_id(id)).collect(),
            folds: vec![
                fold(spec("day"), 0),
                fold(spec("5h"), 1),
                fold(spec_where("lifetime", &[("model", "m1")]), 2),
            ],
            decide: Box::new(move |found| {
                write.lock().unwrap().push_str(&describe(found));
                decide(&decided, found, now)
            }),
        };
        let outcome = match self.store.commit(batch).await {
            Ok(committed) => format!("{} {}", committed.repeated, committed.created.len()),
            Err(StoreError::Constraint(_)) => String::from("constraint"),
            Err(other) => panic!("{other}"),
        };
        writeln!(said, "{}{outcome}", found.lock().unwrap()).unwrap();
        let denials = turn.moves.iter().filter_map(|(customer, one)| match one {
            Move::Deny(reason) => Some(Denial {
                customer: customer_id(CUSTOMERS[*customer]),
                feature: feature(),
                reason: Box::from(format!("R{reason}")),
                minute: Timestamp::from_micros_clamped(now.as_micros() / 60_000_000 * 60_000_000),
                count: 3,
                sample: Box::from(format!("at {now}")),
            }),
            Move::Reserve(..)
            | Move::End(_)
            | Move::Allocate(_)
            | Move::Free(_)
            | Move::Override(_)
            | Move::Unoverride(_)
            | Move::Adjust(_)
            | Move::Subaccount(_)
            | Move::Rename(_)
            | Move::Answer(_)
            | Move::Plant(_)
            | Move::Overflow => None,
        });
        self.store.log_denials(denials.collect()).await.unwrap();
        said
    }

    /// Writes down everything that can be asked.
    async fn show(&self, now: Timestamp) -> String {
        let mut said = String::new();
        for id in CUSTOMERS {
            let account = self.store.account(&customer_id(id), now).await.unwrap();
            said.push_str(&describe_account(&account));
            let page = self.store.events(all_events(id)).await.unwrap();
            let events: Vec<_> = page.items.iter().map(numberless).collect();
            writeln!(said, "events {events:#?}").unwrap();
            for group in [vec![], vec![Box::from("model")], vec![Box::from("user")]] {
                let rows = self.store.usage(usage_of(id, group, now)).await.unwrap();
                writeln!(said, "usage {rows:#?}").unwrap();
            }
            let query = ReservationQuery {
                customer: customer_id(id),
                id: None,
                state: None,
                holder: None,
                after: None,
                limit: 1_000,
            };
            let page = self.store.reservations(query).await.unwrap();
            writeln!(said, "reservations {:#?}", page.items).unwrap();
            let query = DenialQuery {
                customer: customer_id(id),
                feature: None,
                reason: None,
                range: TimeRange::ALWAYS,
                after: None,
                limit: 1_000,
            };
            let page = self.store.denials(query).await.unwrap();
            writeln!(said, "denials {:#?}", page.items).unwrap();
        }
        let query = AuditQuery {
            customer: None,
            after: None,
            limit: 10,
        };
        let mut found = self.store.audit(query).await.unwrap().mismatches;
        found.sort_by_key(|row| {
            let owner = (row.customer.clone(), row.subaccount.clone());
            (owner, row.spec.clone(), row.start)
        });
        writeln!(said, "audit {found:#?}").unwrap();
        let mut overdue = self.store.overdue(now, 100).await.unwrap();
        overdue.sort();
        writeln!(said, "overdue {overdue:?}").unwrap();
        let query = CustomerQuery {
            limit: 100,
            ..CustomerQuery::default()
        };
        let page = self.store.customers(query).await.unwrap();
        writeln!(said, "customers {:#?}", page.items).unwrap();
        said
    }
}

fn anchor() -> Anchor {
    Anchor {
        start: START,
        interval: Interval::Month,
    }
}

/// Asks for three days, in steps that cut hours.
fn usage_of(customer: &str, group_by: Vec<Box<str>>, now: Timestamp) -> UsageQuery {
    let mut unique = meter();
    unique.unique_by = Some(Box::from("user"));
    let step = |index: u32| TimeRange {
        start: now.minus(Span::from_minutes(4_000 - index * 1_333)),
        end: now.minus(Span::from_minutes(4_000 - (index + 1) * 1_333)),
    };
    UsageQuery {
        customer: customer_id(customer),
        subaccount: None,
        meter: Arc::new(unique),
        steps: (0..3).map(step).collect(),
        group_by,
        filter: Labels::new(),
    }
}

fn numberless(stored: &StoredEvent) -> StoredEvent {
    let mut stored = stored.clone();
    stored.row.customer = 0;
    stored
}

fn describe(found: &Found<'_>) -> String {
    let mut said = String::new();
    let mut duplicates: Vec<_> = found.duplicates.iter().collect();
    duplicates.sort_by_key(|one| (one.chunk, one.index));
    for one in duplicates {
        let stored = numberless(&one.stored);
        writeln!(said, "duplicate {} {} {stored:?}", one.chunk, one.index).unwrap();
    }
    let events: Vec<_> = found
        .events
        .iter()
        .map(|one| one.as_ref().map(numberless))
        .collect();
    writeln!(
        said,
        "{events:#?}\n{:?}\n{:#?}",
        found.requests, found.folds
    )
    .unwrap();
    for account in &found.accounts {
        said.push_str(&describe_account(account));
    }
    said
}

/// Writes down an account, in an order of its own.
fn describe_account(account: &Option<crate::storage::AccountRows>) -> String {
    let Some(account) = account else {
        return String::from("none\n");
    };
    let mut rows = account.clone();
    rows.no = 0;
    rows.as_of = 0;
    rows.tracked.sort();
    rows.counters
        .sort_by_key(|row| (row.subaccount.clone(), row.spec.clone(), row.start));
    rows.overrides
        .sort_by_key(|row| (row.feature.clone(), row.subaccount.clone()));
    rows.reservations.sort_by_key(|row| row.id.clone());
    rows.allocations
        .sort_by_key(|row| (row.feature.clone(), row.id.clone()));
    rows.subaccounts
        .sort_by_key(|row| row.subaccount.id.clone());
    format!("{rows:#?}\n")
}

/// Decides a turn: counts what is new, takes back what is to be taken back, makes the moves.
fn decide(turn: &Turn, found: &Found<'_>, now: Timestamp) -> Changes {
    let mut changes = Changes::default();
    let mut out: BTreeSet<(usize, usize)> = BTreeSet::new();
    for place in &turn.refused {
        let exists = found
            .plain
            .get(place.0)
            .is_some_and(|rows| place.1 < rows.len());
        if exists && out.insert(*place) {
            changes.refused.push(*place);
        }
    }
    out.extend(found.duplicates.iter().map(|one| (one.chunk, one.index)));
    let mut counted: Vec<EventRow> = Vec::new();
    for (chunk, rows) in found.plain.iter().enumerate() {
        for (index, row) in rows.iter().enumerate() {
            if !out.contains(&(chunk, index)) {
                counted.push(row.clone());
            }
        }
    }
    let gone: BTreeSet<_> = changes
        .refused
        .iter()
        .map(|place| found.plain[place.0][place.1].event.event_id.clone())
        .collect();
    let mut voided = BTreeSet::new();
    for stored in found.events.iter().flatten() {
        let name = (stored.row.customer, stored.row.event.event_id.clone());
        if !stored.voided && !gone.contains(&name.1) && voided.insert(name) {
            let void = stored.row.voided(now);
            counted.push(void.clone());
            changes.events.push(void);
        }
    }
    changes.rollups = rollups_of(&counted);
    let mut shifts = Shifts::default();
    for row in &counted {
        shifts.count(row);
    }
    let mut made = HashSet::new();
    for (customer, one) in &turn.moves {
        // Each row appears once, so each kind of move is made once.
        if made.insert((*customer, std::mem::discriminant(one))) {
            make(*customer, one, found, now, &mut changes, &mut shifts);
        }
    }
    changes.shifts = shifts.0.into_values().collect();
    changes
}

/// Amounts to add to counters, one per row.
#[derive(Default)]
struct Shifts(BTreeMap<String, CounterShift>);

impl Shifts {
    fn count(&mut self, row: &EventRow) {
        let specs = [spec("hour"), spec_where("lifetime", &[("model", "m1")])];
        for spec in specs {
            if row.event.meter_id != spec.meter || !spec.filter.accepts(&row.event.dimensions) {
                continue;
            }
            let own = row.event.subaccount_id.clone().map(Some);
            for subaccount in std::iter::once(None).chain(own) {
                let range = spec.window.range(anchor(), row.count_time);
                self.add(CounterShift {
                    customer: row.event.customer_id.clone(),
                    subaccount,
                    spec: Arc::clone(&spec),
                    start: range.start,
                    end: range.end,
                    used: row.weighted,
                    reserved: Milli::ZERO,
                });
            }
        }
    }

    fn add(&mut self, shift: CounterShift) {
        let key = format!(
            "{:?} {:?} {:?} {}",
            shift.customer, shift.subaccount, shift.spec, shift.start
        );
        match self.0.get_mut(&key) {
            Some(other) => {
                other.used = other.used.plus(shift.used).unwrap();
                other.reserved = other.reserved.plus(shift.reserved).unwrap();
            }
            None => {
                self.0.insert(key, shift);
            }
        }
    }
}

fn allocation(id: u8) -> (FeatureId, AllocationId) {
    (feature(), AllocationId::new(format!("a{id}")).unwrap())
}

/// Puts one move into changes.
fn make(
    index: usize,
    one: &Move,
    found: &Found<'_>,
    now: Timestamp,
    changes: &mut Changes,
    shifts: &mut Shifts,
) {
    let customer = || customer_id(CUSTOMERS[index]);
    let hour = spec("hour");
    let range = hour.window.range(anchor(), now);
    let below = |sub: bool| sub.then(|| subaccount_id("s1"));
    let hold = |shifts: &mut Shifts, start: Timestamp, amount: i64| {
        shifts.add(CounterShift {
            customer: customer(),
            subaccount: None,
            spec: spec("hour"),
            start,
            end: start.plus(Span::from_hours(1)),
            used: Milli::ZERO,
            reserved: Milli(amount * 1000),
        });
    };
    match one {
        Move::Reserve(id, quantity) => {
            let id = format!("{}-{id}", now.as_micros());
            hold(shifts, range.start, *quantity);
            let windows = vec![held(&hour, range.start)];
            changes
                .reservations
                .push((customer(), reservation(&id, now, *quantity, windows)));
        }
        Move::End(nth) => {
            let open = found.accounts[index]
                .iter()
                .flat_map(|rows| &rows.reservations);
            let mut open: Vec<_> = open.collect();
            open.sort_by_key(|held| held.id.clone());
            let Some(ending) = open.get(usize::from(*nth)) else {
                return;
            };
            if changes
                .reservations
                .iter()
                .any(|(_, held)| held.id == ending.id)
            {
                return;
            }
            let mut ended = (*ending).clone();
            ended.state = ReservationState::Committed;
            ended.end_time = Some(now);
            let start = hour.window.range(anchor(), ended.reserve_time).start;
            hold(shifts, start, -ended.items[0].granted);
            changes.reservations.push((customer(), ended));
        }
        Move::Allocate(id) => {
            let (feature, id) = allocation(*id);
            let row = Allocation {
                feature,
                id,
                subaccount: below(index == 0),
                metadata: Labels::new(),
                create_time: now,
            };
            if changes.deallocations.is_empty() {
                changes.allocations.push((customer(), row));
            }
        }
        Move::Free(id) => {
            let (feature, id) = allocation(*id);
            let same = |row: &Allocation| row.feature == feature && row.id == id;
            if !changes.allocations.iter().any(|(_, row)| same(row)) {
                changes.deallocations.push((customer(), feature, id));
            }
        }
        Move::Override(sub) => {
            let row = Override {
                feature: feature(),
                subaccount: below(*sub),
                spec: EntitlementSpec::Concurrency(Some(now.as_micros())),
                expire_time: None,
                note: Box::default(),
                create_time: now,
            };
            if changes.removed_overrides.is_empty() {
                changes.overrides.push((customer(), row));
            }
        }
        Move::Unoverride(sub) => {
            if changes.overrides.is_empty() {
                let row = (customer(), feature(), below(*sub));
                changes.removed_overrides.push(row);
            }
        }
        Move::Adjust(baseline) => {
            let row = Adjustment {
                feature: feature(),
                spec: hour,
                start: range.start,
                baseline: Milli(*baseline),
                amount: None,
            };
            changes.adjustments.push((customer(), vec![row]));
        }
        Move::Subaccount(id) => {
            let row = Subaccount {
                id: subaccount_id(&format!("s{id}")),
                display_name: Box::default(),
                metadata: labels(&[("now", &now.to_string())]),
                create_time: now,
                delete_time: None,
            };
            changes
                .subaccounts
                .push((customer(), row, vec![spec("hour")]));
        }
        Move::Rename(name) => {
            let mut write = customer_write(CUSTOMERS[index]);
            write.customer.display_name = Box::from(format!("{name}"));
            write.tracked = vec![spec("hour"), spec("1h")];
            changes.customers.push(write);
        }
        Move::Answer(id) => {
            if found.requests[usize::from(*id)].is_none() && changes.answers.is_empty() {
                changes
                    .answers
                    .push(answer(&format!("r{id}"), &now.to_string()));
            }
        }
        Move::Deny(_) => {}
        Move::Plant(used) => {
            let day = spec("day");
            let range = day.window.range(anchor(), now);
            let row = counter(&day, range, *used, 0);
            changes.counters.push(set(CUSTOMERS[index], row));
        }
        Move::Overflow => {
            let mut row = counter(&spec("week"), TimeRange::ALWAYS, 0, 0);
            row.used = Use::Fixed(Milli(i64::MAX));
            changes.counters.push(set(CUSTOMERS[index], row.clone()));
            shifts.add(CounterShift {
                customer: customer(),
                subaccount: None,
                spec: row.spec,
                start: row.start,
                end: row.end,
                used: Milli(1),
                reserved: Milli::ZERO,
            });
        }
    }
}

/// Gives the same random batches to an empty store and to the reference store and compares what both show.
pub async fn same_as_model(store: &dyn Store, seed: u64) {
    let model = MemoryStore::new(Arc::new(|| START));
    let mut sides = [Side::open(&model).await, Side::open(store).await];
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let history = prop::collection::vec(turns(), 60);
    let history = history.new_tree(&mut runner).unwrap().current();
    let mut now = minute(10_000);
    for (step, turn) in history.iter().enumerate() {
        now = now.plus(Span::from_minutes(u32::try_from(turn.minutes_on).unwrap()));
        let [model, other] = &mut sides;
        let expected = model.play(turn, now).await;
        let got = other.play(turn, now).await;
        assert_same(&expected, &got, seed, step, turn);
        if step % 10 == 9 {
            let expected = model.show(now).await;
            let got = other.show(now).await;
            assert_same(&expected, &got, seed, step, turn);
        }
    }
}

/// Compares line by line, so that a failure shows the first difference with what stands before it.
fn assert_same(expected: &str, got: &str, seed: u64, step: usize, turn: &Turn) {
    if expected == got {
        return;
    }
    let differ = |pair: &(&str, &str)| pair.0 != pair.1;
    let same = expected
        .lines()
        .zip(got.lines())
        .take_while(|pair| !differ(pair))
        .count();
    let part = |text: &str| {
        let lines = text.lines().skip(same.saturating_sub(30)).take(40);
        lines.collect::<Vec<_>>().join("\n")
    };
    panic!(
        "seed {seed}, step {step}: {turn:#?}\nreference:\n{}\n\nstore:\n{}",
        part(expected),
        part(got)
    );
}

pub async fn random_batches_agree_with_the_reference(store: &dyn Store) {
    same_as_model(store, 1).await;
}
