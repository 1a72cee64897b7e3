//! Listing the ledger of a wallet, page by page.

use rusqlite::Row;

use super::super::columns::{json, read_token, token};
use super::super::lists::Filling;
use super::super::names::Reading;
use super::places::{Spot, Walk, columns, places, spot};
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::Posted;
use crate::storage::wallets::{cause_column, key_columns};
use crate::storage::{LedgerQuery, Page, StoreError};

/// How far clocks may differ, so that a later number has an earlier time.
const CLOCKS_APART: Span = Span::from_hours(1);
/// Transactions that are read at a time where the first is to come first: a ledger is read from the newest on.
const STRETCH: i64 = 256;

/// What is wanted of a ledger.
struct Wanted<'a> {
    query: &'a LedgerQuery,
    /// Numbers and times, in bounds; what is outside of them ends a search.
    numbers: (i64, i64),
    times: (i64, i64),
    /// What must stand in the text of a transaction, so that few are decoded.
    cause: Option<&'static str>,
    names: Vec<String>,
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
    let places = places(reading.conn, (customer, part, unit))?;
    let Some(newest) = places.and_then(|places| places.newest()) else {
        return Ok(filling.page(place));
    };
    let wanted = Wanted::new(query, after);
    let mut walk = Walk::new(reading.conn)?;
    if query.is_rising {
        wanted.rise(&mut walk, newest, &mut filling)?;
    } else {
        wanted.fall(&mut walk, newest, &mut filling)?;
    }
    Ok(filling.page(place))
}

impl<'a> Wanted<'a> {
    fn new(query: &'a LedgerQuery, after: Option<i64>) -> Self {
        let numbers = match after {
            Some(after) if query.is_rising => (after.saturating_add(1), i64::MAX),
            Some(after) => (1, after.saturating_sub(1)),
            None => (1, i64::MAX),
        };
        let range = query.range;
        let (mut from, mut to) = (i64::MIN, i64::MAX);
        if range.start > Timestamp::MIN {
            from = range.start.minus(CLOCKS_APART).as_micros();
        }
        if range.end < Timestamp::MAX {
            to = range.end.plus(CLOCKS_APART).as_micros();
        }
        let names = [
            query.hold.as_ref().map(json),
            query.grant.as_ref().map(json),
        ];
        Self {
            query,
            numbers,
            times: (from, to),
            cause: query.cause.map(cause_column),
            names: names.into_iter().flatten().collect(),
        }
    }

    /// Whether a transaction is where those that are wanted begin, or after it.
    const fn is_begun(&self, spot: &Spot) -> bool {
        spot.number >= self.numbers.0 && spot.time >= self.times.0
    }

    /// Whether a transaction is after all that are wanted.
    const fn is_past(&self, spot: &Spot) -> bool {
        spot.number > self.numbers.1 || spot.time >= self.times.1
    }

    /// Reads where a transaction stands, and the rest of it if it is wanted.
    fn see(&self, row: &Row<'_>) -> Result<(Spot, Option<Posted>), StoreError> {
        let (spot, columns) = (spot(row)?, columns(row)?);
        let may_be = self.cause.is_none_or(|cause| columns.cause == cause)
            && self.names.iter().all(|name| columns.body.contains(&**name));
        if !may_be {
            return Ok((spot, None));
        }
        let posted = columns.read(self.query.wallet.clone())?;
        let found = Some(posted).filter(|posted| self.query.matches(posted));
        Ok((spot, found))
    }

    /// Goes down from a place, as long as `take` says so.
    fn go_down(
        &self,
        walk: &mut Walk<'_>,
        mut next: Option<i64>,
        mut take: impl FnMut(&Spot, Option<Posted>) -> bool,
    ) -> Result<(), StoreError> {
        while let Some(place) = next {
            let (spot, found) = walk.visit(place, |row| self.see(row))?;
            let goes_on = take(&spot, found);
            next = spot.prev.filter(|_| goes_on);
        }
        Ok(())
    }

    /// Fills a page from the last on.
    fn fall(
        &self,
        walk: &mut Walk<'_>,
        newest: i64,
        filling: &mut Filling<Posted>,
    ) -> Result<(), StoreError> {
        let past = walk.first(newest, |spot| self.is_past(spot))?;
        let last = past.map_or(Some(newest), |past| past.prev);
        self.go_down(walk, last, |spot, found| {
            self.is_begun(spot) && found.is_none_or(|posted| filling.take(posted))
        })
    }

    /// Fills a page from the first on, stretch by stretch.
    fn rise(
        &self,
        walk: &mut Walk<'_>,
        newest: i64,
        filling: &mut Filling<Posted>,
    ) -> Result<(), StoreError> {
        let mut first = walk.first(newest, |spot| self.is_begun(spot))?;
        while let Some(start) = first.filter(|start| !self.is_past(start)) {
            let end = start.number.saturating_add(STRETCH);
            first = walk.first(newest, |spot| spot.number >= end)?;
            let last = first.map_or(Some(newest), |beyond| beyond.prev);
            let mut stretch = Vec::new();
            self.go_down(walk, last, |spot, found| {
                stretch.extend(found);
                spot.place != start.place
            })?;
            if !stretch.into_iter().rev().all(|posted| filling.take(posted)) {
                break;
            }
        }
        Ok(())
    }
}
