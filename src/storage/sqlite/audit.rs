//! Comparing counters with what they should hold.
//!
//! One pass over a customer's events adds each to every counter it belongs to, so the cost does not grow with the
//! number of windows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::account::{counters, open_reservations, read};
use super::columns::{corrupt, equals, json};
use super::names::Reading;
use super::scan::visit;
use crate::domain::counter::CounterSpec;
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ItemHold;
use crate::domain::subscription::anchor_of;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::{Buckets, TimeRange, Window};
use crate::storage::{
    AccountRows, AuditPage, AuditQuery, CounterMismatch, CustomerNo, StoreError, Use,
};

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

type Dues = BTreeMap<Line, BTreeMap<Timestamp, Due>>;
/// One of them.
type LineDues<'a> = (&'a Line, &'a mut BTreeMap<Timestamp, Due>);

/// Compares one slice of customers, by id.
pub(super) fn page(reading: Reading<'_>, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let limit = query.limit.max(1);
    let mut statement = reading.conn.prepare_cached(&format!(
        "SELECT id FROM customers WHERE id > ?1 AND {} ORDER BY id LIMIT ?3",
        equals("id", "?2", query.customer.is_some())
    ))?;
    let mut rows = statement.query((
        query.after.as_deref().unwrap_or(""),
        query.customer.as_ref().map(CustomerId::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    ))?;
    let mut page = AuditPage::default();
    let mut last = None;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        if done == limit {
            page.next = last;
            break;
        }
        let id = CustomerId::new(row.get::<_, String>(0)?)
            .map_err(|error| corrupt("customers", error))?;
        customer(reading, &id, &mut page)?;
        last = Some(id.into());
        done += 1;
    }
    Ok(page)
}

fn customer(reading: Reading<'_>, id: &CustomerId, page: &mut AuditPage) -> Result<(), StoreError> {
    let Some(account) = read(reading, id, reading.latest)? else {
        return Ok(());
    };
    let mut dues = Dues::new();
    held(reading, account.no, &mut dues)?;
    tracked(&account, reading.latest, &mut dues);
    reserved(reading, account.no, &mut dues)?;
    fold(reading, account.no, &mut dues)?;
    for (line, windows) in dues {
        for (start, due) in windows {
            page.checked += 1;
            if !due.is_right() {
                page.mismatches.push(CounterMismatch {
                    customer: id.clone(),
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
    Ok(())
}

impl Due {
    fn is_right(&self) -> bool {
        self.used == self.used_expected
            && self.reserved == self.reserved_expected
            && self.buckets.values().all(|(held, due)| held == due)
    }
}

/// Takes what the rows hold, and what they keep of trimmed events.
fn held(reading: Reading<'_>, customer: CustomerNo, dues: &mut Dues) -> Result<(), StoreError> {
    let mut dropped = reading.conn.prepare_cached(
        "SELECT dropped FROM counters_dropped WHERE customer_no = ?1 AND subaccount = ?2
         AND spec_no = (SELECT no FROM counter_specs WHERE spec = ?3) AND start = ?4",
    )?;
    for row in counters(reading, customer, None)? {
        let part = super::columns::part_column(row.subaccount.as_ref()).to_owned();
        let spec = json(&*row.spec);
        let line = Line {
            subaccount: row.subaccount,
            spec: row.spec,
        };
        let due = dues
            .entry(line.clone())
            .or_default()
            .entry(row.start)
            .or_default();
        due.end = Some(row.end);
        due.reserved = i128::from(row.reserved.0);
        match row.used {
            Use::Fixed(used) => {
                due.used = i128::from(used.0);
                let mut kept = dropped.query((customer, part, spec, row.start.as_micros()))?;
                if let Some(kept) = kept.next()? {
                    due.used_expected = i128::from(kept.get::<_, i64>(0)?);
                }
            }
            Use::Rolling(ring) => {
                if let Some(oldest) = oldest(&line.spec, reading.latest) {
                    for (bucket, amount) in ring.0.iter().filter(|entry| entry.0 >= oldest) {
                        due.used += i128::from(amount.0);
                        due.buckets.entry(*bucket).or_default().0 += i128::from(amount.0);
                    }
                }
            }
        }
    }
    Ok(())
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

/// Adds the windows that run now and are tracked: without a row they hold nothing.
fn tracked(account: &AccountRows, latest: Timestamp, dues: &mut Dues) {
    let anchor = anchor_of(&account.customer, account.subscription.as_ref());
    let own = account.tracked.iter().map(|spec| (None, spec));
    let below = account.subaccounts.iter().flat_map(|row| {
        row.tracked
            .iter()
            .map(|spec| (Some(row.subaccount.id.clone()), spec))
    });
    for (subaccount, spec) in own.chain(below) {
        let range = match oldest(spec, latest) {
            Some(_) => TimeRange::ALWAYS,
            None => spec.window.range(anchor, latest),
        };
        let line = Line {
            subaccount,
            spec: Arc::clone(spec),
        };
        let due = dues
            .entry(line)
            .or_default()
            .entry(range.start)
            .or_default();
        due.end.get_or_insert(range.end);
    }
}

/// Adds what open reservations hold.
fn reserved(reading: Reading<'_>, customer: CustomerNo, dues: &mut Dues) -> Result<(), StoreError> {
    for reservation in open_reservations(reading, customer)? {
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
                let windows = dues.entry(line).or_default();
                let due = windows.entry(window.start).or_default();
                due.reserved_expected += i128::from(reserved.0);
            }
        }
    }
    Ok(())
}

/// Adds every event to the counters it belongs to.
fn fold(reading: Reading<'_>, customer: CustomerNo, dues: &mut Dues) -> Result<(), StoreError> {
    let mut first = Timestamp::MAX;
    let mut by_meter: HashMap<i64, Vec<LineDues<'_>>> = HashMap::new();
    for (line, windows) in dues {
        for (start, due) in windows.iter() {
            if due.end.is_some() {
                let from = match line.spec.window {
                    Window::Rolling(length) => {
                        let buckets = Buckets::of(length);
                        buckets.start(buckets.oldest(reading.latest))
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
        if let Some(meter) = reading.meter_no(&line.spec.meter)? {
            by_meter.entry(meter).or_default().push((line, windows));
        }
    }
    let range = TimeRange {
        start: first,
        end: Timestamp::MAX,
    };
    visit(reading, customer, range, &mut |seen| {
        let meter = seen.meter_no()?;
        let Some(lines) = by_meter.get_mut(&meter) else {
            return Ok(());
        };
        let (at, amount) = (seen.count_time()?, i128::from(seen.weighted()?.0));
        for (line, windows) in lines {
            if seen.counts_for(meter, line.subaccount.as_ref(), &line.spec.filter)? {
                add(&line.spec, windows, reading.latest, at, amount);
            }
        }
        Ok(())
    })
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
