//! Listing the ledger of a wallet, page by page.

use rusqlite::OptionalExtension;

use super::super::columns::{equals, json, read_token, token};
use super::super::lists::Filling;
use super::super::names::Reading;
use super::read::text;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::Posted;
use crate::domain::window::TimeRange;
use crate::storage::wallets::{PostedColumns, cause_column, key_columns};
use crate::storage::{CustomerNo, LedgerQuery, Page, StoreError};

/// How far clocks may differ, so that a later number has an earlier time.
const CLOCKS_APART: Span = Span::from_hours(1);

/// A ledger under the eyes.
struct Ledger<'a> {
    reading: Reading<'a>,
    customer: CustomerNo,
    part: &'a str,
    unit: &'a str,
}

/// Lists a ledger.
pub(in super::super) fn page(
    reading: Reading<'_>,
    query: &LedgerQuery,
) -> Result<Page<Posted>, StoreError> {
    let mut filling = Filling::new(query.limit);
    let place = |posted: &Posted| token(&posted.number);
    let after: Option<i64> = query.after.as_deref().map(read_token).transpose()?;
    let Some(customer) = reading.customer_no(&query.customer)? else {
        return Ok(filling.page(place));
    };
    let (part, unit) = key_columns(&query.wallet);
    let ledger = Ledger {
        reading,
        customer,
        part,
        unit,
    };
    let (mut first, mut last) = ledger.within(query.range)?;
    match after {
        Some(after) if query.is_rising => first = first.max(after.saturating_add(1)),
        Some(after) => last = last.min(after.saturating_sub(1)),
        None => {}
    }
    let sql = page_sql(query.is_rising, query.cause.is_some());
    let mut statement = reading.conn.prepare_cached(&sql)?;
    let mut rows = statement.query((
        customer,
        part,
        unit,
        first,
        last,
        query.range.start.as_micros(),
        query.range.end.as_micros(),
        query.cause.map(cause_column),
        query.hold.as_ref().map(json),
        query.grant.as_ref().map(json),
    ))?;
    while let Some(row) = rows.next()? {
        let columns = PostedColumns {
            number: row.get(0)?,
            time: row.get(1)?,
            cause: text("ledger", row, 2)?,
            body: text("ledger", row, 3)?,
            available: row.get(4)?,
            held: row.get(5)?,
            receivable: row.get(6)?,
        };
        let posted = columns.read(query.wallet.clone())?;
        if query.matches(&posted) && !filling.take(posted) {
            break;
        }
    }
    Ok(filling.page(place))
}

/// Reads transactions between two numbers. What they are about is looked for in their text first, so that few are decoded.
fn page_sql(is_rising: bool, by_cause: bool) -> String {
    format!(
        "SELECT number, time, cause, body, available, held, receivable FROM ledger
         WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND number >= ?4 AND number <= ?5
           AND time >= ?6 AND time < ?7 AND {} AND (?9 IS NULL OR instr(body, ?9) > 0)
           AND (?10 IS NULL OR instr(body, ?10) > 0)
         ORDER BY number {}",
        equals("cause", "?8", by_cause),
        if is_rising { "ASC" } else { "DESC" }
    )
}

impl Ledger<'_> {
    /// Returns the first and the last number between which all transactions of a range are: times rise with numbers, so
    /// that few have to be looked at to know.
    fn within(&self, range: TimeRange) -> Result<(i64, i64), StoreError> {
        let (mut first, mut last) = (1, i64::MAX);
        if range.start > Timestamp::MIN {
            first = self.since(range.start.minus(CLOCKS_APART))?;
        }
        if range.end < Timestamp::MAX {
            last = self.since(range.end.plus(CLOCKS_APART))?;
        }
        Ok((first, last))
    }

    /// Returns a number at or before which the times of an instant begin, unless clocks differed.
    fn since(&self, at: Timestamp) -> Result<i64, StoreError> {
        let (mut low, mut high) = (1, self.last()?.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.time(middle)?.is_none_or(|time| time >= at.as_micros()) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    fn last(&self) -> Result<i64, StoreError> {
        let sql = "SELECT ifnull(max(number), 0) FROM ledger
             WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3";
        let mut statement = self.reading.conn.prepare_cached(sql)?;
        Ok(statement.query_row((self.customer, self.part, self.unit), |row| row.get(0))?)
    }

    /// Returns the time of a transaction, or of the next where there is a gap.
    fn time(&self, number: i64) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT time FROM ledger
             WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND number >= ?4
             ORDER BY number LIMIT 1";
        let mut statement = self.reading.conn.prepare_cached(sql)?;
        let asked = (self.customer, self.part, self.unit, number);
        Ok(statement.query_row(asked, |row| row.get(0)).optional()?)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::storage::sqlite::open::MIGRATIONS;

    #[test]
    fn a_ledger_is_read_by_its_key_in_order() {
        let conn = Connection::open_in_memory().unwrap();
        for (_, _, text) in MIGRATIONS {
            conn.execute_batch(text).unwrap();
        }
        for (is_rising, by_cause) in [(true, true), (true, false), (false, true), (false, false)] {
            let sql = page_sql(is_rising, by_cause);
            let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> = explain
                .raw_query()
                .mapped(|row| row.get(3))
                .collect::<Result<_, _>>()
                .unwrap();
            let [step] = &steps[..] else {
                panic!("it is sorted: {steps:?}");
            };
            assert!(step.starts_with("SEARCH"), "{step}");
            assert!(step.contains("number>? AND number<?"), "{step}");
        }
    }
}
