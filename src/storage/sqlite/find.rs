//! What a batch asks for before it is decided.

use std::collections::{BTreeMap, HashSet};

use rusqlite::OptionalExtension;

use super::account;
use super::columns::{IdColumn, corrupt, json, part_column, read_time};
use super::insert::{Inserted, by_customer};
use super::names::Reading;
use super::scan::{Lookup, visit};
use crate::domain::counter::Ring;
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{Buckets, TimeRange, Window};
use crate::storage::{
    EventKey, EventRow, Fold, FoldResult, RequestKey, StoreError, StoredAnswer, StoredEvent,
    WindowUse,
};

/// Looks up events.
pub(super) fn events(
    reading: Reading<'_>,
    keys: &[EventKey],
) -> Result<Vec<Option<StoredEvent>>, StoreError> {
    let mut lookup = Lookup::new(reading)?;
    keys.iter()
        .map(|key| {
            lookup.event(key.customer, IdColumn::of(&key.event), key.kind, |seen| {
                let customer = reading.customer_id(key.customer)?;
                seen.decode(reading, key.customer, &customer)
            })
        })
        .collect()
}

/// Looks up answers.
pub(super) fn answers(
    reading: Reading<'_>,
    keys: Vec<RequestKey>,
) -> Result<Vec<Option<StoredAnswer>>, StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT content, answer FROM answers WHERE caller = ?1 AND method = ?2 AND request = ?3",
    )?;
    keys.into_iter()
        .map(|key| {
            let found: Option<(Vec<u8>, String)> = statement
                .query_row((&*key.caller, key.method, key.request.as_str()), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            found
                .map(|(content, answer)| {
                    Ok(StoredAnswer {
                        key,
                        content: content
                            .try_into()
                            .map_err(|_| corrupt("answers", "a content hash of another length"))?,
                        answer: answer.into(),
                    })
                })
                .transpose()
        })
        .collect()
}

/// Reads accounts.
pub(super) fn accounts(
    reading: Reading<'_>,
    load: &[crate::domain::id::CustomerId],
    now: Timestamp,
) -> Result<Vec<Option<crate::storage::AccountRows>>, StoreError> {
    load.iter()
        .map(|customer| account::read(reading, customer, now))
        .collect()
}

/// Builds counters from events, those of this batch included.
pub(super) fn folds(
    reading: Reading<'_>,
    inserted: &Inserted<'_>,
    folds: &[Fold],
) -> Result<Vec<FoldResult>, StoreError> {
    let customers: HashSet<_> = folds.iter().map(|fold| fold.customer).collect();
    let fresh = by_customer(inserted, &customers);
    folds
        .iter()
        .map(|fold| {
            let fresh = fresh.get(&fold.customer).map_or(&[][..], Vec::as_slice);
            one(reading, fresh, fold)
        })
        .collect()
}

/// Sums of a fold, wide enough not to overflow on the way.
struct Sums<'a> {
    fold: &'a Fold,
    buckets: Option<Buckets>,
    /// The first instant that matters.
    first: Timestamp,
    /// End and use by window start, or only use by bucket.
    windows: BTreeMap<i64, (Timestamp, i128)>,
}

fn one(reading: Reading<'_>, fresh: &[&EventRow], fold: &Fold) -> Result<FoldResult, StoreError> {
    let mut sums = Sums::new(fold);
    sums.take_dropped(reading)?;
    for row in fresh {
        let event = &row.event;
        if event.meter_id == fold.spec.meter
            && (fold.subaccount.is_none() || event.subaccount_id == fold.subaccount)
            && fold.spec.filter.accepts(&event.dimensions)
        {
            sums.add(row.count_time, row.weighted);
        }
    }
    if let Some(meter) = reading.meter_no(&fold.spec.meter)? {
        let range = TimeRange {
            start: sums.first,
            end: Timestamp::MAX,
        };
        let part = fold.subaccount.as_ref();
        visit(reading, fold.customer, range, &mut |seen| {
            if seen.counts_for(meter, part, &fold.spec.filter)? {
                sums.add(seen.count_time()?, seen.weighted()?);
            }
            Ok(())
        })?;
    }
    Ok(sums.result().unwrap_or(FoldResult::Overflow))
}

impl<'a> Sums<'a> {
    fn new(fold: &'a Fold) -> Self {
        let (buckets, first) = match fold.spec.window {
            Window::Rolling(length) => {
                let buckets = Buckets::of(length);
                (Some(buckets), buckets.start(buckets.at(fold.since)))
            }
            fixed @ (Window::Hour
            | Window::Day
            | Window::Week
            | Window::Month
            | Window::BillingPeriod
            | Window::Lifetime) => (None, fixed.range(fold.anchor, fold.since).start),
        };
        Self {
            fold,
            buckets,
            first,
            windows: BTreeMap::new(),
        }
    }

    /// Takes what was trimmed: it is not found in events any more, and still counts.
    fn take_dropped(&mut self, reading: Reading<'_>) -> Result<(), StoreError> {
        if self.buckets.is_some() {
            return Ok(());
        }
        let mut statement = reading.conn.prepare_cached(
            "SELECT start, end, dropped FROM counters_dropped
             JOIN counters USING (customer_no, subaccount, spec_no, start)
             WHERE customer_no = ?1 AND subaccount = ?2
               AND spec_no = (SELECT no FROM counter_specs WHERE spec = ?3) AND end > ?4",
        )?;
        let mut rows = statement.query((
            self.fold.customer,
            part_column(self.fold.subaccount.as_ref()),
            json(&*self.fold.spec),
            self.fold.since.as_micros(),
        ))?;
        while let Some(row) = rows.next()? {
            let end = read_time("counters", row.get(1)?)?;
            let dropped: i64 = row.get(2)?;
            self.windows.insert(row.get(0)?, (end, i128::from(dropped)));
        }
        Ok(())
    }

    fn add(&mut self, at: Timestamp, amount: Milli) {
        let (key, end) = match self.buckets {
            Some(buckets) if at >= self.first => (buckets.at(at), Timestamp::MAX),
            Some(_) => return,
            None => {
                let range = self.fold.spec.window.range(self.fold.anchor, at);
                if range.end <= self.fold.since {
                    return;
                }
                (range.start.as_micros(), range.end)
            }
        };
        self.windows.entry(key).or_insert((end, 0)).1 += i128::from(amount.0);
    }

    /// Returns the result; `None` when a sum leaves 64 bits.
    fn result(self) -> Option<FoldResult> {
        let used = self.windows.into_iter().filter(|(_, (_, sum))| *sum != 0);
        if self.buckets.is_some() {
            let ring =
                used.map(|(bucket, (_, sum))| Some((bucket, Milli(i64::try_from(sum).ok()?))));
            return Some(FoldResult::Ring(Ring(ring.collect::<Option<_>>()?)));
        }
        let windows = used.map(|(start, (end, sum))| {
            Some(WindowUse {
                start: Timestamp::from_micros_clamped(start),
                end,
                used: Milli(i64::try_from(sum).ok()?),
            })
        });
        Some(FoldResult::Windows(windows.collect::<Option<_>>()?))
    }
}
