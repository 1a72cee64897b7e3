//! The naive model: events in a map, everything else summed up from it on demand.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

pub const CUSTOMERS: u8 = 3;
/// Units per day.
pub const DAY_LIMIT: i64 = 60;
/// Units for ever.
pub const LIFETIME_LIMIT: i64 = 150;
/// Slots at once.
pub const JOBS: usize = 2;
const DAY: i64 = 86_400;

pub const CATALOG: &str = r#"
default_plan = "basic"
[meters.tokens]
unit = "token"
aggregation = "sum"
[features]
jobs = "concurrency"
[features.tokens]
metered = { meter = "tokens" }
[plans.basic]
[plans.basic.entitlements]
jobs = 2
tokens = { limits = [{ amount = 60, window = "day" }, { amount = 150, window = "lifetime" }] }
"#;

/// What the model knows. Times are seconds since the start.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub now: i64,
    pub customers: BTreeMap<u8, Customer>,
    pub expected: Expected,
}

#[derive(Debug, Clone, Default)]
pub struct Customer {
    pub events: BTreeMap<u16, Event>,
    pub reservations: BTreeMap<u16, Reservation>,
    granted: BTreeMap<u16, i64>,
    released: BTreeSet<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub quantity: i64,
    pub time: i64,
    pub reservation: Option<u16>,
    pub count_time: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    pub call: Call,
    pub left: i64,
    pub made: i64,
    pub expire: i64,
    pub open: bool,
}

/// What a reservation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub quantity: i64,
    pub least: i64,
    pub job: bool,
    pub ttl: i64,
}

/// What the last step must come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    #[default]
    Nothing,
    Recorded(Vec<Fate>),
    Consumed(Option<Fate>),
    /// Units granted; `None`: denied.
    Reserved(Option<i64>),
    RequestReused,
    Settled(bool),
    Extended(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Recorded,
    Duplicate,
    Reused,
}

#[derive(Debug, Clone)]
pub enum Step {
    Record(u8, Vec<(u16, Event)>),
    Consume(u8, u16, Event),
    Reserve(u8, u16, Call),
    Settle(u8, u16, bool, Vec<(u16, Event)>),
    Extend(u8, u16, i64),
    Wait(i64),
    Forget,
    Reopen,
}

impl Customer {
    pub fn used(&self, since: i64, until: i64) -> i64 {
        let inside = |event: &&Event| (since..until).contains(&event.count_time);
        self.events
            .values()
            .filter(inside)
            .map(|event| event.quantity)
            .sum()
    }

    pub fn reserved(&self, now: i64, since: i64) -> i64 {
        let open = self.open(now).filter(|held| held.made >= since);
        open.map(|held| held.left).sum()
    }

    pub fn open(&self, now: i64) -> impl Iterator<Item = &Reservation> {
        self.reservations
            .values()
            .filter(move |held| held.open && now < held.expire)
    }

    /// Units that still fit under both limits.
    pub fn room(&self, now: i64) -> i64 {
        let day = now.div_euclid(DAY) * DAY;
        let today = DAY_LIMIT - self.used(day, day + DAY) - self.reserved(now, day);
        let ever = LIFETIME_LIMIT - self.used(i64::MIN, i64::MAX) - self.reserved(now, i64::MIN);
        today.min(ever)
    }

    fn record(&mut self, id: u16, mut event: Event, now: i64) -> Fate {
        if let Some(stored) = self.events.get(&id) {
            let same = (stored.quantity, stored.time, stored.reservation)
                == (event.quantity, event.time, event.reservation);
            return if same { Fate::Duplicate } else { Fate::Reused };
        }
        event.count_time = event.time;
        if let Some(held) = event
            .reservation
            .and_then(|id| self.reservations.get_mut(&id))
            && held.open
            && now < held.expire
        {
            event.count_time = held.made;
            held.left -= event.quantity.min(held.left);
        }
        self.events.insert(id, event);
        Fate::Recorded
    }
}

/// An event that was sent before, or one of our own making.
fn event(state: &Model, customer: u8) -> BoxedStrategy<(u16, Event)> {
    let now = state.now;
    let held = &state.customers[&customer];
    let open: Vec<Option<u16>> = std::iter::once(None)
        .chain(held.reservations.keys().copied().map(Some))
        .collect();
    let fresh = (
        0..40_u16,
        0..25_i64,
        0..100_000_i64,
        prop::sample::select(open),
    )
        .prop_map(move |(id, quantity, back, reservation)| {
            (
                id,
                Event {
                    quantity,
                    time: now - back,
                    reservation,
                    count_time: 0,
                },
            )
        });
    let before: Vec<(u16, Event)> = held
        .events
        .iter()
        .map(|(id, event)| (*id, *event))
        .collect();
    if before.is_empty() {
        return fresh.boxed();
    }
    prop_oneof![3 => fresh, 1 => prop::sample::select(before)].boxed()
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let customers = (0..CUSTOMERS).map(|id| (id, Customer::default())).collect();
        Just(Self {
            now: 0,
            customers,
            expected: Expected::Nothing,
        })
        .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let state = state.clone();
        (0..CUSTOMERS)
            .prop_flat_map(move |who| {
                let events = prop::collection::vec(event(&state, who), 1..6);
                let last = prop::collection::vec(event(&state, who), 0..3);
                let call = (1..50_i64, 1..50_i64, any::<bool>(), 1..300_i64).prop_map(
                    |(quantity, least, job, ttl)| Call { quantity, least: least.min(quantity), job, ttl },
                );
                let again: Vec<(u16, Call)> = state.customers[&who]
                    .reservations
                    .iter()
                    .map(|(id, held)| (*id, held.call))
                    .chain(std::iter::once((0, Call { quantity: 1, least: 1, job: false, ttl: 60 })))
                    .collect();
                prop_oneof![
                    3 => events.prop_map(move |events| Step::Record(who, events)),
                    2 => event(&state, who).prop_map(move |(id, event)| {
                        Step::Consume(who, id, Event { reservation: None, ..event })
                    }),
                    3 => (0..24_u16, call).prop_map(move |(id, call)| Step::Reserve(who, id, call)),
                    1 => prop::sample::select(again).prop_map(move |(id, call)| Step::Reserve(who, id, call)),
                    2 => (0..24_u16, any::<bool>(), last).prop_map(move |(id, commit, mut events)| {
                        // Events twice in one commit are tried elsewhere.
                        events.sort_by_key(|event| event.0);
                        events.dedup_by_key(|event| event.0);
                        Step::Settle(who, id, commit, if commit { events } else { Vec::new() })
                    }),
                    1 => (0..24_u16, 1..400_i64).prop_map(move |(id, ttl)| Step::Extend(who, id, ttl)),
                    1 => (1..40_000_i64).prop_map(Step::Wait),
                    1 => Just(Step::Forget),
                    1 => Just(Step::Reopen),
                ]
            })
            .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        let now = state.now;
        state.expected = match step {
            Step::Record(who, events) => {
                let customer = state.customers.get_mut(who).expect("a known customer");
                // Events that name a reservation are stored after those that do not.
                let mut fates = vec![Fate::Recorded; events.len()];
                for named in [false, true] {
                    for (index, (id, event)) in events.iter().enumerate() {
                        if event.reservation.is_some() == named {
                            fates[index] = customer.record(*id, *event, now);
                        }
                    }
                }
                Expected::Recorded(fates)
            }
            Step::Consume(who, id, event) => {
                let customer = state.customers.get_mut(who).expect("a known customer");
                let known = customer.events.contains_key(id);
                // It is decided, and counts, now, wherever the event's own time lies.
                if known || event.quantity <= customer.room(now) {
                    let fate = customer.record(*id, *event, now);
                    if let (false, Some(stored)) = (known, customer.events.get_mut(id)) {
                        stored.count_time = now;
                        assert!(customer.room(now) >= 0, "it fits, and then it has");
                    }
                    Expected::Consumed(Some(fate))
                } else {
                    Expected::Consumed(None)
                }
            }
            Step::Reserve(who, id, call) => state.reserve(*who, *id, *call),
            Step::Settle(who, id, commit, events) => state.settle(*who, *id, *commit, events),
            Step::Extend(who, id, ttl) => {
                let customer = state.customers.get_mut(who).expect("a known customer");
                match customer
                    .reservations
                    .get_mut(id)
                    .filter(|held| held.open && now < held.expire)
                {
                    Some(held) => {
                        held.expire = now + ttl;
                        Expected::Extended(true)
                    }
                    None => Expected::Extended(false),
                }
            }
            Step::Wait(seconds) => {
                state.now += seconds;
                Expected::Nothing
            }
            Step::Forget | Step::Reopen => Expected::Nothing,
        };
        state
    }
}

impl Model {
    fn reserve(&mut self, who: u8, id: u16, call: Call) -> Expected {
        let now = self.now;
        let customer = self.customers.get_mut(&who).expect("a known customer");
        if let Some(before) = customer.reservations.get(&id) {
            return if before.call == call {
                Expected::Reserved(customer.granted.get(&id).copied())
            } else {
                Expected::RequestReused
            };
        }
        let room = customer.room(now);
        let busy = customer.open(now).filter(|held| held.call.job).count();
        let granted = room.min(call.quantity);
        if granted < call.least || granted <= 0 || (call.job && busy >= JOBS) {
            return Expected::Reserved(None);
        }
        let held = Reservation {
            call,
            left: granted,
            made: now,
            expire: now + call.ttl,
            open: true,
        };
        customer.reservations.insert(id, held);
        customer.granted.insert(id, granted);
        assert!(
            customer.room(now) >= 0,
            "L3: what raises `reserved` stays within every limit"
        );
        Expected::Reserved(Some(granted))
    }

    fn settle(&mut self, who: u8, id: u16, commit: bool, events: &[(u16, Event)]) -> Expected {
        let now = self.now;
        let customer = self.customers.get_mut(&who).expect("a known customer");
        let Some(held) = customer.reservations.get(&id).copied() else {
            return Expected::Settled(false);
        };
        let open = held.open && now < held.expire;
        let expired = held.open && now >= held.expire;
        let released = customer.released.contains(&id);
        if !(open || expired || released && !commit) {
            return Expected::Settled(false);
        }
        let reused = events.iter().any(|(id, event)| {
            customer.events.get(id).is_some_and(|stored| {
                (stored.quantity, stored.time, stored.reservation)
                    != (event.quantity, event.time, event.reservation)
            })
        });
        if reused {
            return Expected::Settled(false);
        }
        for (id, event) in events {
            customer.record(*id, *event, now);
        }
        if open && let Some(held) = customer.reservations.get_mut(&id) {
            held.open = false;
            if !commit {
                customer.released.insert(id);
            }
        }
        Expected::Settled(true)
    }
}
