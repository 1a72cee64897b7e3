//! Writing what a decision returned, save events, counters and rollups.

use rusqlite::Connection;

use super::billing;
use super::columns::{json, labels_column, part_column, state_column};
use super::names::{Numbers, Reading};
use crate::domain::customer::{Adjustment, Allocation, Override, Subaccount};
use crate::domain::id::{AllocationId, CustomerId, FeatureId, SubaccountId};
use crate::domain::reservation::Reservation;
use crate::domain::time::Timestamp;
use crate::storage::{
    Changes, CustomerNo, CustomerWrite, Denial, StoreError, StoredAnswer, StoredCatalog,
};

/// Writes the rows of a decision. Customers come first: the other rows may name one that is new.
pub(super) fn write(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    now: Timestamp,
    changes: &Changes,
) -> Result<Vec<(CustomerId, CustomerNo)>, StoreError> {
    let mut created = Vec::new();
    for write in &changes.customers {
        let (no, is_new) = customer(reading, numbers, write)?;
        if is_new {
            created.push((write.customer.id.clone(), no));
        }
    }
    let mut rows = Rows { reading, numbers };
    for (customer, part, tracked) in &changes.subaccounts {
        rows.subaccount(customer, part, tracked)?;
    }
    for (customer, reservation) in &changes.reservations {
        rows.reservation(customer, reservation)?;
    }
    for (customer, allocation) in &changes.allocations {
        rows.allocation(customer, allocation)?;
    }
    for (customer, feature, id) in &changes.deallocations {
        rows.deallocation(customer, feature, id)?;
    }
    for (customer, feature, part) in &changes.removed_overrides {
        rows.removed_override(customer, feature, part.as_ref())?;
    }
    for (customer, grant) in &changes.overrides {
        rows.set_override(customer, grant)?;
    }
    for (customer, adjustments) in &changes.adjustments {
        rows.adjustments(customer, adjustments)?;
    }
    billing::write(reading, numbers, changes)?;
    if let Some(applied) = &changes.catalog {
        catalog(reading.conn, applied)?;
    }
    for answer in &changes.answers {
        keep_answer(reading.conn, answer, now)?;
    }
    Ok(created)
}

/// Creates or replaces a customer; true when it is new.
fn customer(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    write: &CustomerWrite,
) -> Result<(CustomerNo, bool), StoreError> {
    let id = &write.customer.id;
    let tracked = numbers.specs(reading.conn, &write.tracked)?;
    let is_new = reading.customer_no(id)?.is_none();
    let no = reading
        .conn
        .prepare_cached(
            "INSERT INTO customers (id, body, subscription, tracked, deleted) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, subscription = excluded.subscription,
             tracked = excluded.tracked, deleted = excluded.deleted RETURNING no",
        )?
        .query_row(
            (
                id.as_str(),
                json(&write.customer),
                write.subscription.as_ref().map(json),
                tracked,
                write.customer.delete_time.is_some(),
            ),
            |row| row.get(0),
        )?;
    numbers.learn(id, no);
    Ok((no, is_new))
}

/// Writes rows that belong to a customer.
struct Rows<'a> {
    reading: Reading<'a>,
    numbers: &'a mut Numbers,
}

impl Rows<'_> {
    fn no(&mut self, customer: &CustomerId) -> Result<CustomerNo, StoreError> {
        self.numbers.customer(self.reading, customer)
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        self.reading.conn.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn subaccount(
        &mut self,
        customer: &CustomerId,
        part: &Subaccount,
        tracked: &[std::sync::Arc<crate::domain::counter::CounterSpec>],
    ) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        let tracked = self.numbers.specs(self.reading.conn, tracked)?;
        self.execute(
            "INSERT INTO subaccounts VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET body = excluded.body, tracked = excluded.tracked",
            (no, part.id.as_str(), json(part), tracked),
        )
    }

    fn reservation(
        &mut self,
        customer: &CustomerId,
        reservation: &Reservation,
    ) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        let mut buffer = Vec::new();
        self.execute(
            "INSERT INTO reservations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET subaccount = excluded.subaccount, holder = excluded.holder,
             metadata = excluded.metadata, items = excluded.items, reserve_time = excluded.reserve_time,
             expire_time = excluded.expire_time, state = excluded.state, end_time = excluded.end_time",
            (
                no,
                reservation.id.as_str(),
                reservation.subaccount.as_ref().map(SubaccountId::as_str),
                &*reservation.holder,
                labels_column(&reservation.metadata, &mut buffer),
                json(&reservation.items),
                reservation.reserve_time.as_micros(),
                reservation.expire_time.as_micros(),
                state_column(reservation.state),
                reservation.end_time.map(Timestamp::as_micros),
            ),
        )
    }

    fn allocation(
        &mut self,
        customer: &CustomerId,
        allocation: &Allocation,
    ) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        self.execute(
            "INSERT INTO allocations VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET body = excluded.body",
            (
                no,
                allocation.feature.as_str(),
                allocation.id.as_str(),
                json(allocation),
            ),
        )
    }

    fn deallocation(
        &mut self,
        customer: &CustomerId,
        feature: &FeatureId,
        id: &AllocationId,
    ) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        self.execute(
            "DELETE FROM allocations WHERE customer_no = ?1 AND feature = ?2 AND id = ?3",
            (no, feature.as_str(), id.as_str()),
        )
    }

    fn set_override(&mut self, customer: &CustomerId, grant: &Override) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        self.execute(
            "INSERT INTO overrides VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET body = excluded.body",
            (
                no,
                grant.feature.as_str(),
                part_column(grant.subaccount.as_ref()),
                json(grant),
            ),
        )
    }

    fn removed_override(
        &mut self,
        customer: &CustomerId,
        feature: &FeatureId,
        part: Option<&SubaccountId>,
    ) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        self.execute(
            "DELETE FROM overrides WHERE customer_no = ?1 AND feature = ?2 AND subaccount = ?3",
            (no, feature.as_str(), part_column(part)),
        )
    }

    fn adjustments(
        &mut self,
        customer: &CustomerId,
        adjustments: &[Adjustment],
    ) -> Result<(), StoreError> {
        let no = self.no(customer)?;
        self.execute(
            "INSERT INTO adjustments VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body",
            (no, json(adjustments)),
        )
    }
}

fn catalog(conn: &Connection, applied: &StoredCatalog) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO catalogs VALUES (?1, ?2, ?3, ?4)")?
        .execute((
            applied.version(),
            json(&*applied.catalog),
            &*applied.source,
            applied.apply_time.as_micros(),
        ))?;
    Ok(())
}

fn keep_answer(conn: &Connection, answer: &StoredAnswer, now: Timestamp) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO answers VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute((
            &*answer.key.caller,
            answer.key.method,
            answer.key.request.as_str(),
            &answer.content[..],
            &*answer.answer,
            now.as_micros(),
        ))?;
    Ok(())
}

/// Adds to the denial log.
pub(super) fn log_denials(conn: &Connection, denials: &[Denial]) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO denials VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET count = count + excluded.count, sample = excluded.sample",
    )?;
    for denial in denials {
        statement.execute((
            denial.customer.as_str(),
            denial.minute.as_micros(),
            denial.feature.as_str(),
            &*denial.reason,
            denial.count,
            &*denial.sample,
        ))?;
    }
    Ok(())
}
