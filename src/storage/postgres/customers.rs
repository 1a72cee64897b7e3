//! The rows of customers: locked in the order of their ids, created, replaced.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use crate::domain::id::CustomerId;
use crate::storage::columns::{corrupt, json};
use crate::storage::{CustomerNo, CustomerWrite, StoreError};

/// The customers whose rows a transaction has locked.
#[derive(Default)]
pub(super) struct Locked(BTreeMap<CustomerId, Row>);

/// A row that is locked.
#[derive(Clone, Copy)]
struct Row {
    no: CustomerNo,
    /// Its version before this transaction raised it.
    version: i64,
}

impl Locked {
    /// Returns the number of a customer; `None`: there is none of this id, or it is not locked.
    pub(super) fn no(&self, id: &CustomerId) -> Option<CustomerNo> {
        self.0.get(id).map(|row| row.no)
    }

    /// Returns the version of a customer as others last left it; `None`: there is none of this id.
    pub(super) fn version(&self, id: &CustomerId) -> Option<i64> {
        self.0.get(id).map(|row| row.version)
    }

    /// Returns the customers whose rows are locked or made.
    pub(super) fn ids(&self) -> Vec<&CustomerId> {
        self.0.keys().collect()
    }

    /// Locks those customers that are not locked yet and raises their versions. Within one call two writers lock in
    /// the same order and cannot wait for one another.
    pub(super) async fn lock(
        &mut self,
        conn: &mut PgConnection,
        named: impl Iterator<Item = &CustomerId>,
    ) -> Result<(), sqlx::Error> {
        let missing: BTreeSet<&str> = named
            .filter(|id| !self.0.contains_key(*id))
            .map(CustomerId::as_str)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, CustomerNo, i64)> = sqlx::query_as(
            "WITH locked AS (
                 SELECT customer_id FROM customers WHERE customer_id = ANY($1)
                 ORDER BY customer_id FOR UPDATE
             )
             UPDATE customers c SET version = version + 1 FROM locked
             WHERE c.customer_id = locked.customer_id RETURNING c.customer_id, c.no, c.version - 1",
        )
        .bind(missing.into_iter().collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
        for (id, no, version) in rows {
            let id = CustomerId::new(id).map_err(|error| sqlx::Error::Decode(error.into()))?;
            self.0.insert(id, Row { no, version });
        }
        Ok(())
    }

    /// Refuses a customer that is neither stored nor created.
    pub(super) fn check<'a>(
        &self,
        named: impl Iterator<Item = &'a CustomerId>,
    ) -> Result<(), StoreError> {
        for id in named {
            if !self.0.contains_key(id) {
                return Err(StoreError::Constraint(format!("there is no customer {id}")));
            }
        }
        Ok(())
    }

    /// Creates or replaces customers, of which those that are stored are locked. Returns those that are new.
    pub(super) async fn write(
        &mut self,
        conn: &mut PgConnection,
        writes: &[CustomerWrite],
    ) -> Result<Vec<(CustomerId, CustomerNo)>, StoreError> {
        let (replaced, new): (Vec<_>, Vec<_>) = writes
            .iter()
            .partition(|write| self.0.contains_key(&write.customer.id));
        if !replaced.is_empty() {
            Columns::of(&replaced)
                .run(
                    "UPDATE customers c SET body = w.body, subscription = w.subscription,
                     tracked = w.tracked, deleted = w.deleted
                     FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
                         AS w (customer_id, body, subscription, tracked, deleted)
                     WHERE c.customer_id = w.customer_id RETURNING c.customer_id, c.no",
                    conn,
                )
                .await?;
        }
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let created = Columns::of(&new)
            .run(
                "INSERT INTO customers (customer_id, version, body, subscription, tracked, deleted)
                 SELECT customer_id, 1, body, subscription, tracked, deleted
                 FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
                     AS w (customer_id, body, subscription, tracked, deleted)
                 ORDER BY customer_id ON CONFLICT DO NOTHING RETURNING customer_id, no",
                conn,
            )
            .await?;
        if created.len() < new.len() {
            // Another process created one since this batch looked; what it wrote must not be lost.
            return Err(StoreError::Conflict(
                "a customer that is to be created was created meanwhile".to_owned(),
            ));
        }
        let mut numbers = Vec::with_capacity(created.len());
        for (id, no) in created {
            let id = CustomerId::new(id).map_err(|error| corrupt("customers", error))?;
            self.0.insert(id.clone(), Row { no, version: 0 });
            numbers.push((id, no));
        }
        Ok(numbers)
    }
}

/// Customers as columns.
struct Columns<'a> {
    ids: Vec<&'a str>,
    bodies: Vec<String>,
    subscriptions: Vec<Option<String>>,
    tracked: Vec<String>,
    deleted: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(writes: &[&'a CustomerWrite]) -> Self {
        let of = |write: &&'a CustomerWrite| write.customer.id.as_str();
        Self {
            ids: writes.iter().map(of).collect(),
            bodies: writes.iter().map(|write| json(&write.customer)).collect(),
            subscriptions: writes
                .iter()
                .map(|write| write.subscription.as_ref().map(json))
                .collect(),
            tracked: writes.iter().map(|write| json(&write.tracked)).collect(),
            deleted: writes
                .iter()
                .map(|write| write.customer.delete_time.is_some())
                .collect(),
        }
    }

    async fn run(
        self,
        sql: &'static str,
        conn: &mut PgConnection,
    ) -> Result<Vec<(String, CustomerNo)>, StoreError> {
        Ok(sqlx::query_as(sql)
            .bind(self.ids)
            .bind(self.bodies)
            .bind(self.subscriptions)
            .bind(self.tracked)
            .bind(self.deleted)
            .fetch_all(conn)
            .await?)
    }
}
