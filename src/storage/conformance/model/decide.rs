//! The decision of a random turn: pure, so that two stores that find the same write the same.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::credits::books;
use super::turn::{Move, Turn};
use super::{CUSTOMERS, anchor, feature};
use crate::domain::catalog::EntitlementSpec;
use crate::domain::customer::{Adjustment, Allocation, Override, Subaccount};
use crate::domain::id::{AllocationId, CustomerId, FeatureId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::conformance::fixture::{
    answer, counter, customer_id, customer_write, held, labels, reservation, rollups_of, set,
    shift, spec, spec_where, subaccount_id,
};
use crate::storage::{Changes, CounterShift, EventRow, Found, Use};

/// Decides a turn: counts what is new, takes back what is to be taken back, makes the moves.
pub(super) fn decide(turn: &Turn, found: &Found<'_>, now: Timestamp) -> Changes {
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
            let mut maker = Maker {
                index: *customer,
                found,
                now,
                changes: &mut changes,
                shifts: &mut shifts,
            };
            maker.make(one);
        }
    }
    changes.shifts = shifts.0.into_values().collect();
    changes.books = books(&turn.credits, found, now);
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

/// Puts moves of one customer into changes.
struct Maker<'a> {
    index: usize,
    found: &'a Found<'a>,
    now: Timestamp,
    changes: &'a mut Changes,
    shifts: &'a mut Shifts,
}

impl Maker<'_> {
    fn make(&mut self, one: &Move) {
        match one {
            Move::Reserve(id, quantity) => self.reserve(*id, *quantity),
            Move::End(nth) => self.end(usize::from(*nth)),
            Move::Allocate(id) => self.allocate(*id),
            Move::Free(id) => self.free(*id),
            Move::Override(sub) => self.set_override(*sub),
            Move::Unoverride(sub) => self.remove_override(*sub),
            Move::Adjust(baseline) => self.adjust(*baseline),
            Move::Subaccount(id) => self.subaccount(*id),
            Move::Rename(name) => self.rename(*name),
            Move::Answer(id) => self.answer(*id),
            Move::Deny(_) => {}
            Move::Plant(used) => self.plant(*used),
            Move::Overflow => self.overflow(),
        }
    }

    fn customer(&self) -> CustomerId {
        customer_id(CUSTOMERS[self.index])
    }

    fn hold(&mut self, start: Timestamp, amount: i64) {
        self.shifts.add(CounterShift {
            customer: self.customer(),
            subaccount: None,
            spec: spec("hour"),
            start,
            end: start.plus(Span::from_hours(1)),
            used: Milli::ZERO,
            reserved: Milli(amount * 1000),
        });
    }

    fn reserve(&mut self, id: u8, quantity: i64) {
        let id = format!("{}-{id}", self.now.as_micros());
        let hour = spec("hour");
        let start = hour.window.range(anchor(), self.now).start;
        self.hold(start, quantity);
        let windows = vec![held(&hour, start)];
        let row = reservation(&id, self.now, quantity, windows);
        self.changes.reservations.push((self.customer(), row));
    }

    fn end(&mut self, nth: usize) {
        let account = self.found.accounts[self.index].rows().into_iter();
        let mut open: Vec<_> = account.flat_map(|rows| &rows.reservations).collect();
        open.sort_by_key(|held| held.id.clone());
        let Some(ending) = open.get(nth) else {
            return;
        };
        let mut made = self.changes.reservations.iter();
        if made.any(|(_, held)| held.id == ending.id) {
            return;
        }
        let mut ended = (*ending).clone();
        ended.state = ReservationState::Committed;
        ended.end_time = Some(self.now);
        let start = spec("hour")
            .window
            .range(anchor(), ended.reserve_time)
            .start;
        self.hold(start, -ended.items[0].granted);
        self.changes.reservations.push((self.customer(), ended));
    }

    fn allocate(&mut self, id: u8) {
        let (feature, id) = allocation(id);
        let row = Allocation {
            feature,
            id,
            subaccount: (self.index == 0).then(|| subaccount_id("s1")),
            metadata: Labels::new(),
            create_time: self.now,
        };
        if self.changes.deallocations.is_empty() {
            self.changes.allocations.push((self.customer(), row));
        }
    }

    fn free(&mut self, id: u8) {
        let (feature, id) = allocation(id);
        if self.changes.allocations.is_empty() {
            let row = (self.customer(), feature, id);
            self.changes.deallocations.push(row);
        }
    }

    fn set_override(&mut self, sub: bool) {
        let row = Override {
            feature: feature(),
            subaccount: sub.then(|| subaccount_id("s1")),
            spec: EntitlementSpec::Concurrency(Some(self.now.as_micros())),
            expire_time: None,
            note: Box::default(),
            create_time: self.now,
        };
        if self.changes.removed_overrides.is_empty() {
            self.changes.overrides.push((self.customer(), row));
        }
    }

    fn remove_override(&mut self, sub: bool) {
        if self.changes.overrides.is_empty() {
            let below = sub.then(|| subaccount_id("s1"));
            let row = (self.customer(), feature(), below);
            self.changes.removed_overrides.push(row);
        }
    }

    fn adjust(&mut self, baseline: i64) {
        let hour = spec("hour");
        let row = Adjustment {
            feature: feature(),
            start: hour.window.range(anchor(), self.now).start,
            spec: hour,
            since: None,
            baseline: Milli(baseline),
            amount: None,
        };
        self.changes.adjustments.push((self.customer(), vec![row]));
    }

    fn subaccount(&mut self, id: u8) {
        let row = Subaccount {
            id: subaccount_id(&format!("s{id}")),
            display_name: Box::default(),
            metadata: labels(&[("now", &self.now.to_string())]),
            create_time: self.now,
            update_time: self.now,
            delete_time: None,
        };
        let row = (self.customer(), row, vec![spec("hour")]);
        self.changes.subaccounts.push(row);
    }

    fn rename(&mut self, name: u8) {
        let mut write = customer_write(CUSTOMERS[self.index]);
        write.customer.display_name = Box::from(format!("{name}"));
        write.tracked = vec![spec("hour"), spec("1h")];
        self.changes.customers.push(write);
    }

    fn answer(&mut self, id: u8) {
        if self.found.requests[usize::from(id)].is_none() && self.changes.answers.is_empty() {
            let row = answer(&format!("r{id}"), &self.now.to_string());
            self.changes.answers.push(row);
        }
    }

    fn plant(&mut self, used: i64) {
        let day = spec("day");
        let range = day.window.range(anchor(), self.now);
        let row = set(CUSTOMERS[self.index], counter(&day, range, used, 0));
        self.changes.counters.push(row);
    }

    fn overflow(&mut self) {
        let mut row = counter(&spec("week"), TimeRange::ALWAYS, 0, 0);
        row.used = Use::Fixed(Milli(i64::MAX));
        let id = CUSTOMERS[self.index];
        self.shifts
            .add(shift(id, &row.spec, TimeRange::ALWAYS, 1, 0));
        self.changes.counters.push(set(id, row));
    }
}
