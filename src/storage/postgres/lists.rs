//! Lists and single rows that are read whole. Each statement has a LIMIT: what it gives is all sent.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::account::{RESERVATION, reservation};
use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::{AllocationId, CustomerId, FeatureId, ReservationId, SubaccountId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::storage::columns::{corrupt, read_json, read_time, read_token, state_column, token};
use crate::storage::{
    AllocationQuery, CustomerQuery, Denial, DenialQuery, Page, ReservationQuery, StoreError,
    StoredCatalog,
};

/// Fewest customers that one statement reads: filters may leave few of them.
const CUSTOMERS_A_STATEMENT: usize = 256;

/// Makes a page of items of which one more than it holds was asked for.
pub(super) fn page<T>(
    mut items: Vec<T>,
    limit: usize,
    place: impl FnOnce(&T) -> String,
) -> Page<T> {
    let limit = limit.max(1);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(place);
    Page { items, next }
}

/// Returns how many rows to ask for, to know whether there are more than the page holds.
pub(super) fn asked(limit: usize) -> i64 {
    i64::try_from(limit.max(1))
        .unwrap_or(i64::MAX)
        .saturating_add(1)
}

/// Reads a catalog, the newest for `None`.
pub(super) async fn catalog(
    conn: &mut PgConnection,
    version: Option<CatalogVersion>,
) -> Result<Option<StoredCatalog>, StoreError> {
    let found: Option<(String, String, i64)> = sqlx::query_as(
        "SELECT catalog, source, apply_time FROM catalogs WHERE $1::int8 IS NULL OR version = $1
         ORDER BY version DESC LIMIT 1",
    )
    .bind(version)
    .fetch_optional(conn)
    .await?;
    found
        .map(|(catalog, source, apply_time)| {
            Ok(StoredCatalog {
                catalog: read_json("catalogs", &catalog)?,
                source: source.into(),
                apply_time: read_time("catalogs", apply_time)?,
            })
        })
        .transpose()
}

/// Lists customers by id.
pub(super) async fn customers(
    conn: &mut PgConnection,
    query: &CustomerQuery,
) -> Result<Page<(Customer, Option<Subscription>)>, StoreError> {
    let mut after: String = match &query.after {
        Some(text) => read_token(text)?,
        None => String::new(),
    };
    let limit = query.limit.max(1);
    let most =
        i64::try_from(limit.saturating_add(1).max(CUSTOMERS_A_STATEMENT)).unwrap_or(i64::MAX);
    let mut items = Vec::new();
    loop {
        let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
            "SELECT customer_id, body, subscription FROM customers
             WHERE customer_id > $1 AND ($2::text IS NULL OR customer_id = $2) AND ($3 OR NOT deleted)
               AND (NOT $4 OR subscription IS NOT NULL)
             ORDER BY customer_id LIMIT $5",
        )
        .bind(&after)
        .bind(query.id.as_ref().map(CustomerId::as_str))
        .bind(query.deleted)
        .bind(query.subscribed)
        .bind(most)
        .fetch_all(&mut *conn)
        .await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < most);
        for (id, body, subscription) in rows {
            let customer: Customer = read_json("customers", &body)?;
            let subscription: Option<Subscription> = subscription
                .map(|text| read_json("customers", &text))
                .transpose()?;
            if query.matches(&customer, subscription.as_ref()) {
                items.push((customer, subscription));
            }
            after = id;
        }
        if is_last || items.len() > limit {
            return Ok(page(items, limit, |(customer, _)| token(&customer.id)));
        }
    }
}

/// Lists reservations of a customer, newest first.
pub(super) async fn reservations(
    conn: &mut PgConnection,
    query: &ReservationQuery,
) -> Result<Page<Reservation>, StoreError> {
    let (at, id) = match &query.after {
        Some(text) => {
            let (at, id): (Timestamp, ReservationId) = read_token(text)?;
            (at.as_micros(), String::from(id))
        }
        None => (i64::MAX, String::new()),
    };
    let state = |state| i16::try_from(state_column(state)).unwrap_or_default();
    let sql = format!(
        "SELECT {RESERVATION} FROM reservations
         WHERE customer_id = $1 AND reserve_time <= $2 AND (reserve_time < $2 OR id > $3)
           AND ($4::text IS NULL OR id = $4) AND ($5::int2 IS NULL OR state = $5)
           AND ($6::text IS NULL OR holder = $6) AND ($7::text IS NULL OR subaccount = $7)
         ORDER BY reserve_time DESC, id LIMIT $8"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(query.customer.as_str())
        .bind(at)
        .bind(id)
        .bind(query.id.as_ref().map(ReservationId::as_str))
        .bind(query.state.map(state))
        .bind(query.holder.as_deref())
        .bind(query.subaccount.as_ref().map(SubaccountId::as_str))
        .bind(asked(query.limit))
        .fetch_all(conn)
        .await?;
    let items: Vec<Reservation> = rows.iter().map(reservation).collect::<Result<_, _>>()?;
    let place = |item: &Reservation| token(&(item.reserve_time, &item.id));
    Ok(page(items, query.limit, place))
}

/// Lists allocations of a customer by feature and id.
pub(super) async fn allocations(
    conn: &mut PgConnection,
    query: &AllocationQuery,
) -> Result<Page<Allocation>, StoreError> {
    let (feature, id) = match &query.after {
        Some(text) => {
            let (feature, id): (FeatureId, AllocationId) = read_token(text)?;
            (String::from(feature), String::from(id))
        }
        None => (String::new(), String::new()),
    };
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM allocations
         WHERE customer_id = $1 AND (feature, id) > ($2, $3) AND ($4::text IS NULL OR feature = $4)
           AND ($5::text IS NULL OR subaccount = $5)
         ORDER BY feature, id LIMIT $6",
    )
    .bind(query.customer.as_str())
    .bind(feature)
    .bind(id)
    .bind(query.feature.as_ref().map(FeatureId::as_str))
    .bind(query.subaccount.as_ref().map(SubaccountId::as_str))
    .bind(asked(query.limit))
    .fetch_all(conn)
    .await?;
    let read = |body: &String| read_json("allocations", body);
    let items: Vec<Allocation> = rows.iter().map(read).collect::<Result<_, _>>()?;
    let place = |item: &Allocation| token(&(&item.feature, &item.id));
    Ok(page(items, query.limit, place))
}

/// Lists customers with an open reservation or hold, or with credits to be spent, whose time is over; those that wait
/// longest first.
pub(super) async fn overdue(
    conn: &mut PgConnection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<CustomerId>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT customer_id FROM (
             SELECT customer_id, expire_time FROM reservations WHERE state = 0 AND expire_time <= $1
             UNION ALL SELECT customer_id, expire_time FROM holds WHERE state = 0 AND expire_time <= $1
             UNION ALL SELECT customer_id, due_time FROM wallets WHERE due_time <= $1
             UNION ALL SELECT customer_id, expire_time FROM grants
             WHERE is_open AND expire_time <= $1 AND used + held + lapsed < amount
         ) due
         GROUP BY customer_id ORDER BY min(expire_time), customer_id LIMIT $2",
    )
    .bind(now.as_micros())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|id| CustomerId::new(id).map_err(|error| corrupt("reservations", error)))
        .collect()
}

/// Lists the denial log of a customer, newest minute first.
pub(super) async fn denials(
    conn: &mut PgConnection,
    query: &DenialQuery,
) -> Result<Page<Denial>, StoreError> {
    let (minute, feature, reason) = match &query.after {
        Some(text) => {
            let (minute, feature, reason): (Timestamp, FeatureId, String) = read_token(text)?;
            (minute.as_micros(), String::from(feature), reason)
        }
        None => (i64::MAX, String::new(), String::new()),
    };
    let rows = sqlx::query(
        "SELECT minute, feature, reason, count, sample FROM denials
         WHERE customer_id = $1 AND minute >= $2 AND minute < $3
           AND minute <= $4 AND (minute < $4 OR (feature, reason) > ($5, $6))
           AND ($7::text IS NULL OR feature = $7) AND ($8::text IS NULL OR reason = $8)
         ORDER BY minute DESC, feature, reason LIMIT $9",
    )
    .bind(query.customer.as_str())
    .bind(query.range.start.as_micros())
    .bind(query.range.end.as_micros())
    .bind(minute)
    .bind(feature)
    .bind(reason)
    .bind(query.feature.as_ref().map(FeatureId::as_str))
    .bind(query.reason.as_deref())
    .bind(asked(query.limit))
    .fetch_all(conn)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let feature = FeatureId::new(row.try_get::<&str, _>(1)?);
        Ok(Denial {
            customer: query.customer.clone(),
            feature: feature.map_err(|error| corrupt("denials", error))?,
            reason: row.try_get::<&str, _>(2)?.into(),
            minute: read_time("denials", row.try_get(0)?)?,
            count: row.try_get(3)?,
            sample: row.try_get::<&str, _>(4)?.into(),
        })
    };
    let items: Vec<Denial> = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
    let place = |item: &Denial| token(&(item.minute, &item.feature, &item.reason));
    Ok(page(items, query.limit, place))
}
