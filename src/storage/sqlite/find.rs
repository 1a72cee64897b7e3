//! What a batch asks for before it is decided.

use std::collections::HashSet;

use rusqlite::OptionalExtension;

use super::account;
use super::columns::{IdColumn, corrupt, json, part_column, read_time};
use super::insert::{Inserted, by_customer};
use super::names::Reading;
use super::scan::{Lookup, visit};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::storage::sums::Sums;
use crate::storage::{
    EventKey, EventRow, Fold, FoldResult, Named, RequestKey, Reread, StoreError, StoredAnswer,
    StoredEvent,
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

/// Reads the customers that memory does not hold; of the others it holds the newest, as only this process writes.
pub(super) fn accounts(
    reading: Reading<'_>,
    named: &[Named],
    now: Timestamp,
) -> Result<Vec<Reread>, StoreError> {
    let one = |named: &Named| {
        if named.version != 0 {
            return Ok(Reread::Same);
        }
        let rows = account::read(reading, &named.id, now)?;
        Ok(rows.map_or(Reread::Absent, |rows| Reread::Rows(Box::new(rows))))
    };
    named.iter().map(one).collect()
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

fn one(reading: Reading<'_>, fresh: &[&EventRow], fold: &Fold) -> Result<FoldResult, StoreError> {
    let mut sums = Sums::new(fold);
    take_dropped(reading, fold, &mut sums)?;
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
        let part = fold.subaccount.as_ref();
        visit(reading, fold.customer, sums.range(), &mut |seen| {
            if seen.counts_for(meter, part, &fold.spec.filter)? {
                sums.add(seen.count_time()?, seen.weighted()?);
            }
            Ok(())
        })?;
    }
    Ok(sums.result())
}

/// Takes what was trimmed and still counts.
fn take_dropped(reading: Reading<'_>, fold: &Fold, sums: &mut Sums<'_>) -> Result<(), StoreError> {
    if !sums.takes_dropped() {
        return Ok(());
    }
    let mut statement = reading.conn.prepare_cached(
        "SELECT start, end, dropped FROM counters_dropped
         JOIN counters USING (customer_no, subaccount, spec_no, start)
         WHERE customer_no = ?1 AND subaccount = ?2
           AND spec_no = (SELECT no FROM counter_specs WHERE spec = ?3) AND end > ?4",
    )?;
    let mut rows = statement.query((
        fold.customer,
        part_column(fold.subaccount.as_ref()),
        json(&*fold.spec),
        fold.since.as_micros(),
    ))?;
    while let Some(row) = rows.next()? {
        let end = read_time("counters", row.get(1)?)?;
        let dropped: i64 = row.get(2)?;
        let start = read_time("counters", row.get(0)?)?;
        sums.take_dropped(start, end, Milli(dropped));
    }
    Ok(())
}
