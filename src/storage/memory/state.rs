//! Everything that the memory store holds, as ordered maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::billing::Billing;
use super::rollups::{Hour, HourKey};
use super::wallets::Wallets;
use crate::domain::catalog::CatalogVersion;
use crate::domain::counter::CounterSpec;
use crate::domain::customer::{Adjustment, Allocation, Customer, Override};
use crate::domain::id::{
    AllocationId, CustomerId, EventId, FeatureId, RequestId, ReservationId, SubaccountId,
};
use crate::domain::quantity::Milli;
use crate::domain::reservation::Reservation;
use crate::domain::reservation::ReservationState;
use crate::domain::subscription::{Subscription, anchor_of};
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, TimeRange};
use crate::storage::{
    AccountRows, CounterRow, CustomerNo, EventKind, EventRow, StoredAnswer, StoredCatalog,
    StoredEvent, SubaccountRows, Use,
};

/// Everything.
#[derive(Default)]
pub(super) struct State {
    /// Customer numbers by id.
    pub numbers: BTreeMap<CustomerId, CustomerNo>,
    /// What is kept of each customer.
    pub books: BTreeMap<CustomerNo, Books>,
    /// Batches that were committed, by epoch and number.
    pub marks: BTreeSet<(i64, i64)>,
    /// Lives of committers so far.
    pub epoch: i64,
    /// The latest instant that a batch was decided at or a trim was asked for.
    pub latest: Timestamp,
    /// Catalogs by version.
    pub catalogs: BTreeMap<CatalogVersion, StoredCatalog>,
    /// Answers with the instant of the batch that stored them.
    pub answers: BTreeMap<AnswerKey, (Timestamp, StoredAnswer)>,
    /// Dealings with Stripe.
    pub billing: Billing,
    /// The denial log.
    pub denials: BTreeMap<CustomerId, BTreeMap<DenialKey, (i64, Box<str>)>>,
}

/// Caller, method and request.
pub(super) type AnswerKey = (Box<str>, &'static str, RequestId);
/// Minute, feature and reason.
pub(super) type DenialKey = (Timestamp, FeatureId, Box<str>);
/// An event within its customer.
pub(super) type EventName = (EventId, EventKind);

/// What is kept of one customer.
pub(super) struct Books {
    pub customer: Customer,
    pub subscription: Option<Subscription>,
    pub tracked: Vec<Arc<CounterSpec>>,
    pub subaccounts: BTreeMap<SubaccountId, SubaccountRows>,
    pub overrides: BTreeMap<(FeatureId, Option<SubaccountId>), Override>,
    pub adjustments: Vec<Adjustment>,
    pub reservations: BTreeMap<ReservationId, Reservation>,
    pub allocations: BTreeMap<(FeatureId, AllocationId), Allocation>,
    pub counters: BTreeMap<CounterKey, Tallied>,
    pub events: BTreeMap<EventName, EventRow>,
    /// Events by count time.
    pub timeline: BTreeMap<Timestamp, BTreeSet<EventName>>,
    pub rollups: BTreeMap<HourKey, Hour>,
    pub wallets: Wallets,
}

/// Names a counter within its customer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CounterKey {
    pub subaccount: Option<SubaccountId>,
    pub spec: Arc<CounterSpec>,
    pub start: Timestamp,
}

/// What a counter holds.
#[derive(Debug, Clone)]
pub(super) struct Tallied {
    pub end: Timestamp,
    pub used: Use,
    pub reserved: Milli,
    /// The part of `used` whose events were trimmed.
    pub dropped: Milli,
}

impl State {
    pub(super) fn of(&self, customer: &CustomerId) -> Option<(CustomerNo, &Books)> {
        let no = *self.numbers.get(customer)?;
        self.books.get(&no).map(|books| (no, books))
    }

    /// Reads what decisions about one customer need.
    pub(super) fn account(&self, customer: &CustomerId, now: Timestamp) -> Option<AccountRows> {
        let (no, books) = self.of(customer)?;
        let open = |held: &&Reservation| held.state == ReservationState::Open;
        Some(AccountRows {
            no,
            version: 0,
            customer: books.customer.clone(),
            subscription: books.subscription.clone(),
            overrides: books.overrides.values().cloned().collect(),
            tracked: books.tracked.clone(),
            counters: books
                .counters
                .iter()
                .filter(|(_, tallied)| tallied.end > now)
                .map(|(key, tallied)| CounterRow {
                    subaccount: key.subaccount.clone(),
                    spec: Arc::clone(&key.spec),
                    start: key.start,
                    end: tallied.end,
                    used: tallied.used.clone(),
                    reserved: tallied.reserved,
                })
                .collect(),
            adjustments: books.adjustments.clone(),
            reservations: books.reservations.values().filter(open).cloned().collect(),
            allocations: books.allocations.values().cloned().collect(),
            subaccounts: books.subaccounts.values().cloned().collect(),
            wallets: books.wallets.read(now),
            draws: books.wallets.draws(now),
        })
    }
}

impl Books {
    pub(super) fn new(customer: Customer) -> Self {
        Self {
            customer,
            subscription: None,
            tracked: Vec::new(),
            subaccounts: BTreeMap::new(),
            overrides: BTreeMap::new(),
            adjustments: Vec::new(),
            reservations: BTreeMap::new(),
            allocations: BTreeMap::new(),
            counters: BTreeMap::new(),
            events: BTreeMap::new(),
            timeline: BTreeMap::new(),
            rollups: BTreeMap::new(),
            wallets: Wallets::default(),
        }
    }

    /// From where its calendar windows step.
    pub(super) fn anchor(&self) -> Anchor {
        anchor_of(&self.customer, self.subscription.as_ref())
    }

    pub(super) fn insert_event(&mut self, row: EventRow) {
        let name = (row.event.event_id.clone(), row.kind);
        self.timeline
            .entry(row.count_time)
            .or_default()
            .insert(name.clone());
        self.events.insert(name, row);
    }

    pub(super) fn remove_event(&mut self, name: &EventName) -> Option<EventRow> {
        let row = self.events.remove(name)?;
        if let Some(names) = self.timeline.get_mut(&row.count_time) {
            names.remove(name);
            if names.is_empty() {
                self.timeline.remove(&row.count_time);
            }
        }
        Some(row)
    }

    /// Returns an event as it is stored.
    pub(super) fn stored(&self, name: &EventName) -> Option<StoredEvent> {
        self.events.get(name).map(|row| StoredEvent {
            row: row.clone(),
            voided: self.is_voided(row),
        })
    }

    /// Whether a void took a usage event back.
    pub(super) fn is_voided(&self, row: &EventRow) -> bool {
        row.kind == EventKind::Usage
            && self
                .events
                .contains_key(&(row.event.event_id.clone(), EventKind::Void))
    }

    /// Returns the events that count in a range, oldest first.
    pub(super) fn between(&self, range: TimeRange) -> impl Iterator<Item = &EventRow> {
        let end = range.end.max(range.start);
        self.timeline
            .range(range.start..end)
            .flat_map(|(_, names)| names)
            .filter_map(|name| self.events.get(name))
    }

    /// Returns the events that count in a range for a counter, oldest first.
    pub(super) fn counted<'a>(
        &'a self,
        subaccount: Option<&'a SubaccountId>,
        spec: &'a CounterSpec,
        range: TimeRange,
    ) -> impl Iterator<Item = &'a EventRow> {
        self.between(range).filter(move |row| {
            row.event.meter_id == spec.meter
                && spec.filter.accepts(&row.event.dimensions)
                && (subaccount.is_none() || row.event.subaccount_id.as_ref() == subaccount)
        })
    }
}
