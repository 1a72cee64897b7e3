//! Lists and single rows that are read whole.

use rusqlite::OptionalExtension;

use super::account::{RESERVATION, reservation};
use super::columns::{corrupt, equals, read_json, read_time, read_token, state_column, token};
use super::names::Reading;
use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::{AllocationId, CustomerId, FeatureId, ReservationId, SubaccountId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::storage::{
    AllocationQuery, CustomerQuery, Denial, DenialQuery, Page, ReservationQuery, StoreError,
    StoredCatalog,
};

/// Takes one item more than the page holds, to know whether there are more.
pub(super) struct Filling<T> {
    items: Vec<T>,
    limit: usize,
}

impl<T> Filling<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            items: Vec::new(),
            limit: if limit == 0 { 1 } else { limit },
        }
    }

    /// Takes an item; false when the page is full and more are known to follow.
    pub(super) fn take(&mut self, item: T) -> bool {
        self.items.push(item);
        self.items.len() <= self.limit
    }

    pub(super) fn page(mut self, place: impl FnOnce(&T) -> String) -> Page<T> {
        let more = self.items.len() > self.limit;
        self.items.truncate(self.limit);
        let next = self.items.last().filter(|_| more).map(place);
        Page {
            items: self.items,
            next,
        }
    }
}

/// Reads a catalog, the newest for `None`.
pub(super) fn catalog(
    reading: Reading<'_>,
    version: Option<CatalogVersion>,
) -> Result<Option<StoredCatalog>, StoreError> {
    let found: Option<(String, String, i64)> = reading
        .conn
        .prepare_cached(
            "SELECT catalog, source, apply_time FROM catalogs WHERE ?1 IS NULL OR version = ?1
             ORDER BY version DESC LIMIT 1",
        )?
        .query_row([version], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
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
pub(super) fn customers(
    reading: Reading<'_>,
    query: &CustomerQuery,
) -> Result<Page<(Customer, Option<Subscription>)>, StoreError> {
    let after: String = match &query.after {
        Some(text) => read_token(text)?,
        None => String::new(),
    };
    let mut statement = reading
        .conn
        .prepare_cached(&customers_sql(query.id.is_some()))?;
    let mut rows = statement.query((
        after,
        query.id.as_ref().map(CustomerId::as_str),
        query.deleted,
        query.subscribed,
    ))?;
    let mut filling = Filling::new(query.limit);
    while let Some(row) = rows.next()? {
        let customer: Customer = read_json("customers", &row.get::<_, String>(0)?)?;
        let subscription: Option<Subscription> = row
            .get::<_, Option<String>>(1)?
            .map(|text| read_json("customers", &text))
            .transpose()?;
        if !query.matches(&customer, subscription.as_ref()) {
            continue;
        }
        if !filling.take((customer, subscription)) {
            break;
        }
    }
    Ok(filling.page(|(customer, _)| token(&customer.id)))
}

fn customers_sql(by_id: bool) -> String {
    format!(
        "SELECT body, subscription FROM customers
         WHERE id > ?1 AND {} AND (?3 OR deleted = 0) AND (NOT ?4 OR subscription IS NOT NULL)
         ORDER BY id",
        equals("id", "?2", by_id)
    )
}

fn reservations_sql(by_id: bool) -> String {
    format!(
        "SELECT {RESERVATION} FROM reservations
         WHERE customer_no = ?1 AND reserve_time <= ?2 AND (reserve_time < ?2 OR id > ?3) AND {}
           AND (?5 IS NULL OR state = ?5) AND (?6 IS NULL OR holder = ?6) AND (?7 IS NULL OR subaccount = ?7)
         ORDER BY reserve_time DESC, id",
        equals("id", "?4", by_id)
    )
}

/// Lists reservations of a customer, newest first.
pub(super) fn reservations(
    reading: Reading<'_>,
    query: &ReservationQuery,
) -> Result<Page<Reservation>, StoreError> {
    let mut filling = Filling::new(query.limit);
    let place = |item: &Reservation| token(&(item.reserve_time, &item.id));
    let Some(customer) = reading.customer_no(&query.customer)? else {
        return Ok(filling.page(place));
    };
    let (at, id) = match &query.after {
        Some(text) => {
            let (at, id): (Timestamp, ReservationId) = read_token(text)?;
            (at.as_micros(), String::from(id))
        }
        None => (i64::MAX, String::new()),
    };
    let mut statement = reading
        .conn
        .prepare_cached(&reservations_sql(query.id.is_some()))?;
    let mut rows = statement.query((
        customer,
        at,
        id,
        query.id.as_ref().map(ReservationId::as_str),
        query.state.map(state_column),
        query.holder.as_deref(),
        query.subaccount.as_ref().map(SubaccountId::as_str),
    ))?;
    while let Some(row) = rows.next()? {
        if !filling.take(reservation(row)?) {
            break;
        }
    }
    Ok(filling.page(place))
}

/// Lists allocations of a customer by feature and id.
pub(super) fn allocations(
    reading: Reading<'_>,
    query: &AllocationQuery,
) -> Result<Page<Allocation>, StoreError> {
    let mut filling = Filling::new(query.limit);
    let place = |item: &Allocation| token(&(&item.feature, &item.id));
    let Some(customer) = reading.customer_no(&query.customer)? else {
        return Ok(filling.page(place));
    };
    let (feature, id) = match &query.after {
        Some(text) => {
            let (feature, id): (FeatureId, AllocationId) = read_token(text)?;
            (String::from(feature), String::from(id))
        }
        None => (String::new(), String::new()),
    };
    let mut statement = reading.conn.prepare_cached(&format!(
        "SELECT body FROM allocations
         WHERE customer_no = ?1 AND (feature, id) > (?2, ?3) AND {} ORDER BY feature, id",
        equals("feature", "?4", query.feature.is_some())
    ))?;
    let mut rows = statement.query((
        customer,
        feature,
        id,
        query.feature.as_ref().map(FeatureId::as_str),
    ))?;
    while let Some(row) = rows.next()? {
        let allocation: Allocation = read_json("allocations", &row.get::<_, String>(0)?)?;
        if query.subaccount.is_some() && query.subaccount != allocation.subaccount {
            continue;
        }
        if !filling.take(allocation) {
            break;
        }
    }
    Ok(filling.page(place))
}

/// Lists customers with a reservation, a hold or a grant whose time is over, those that wait longest first.
pub(super) fn overdue(
    reading: Reading<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<CustomerId>, StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT c.id FROM (
             SELECT customer_no, expire_time FROM reservations INDEXED BY reservations_due
             WHERE state = 0 AND expire_time <= ?1
             UNION ALL
             SELECT customer_no, due_time FROM books INDEXED BY books_due
             WHERE state = 0 AND due_time IS NOT NULL AND due_time <= ?1
               AND (kind <> 1 OR used + held + lapsed < amount)
         ) d JOIN customers c ON c.no = d.customer_no
         GROUP BY c.id ORDER BY min(d.expire_time), c.id LIMIT ?2",
    )?;
    let mut rows = statement.query((now.as_micros(), i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = CustomerId::new(row.get::<_, String>(0)?);
        found.push(id.map_err(|error| corrupt("customers", error))?);
    }
    Ok(found)
}

/// Lists the denial log of a customer, newest minute first.
pub(super) fn denials(
    reading: Reading<'_>,
    query: &DenialQuery,
) -> Result<Page<Denial>, StoreError> {
    let (minute, feature, reason) = match &query.after {
        Some(text) => {
            let (minute, feature, reason): (Timestamp, FeatureId, String) = read_token(text)?;
            (minute.as_micros(), String::from(feature), reason)
        }
        None => (i64::MAX, String::new(), String::new()),
    };
    let mut statement = reading.conn.prepare_cached(
        "SELECT minute, feature, reason, count, sample FROM denials
         WHERE customer = ?1 AND minute >= ?2 AND minute < ?3
           AND minute <= ?4 AND (minute < ?4 OR (feature, reason) > (?5, ?6))
           AND (?7 IS NULL OR feature = ?7) AND (?8 IS NULL OR reason = ?8)
         ORDER BY minute DESC, feature, reason",
    )?;
    let mut rows = statement.query((
        query.customer.as_str(),
        query.range.start.as_micros(),
        query.range.end.as_micros(),
        minute,
        feature,
        reason,
        query.feature.as_ref().map(FeatureId::as_str),
        query.reason.as_deref(),
    ))?;
    let mut filling = Filling::new(query.limit);
    while let Some(row) = rows.next()? {
        let feature = FeatureId::new(row.get::<_, String>(1)?);
        let denial = Denial {
            customer: query.customer.clone(),
            feature: feature.map_err(|error| corrupt("denials", error))?,
            reason: row.get::<_, String>(2)?.into(),
            minute: read_time("denials", row.get(0)?)?,
            count: row.get(3)?,
            sample: row.get::<_, String>(4)?.into(),
        };
        if !filling.take(denial) {
            break;
        }
    }
    Ok(filling.page(|denial| token(&(denial.minute, &denial.feature, &denial.reason))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::open::empty;

    #[test]
    fn what_is_asked_for_by_its_id_is_found_by_the_key() {
        let conn = empty();
        for (sql, column) in [
            (customers_sql(true), "id"),
            (reservations_sql(true), "customer_no=? AND id"),
        ] {
            let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut steps = explain.raw_query();
            let plan: String = steps.next().unwrap().unwrap().get(3).unwrap();
            assert!(plan.starts_with("SEARCH"), "{plan}");
            assert!(plan.ends_with(&format!("({column}=?)")), "{plan}");
        }
    }
}
