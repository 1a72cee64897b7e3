//! Comparing counters with what they should hold: what stores do alike, where only the way to the rows differs.
//!
//! One pass over a customer's events adds each to every counter it belongs to, so the cost does not grow with the
//! number of windows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{AccountRows, AuditPage, CounterMismatch, CounterRow, Use};
use crate::domain::catalog::Filter;
use crate::domain::counter::CounterSpec;
use crate::domain::id::{CustomerId, MeterId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, Reservation};
use crate::domain::subscription::anchor_of;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::{Buckets, TimeRange, Window};

/// Names the counters that differ only in their window's start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    subaccount: Option<SubaccountId>,
    spec: Arc<CounterSpec>,
}

/// What one counter holds and should hold.
#[derive(Default)]
struct Due {
    /// The end of its window; `None`: known from reservations only, so that use cannot be told.
    end: Option<Timestamp>,
    used: i128,
    used_expected: i128,
    reserved: i128,
    reserved_expected: i128,
    /// Of a rolling window: what is held and what should be, by bucket.
    buckets: BTreeMap<i64, (i128, i128)>,
}

type Lines = BTreeMap<Line, BTreeMap<Timestamp, Due>>;
/// One of them.
type LineDues<'a> = (&'a Line, &'a mut BTreeMap<Timestamp, Due>);

/// What the counters of one customer hold and should hold at an instant.
pub(super) struct Dues {
    latest: Timestamp,
    lines: Lines,
}

/// Where the events of one customer are added.
pub(super) struct Folding<'a> {
    latest: Timestamp,
    /// By meter.
    lines: HashMap<&'a MeterId, Vec<LineDues<'a>>>,
    first: Timestamp,
}

impl Due {
    fn is_right(&self) -> bool {
        self.used == self.used_expected
            && self.reserved == self.reserved_expected
            && self.buckets.values().all(|(held, due)| held == due)
    }
}

impl Dues {
    pub(super) fn at(latest: Timestamp) -> Self {
        Self {
            latest,
            lines: Lines::new(),
        }
    }

    /// Takes what a row holds, and what it keeps of trimmed events.
    pub(super) fn hold(&mut self, row: CounterRow, dropped: Milli) {
        let oldest = oldest(&row.spec, self.latest);
        let line = Line {
            subaccount: row.subaccount,
            spec: row.spec,
        };
        let due = self.lines.entry(line).or_default();
        let due = due.entry(row.start).or_default();
        due.end = Some(row.end);
        due.reserved = i128::from(row.reserved.0);
        match row.used {
            Use::Fixed(used) => {
                due.used = i128::from(used.0);
                due.used_expected = i128::from(dropped.0);
            }
            Use::Rolling(ring) => {
                let Some(oldest) = oldest else { return };
                for (bucket, amount) in ring.0.iter().filter(|entry| entry.0 >= oldest) {
                    due.used += i128::from(amount.0);
                    due.buckets.entry(*bucket).or_default().0 += i128::from(amount.0);
                }
            }
        }
    }

    /// Adds the windows that run now and are tracked: without a row they hold nothing.
    pub(super) fn track(&mut self, account: &AccountRows) {
        let anchor = anchor_of(&account.customer, account.subscription.as_ref());
        let own = account.tracked.iter().map(|spec| (None, spec));
        let below = account.subaccounts.iter().flat_map(|row| {
            row.tracked
                .iter()
                .map(|spec| (Some(row.subaccount.id.clone()), spec))
        });
        for (subaccount, spec) in own.chain(below) {
            let range = match oldest(spec, self.latest) {
                Some(_) => TimeRange::ALWAYS,
                None => spec.window.range(anchor, self.latest),
            };
            let line = Line {
                subaccount,
                spec: Arc::clone(spec),
            };
            let due = self.lines.entry(line).or_default();
            let due = due.entry(range.start).or_default();
            due.end.get_or_insert(range.end);
        }
    }

    /// Adds what an open reservation holds.
    pub(super) fn reserve(&mut self, reservation: &Reservation) {
        for item in &reservation.items {
            let ItemHold::Quota {
                reserved, windows, ..
            } = &item.hold
            else {
                continue;
            };
            for window in windows {
                let subaccount = reservation.subaccount.clone();
                let line = Line {
                    subaccount: subaccount.filter(|_| window.of_subaccount),
                    spec: Arc::clone(&window.spec),
                };
                let windows = self.lines.entry(line).or_default();
                let due = windows.entry(window.start).or_default();
                due.reserved_expected += i128::from(reserved.0);
            }
        }
    }

    /// Goes over to adding events.
    pub(super) fn folding(&mut self) -> Folding<'_> {
        let mut first = Timestamp::MAX;
        let mut lines: HashMap<_, Vec<_>> = HashMap::new();
        for (line, windows) in &mut self.lines {
            for (start, due) in windows.iter() {
                if due.end.is_some() {
                    let from = match line.spec.window {
                        Window::Rolling(length) => {
                            let buckets = Buckets::of(length);
                            buckets.start(buckets.oldest(self.latest))
                        }
                        Window::Hour
                        | Window::Day
                        | Window::Week
                        | Window::Month
                        | Window::BillingPeriod
                        | Window::Lifetime => *start,
                    };
                    first = first.min(from);
                }
            }
            lines
                .entry(&line.spec.meter)
                .or_default()
                .push((line, windows));
        }
        Folding {
            latest: self.latest,
            lines,
            first,
        }
    }

    /// Puts what was compared, and what differs, on a page.
    pub(super) fn tell(self, customer: &CustomerId, page: &mut AuditPage) {
        for (line, windows) in self.lines {
            for (start, due) in windows {
                page.checked += 1;
                if !due.is_right() {
                    page.mismatches.push(CounterMismatch {
                        customer: customer.clone(),
                        subaccount: line.subaccount.clone(),
                        spec: Arc::clone(&line.spec),
                        start,
                        used: clamped(due.used),
                        used_expected: clamped(due.used_expected),
                        reserved: clamped(due.reserved),
                        reserved_expected: clamped(due.reserved_expected),
                    });
                }
            }
        }
    }
}

impl Folding<'_> {
    /// From where on events matter.
    pub(super) fn range(&self) -> TimeRange {
        TimeRange {
            start: self.first,
            end: Timestamp::MAX,
        }
    }

    /// Adds an event of a meter to the counters that `counts_for` says it belongs to.
    pub(super) fn add<E>(
        &mut self,
        meter: &MeterId,
        at: Timestamp,
        amount: Milli,
        mut counts_for: impl FnMut(Option<&SubaccountId>, &Filter) -> Result<bool, E>,
    ) -> Result<(), E> {
        let Some(lines) = self.lines.get_mut(meter) else {
            return Ok(());
        };
        for (line, windows) in lines {
            if counts_for(line.subaccount.as_ref(), &line.spec.filter)? {
                add(&line.spec, windows, self.latest, at, i128::from(amount.0));
            }
        }
        Ok(())
    }
}

/// Returns the oldest bucket of a rolling window that counts.
fn oldest(spec: &CounterSpec, latest: Timestamp) -> Option<i64> {
    match spec.window {
        Window::Rolling(length) => Some(Buckets::of(length).oldest(latest)),
        Window::Hour
        | Window::Day
        | Window::Week
        | Window::Month
        | Window::BillingPeriod
        | Window::Lifetime => None,
    }
}

/// Adds an event to the windows of one line that hold it.
fn add(
    spec: &CounterSpec,
    windows: &mut BTreeMap<Timestamp, Due>,
    latest: Timestamp,
    at: Timestamp,
    amount: i128,
) {
    let longest = match spec.window {
        Window::Rolling(length) => {
            let buckets = Buckets::of(length);
            let bucket = buckets.at(at);
            let due = windows.get_mut(&Timestamp::MIN);
            if let Some(due) = due.filter(|due| due.end.is_some())
                && bucket >= buckets.oldest(latest)
            {
                due.used_expected += amount;
                due.buckets.entry(bucket).or_default().1 += amount;
            }
            return;
        }
        Window::Hour => Span::from_hours(1),
        Window::Day => Span::from_days(1),
        Window::Week => Span::from_days(7),
        Window::Month => Span::from_days(31),
        Window::BillingPeriod => Span::from_days(366),
        Window::Lifetime => Timestamp::MAX.since(Timestamp::MIN),
    };
    // Windows of one line may overlap: the anchor may have moved.
    for (_, due) in windows.range_mut(at.minus(longest)..=at) {
        if due.end.is_some_and(|end| at < end) {
            due.used_expected += amount;
        }
    }
}

fn clamped(sum: i128) -> Milli {
    let bound = if sum < 0 { i64::MIN } else { i64::MAX };
    Milli(i64::try_from(sum).unwrap_or(bound))
}
