//! Listing a customer's events, page by page.

use std::cmp::Reverse;

use sqlx::{AssertSqlSafe, PgConnection};

use super::columns::first_day;
use super::lists::{asked, page as page_of};
use super::scan::{COLUMNS, Key, Seen, find};
use crate::domain::id::{EventId, MeterId, ReservationId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::storage::columns::{kind_column, read_token, token};
use crate::storage::{CustomerNo, EventKind, EventQuery, Page, StoreError, StoredEvent};

/// The order of lists of events: newest count time first, then id, then kind.
type Place = (Reverse<Timestamp>, EventId, EventKind);

/// Fewest events that one statement reads: a filter by dimensions may leave few of them.
const EVENTS_A_STATEMENT: i64 = 256;

fn place(stored: &StoredEvent) -> Place {
    let row = &stored.row;
    let id = row.event.event_id.clone();
    (Reverse(row.count_time), id, row.kind)
}

/// Lists events.
pub(super) async fn page(
    conn: &mut PgConnection,
    query: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let after = match &query.after {
        Some(text) => {
            let (at, id, kind): (Timestamp, EventId, EventKind) = read_token(text)?;
            Some((Reverse(at), id, kind))
        }
        None => None,
    };
    let no: Option<CustomerNo> =
        sqlx::query_scalar("SELECT no FROM customers WHERE customer_id = $1")
            .bind(query.customer.as_str())
            .fetch_optional(&mut *conn)
            .await?;
    let items = match no {
        Some(no) if query.ids.is_empty() => by_time(conn, query, no, after).await?,
        Some(no) => by_id(conn, query, no, after.as_ref()).await?,
        None => Vec::new(),
    };
    Ok(page_of(items, query.limit, |stored| {
        let (Reverse(at), id, kind) = place(stored);
        token(&(at, id, kind))
    }))
}

/// Whether an event has the dimensions that are asked for.
fn has_dimensions(query: &EventQuery, stored: &StoredEvent) -> bool {
    let dimensions = &stored.row.event.dimensions;
    query
        .dimensions
        .iter()
        .all(|(key, value)| dimensions.get(key) == Some(value))
}

async fn by_time(
    conn: &mut PgConnection,
    query: &EventQuery,
    no: CustomerNo,
    mut after: Option<Place>,
) -> Result<Vec<StoredEvent>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events e
         WHERE e.customer_id = $1 AND e.day >= $2 AND e.count_time >= $3 AND e.count_time < $4
           AND e.count_time <= $5 AND (e.count_time < $5 OR (e.event_id, e.kind) > ($6, $7))
           AND ($8::text IS NULL OR e.meter = $8) AND ($9::text IS NULL OR e.subaccount = $9)
           AND ($10::text IS NULL OR e.reservation = $10)
           AND (NOT $11 OR e.kind = 0 AND NOT EXISTS (SELECT 1 FROM event_keys v WHERE v.event_id = e.event_id
               AND v.customer_id = e.customer_id AND v.kind = 1))
         ORDER BY e.count_time DESC, e.event_id, e.kind LIMIT $12"
    );
    let limit = query.limit.max(1);
    let most = asked(limit).max(EVENTS_A_STATEMENT);
    let mut items = Vec::new();
    loop {
        let (at, id, kind) = match &after {
            Some((Reverse(at), id, kind)) => (at.as_micros(), id.as_str(), kind_column(*kind)),
            None => (i64::MAX, "", 0),
        };
        let rows = sqlx::query(AssertSqlSafe(&*sql))
            .bind(query.customer.as_str())
            .bind(first_day(query.range.start))
            .bind(query.range.start.as_micros())
            .bind(query.range.end.as_micros())
            .bind(at)
            .bind(id)
            .bind(i16::from(kind != 0))
            .bind(query.meter.as_ref().map(MeterId::as_str))
            .bind(query.subaccount.as_ref().map(SubaccountId::as_str))
            .bind(query.reservation.as_ref().map(ReservationId::as_str))
            .bind(query.standing)
            .bind(most)
            .fetch_all(&mut *conn)
            .await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < most);
        for row in rows {
            let stored = Seen::new(row).decode(no, &query.customer)?;
            after = Some(place(&stored));
            if has_dimensions(query, &stored) {
                items.push(stored);
            }
        }
        if is_last || items.len() > limit {
            return Ok(items);
        }
    }
}

async fn by_id(
    conn: &mut PgConnection,
    query: &EventQuery,
    no: CustomerNo,
    after: Option<&Place>,
) -> Result<Vec<StoredEvent>, StoreError> {
    let keys: Vec<(Key<'_>, CustomerNo)> = query
        .ids
        .iter()
        .flat_map(|event| {
            let customer = &query.customer;
            [EventKind::Usage, EventKind::Void].map(|kind| Key {
                event,
                customer,
                kind,
            })
        })
        .map(|key| (key, no))
        .collect();
    let found = find(conn, &keys).await?;
    let wanted = |stored: &StoredEvent| {
        let row = &stored.row;
        let event = &row.event;
        query.range.contains(row.count_time)
            && after.is_none_or(|after| *after < place(stored))
            && query
                .meter
                .as_ref()
                .is_none_or(|meter| *meter == event.meter_id)
            && (query.subaccount.is_none() || event.subaccount_id == query.subaccount)
            && (query.reservation.is_none() || event.reservation_id == query.reservation)
            && (!query.standing || row.kind == EventKind::Usage && !stored.voided)
            && has_dimensions(query, stored)
    };
    let mut items: Vec<StoredEvent> = found.into_iter().flatten().filter(wanted).collect();
    items.sort_by_cached_key(place);
    // An id that is asked for twice is listed once.
    items.dedup_by(|a, b| place(a) == place(b));
    items.truncate(usize::try_from(asked(query.limit)).unwrap_or(usize::MAX));
    Ok(items)
}
