//! Small numbers for meters and counter specs, and the connection they are read through.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};

use super::columns::{corrupt, json, read_json};
use super::wallets::Ledgers;
use crate::domain::counter::CounterSpec;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::time::Timestamp;
use crate::storage::{CustomerNo, StoreError};

/// What all connections share: committed numbers, which never change, and the latest instant.
#[derive(Default)]
pub(super) struct Names {
    specs: RwLock<HashMap<i64, Arc<CounterSpec>>>,
    meters: RwLock<HashMap<i64, MeterId>>,
    latest: AtomicI64,
}

impl Names {
    /// Notes an instant that the store was told.
    pub(super) fn tell(&self, at: Timestamp) {
        self.latest.fetch_max(at.as_micros(), Ordering::Relaxed);
    }

    /// Forgets numbers: the writer may have learned some from rows that were taken back.
    pub(super) fn forget(&self) {
        self.specs.write().clear();
        self.meters.write().clear();
    }

    /// Takes a connection for reading.
    pub(super) fn reading<'a>(&'a self, conn: &'a Connection) -> Reading<'a> {
        Reading {
            conn,
            names: self,
            latest: Timestamp::from_micros_clamped(self.latest.load(Ordering::Relaxed)),
        }
    }
}

/// A connection inside a transaction, and what is known of names.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) conn: &'a Connection,
    pub(super) names: &'a Names,
    /// The latest instant that the store was told, of a batch or a trim.
    pub(super) latest: Timestamp,
}

impl Reading<'_> {
    /// Returns a spec by number.
    pub(super) fn spec(self, no: i64) -> Result<Arc<CounterSpec>, StoreError> {
        if let Some(spec) = self.names.specs.read().get(&no) {
            return Ok(Arc::clone(spec));
        }
        let text: String = self
            .conn
            .prepare_cached("SELECT spec FROM counter_specs WHERE no = ?1")?
            .query_row([no], |row| row.get(0))
            .optional()?
            .ok_or_else(|| corrupt("counter_specs", format!("no spec {no}")))?;
        let spec = Arc::new(read_json("counter_specs", &text)?);
        self.names.specs.write().insert(no, Arc::clone(&spec));
        Ok(spec)
    }

    /// Returns specs by a column that lists their numbers.
    pub(super) fn specs(self, column: &str) -> Result<Vec<Arc<CounterSpec>>, StoreError> {
        let numbers: Vec<i64> = read_json("counter_specs", column)?;
        numbers.into_iter().map(|no| self.spec(no)).collect()
    }

    /// Returns a meter's id by number.
    pub(super) fn meter(self, no: i64) -> Result<MeterId, StoreError> {
        if let Some(id) = self.names.meters.read().get(&no) {
            return Ok(id.clone());
        }
        let text: String = self
            .conn
            .prepare_cached("SELECT id FROM meters WHERE no = ?1")?
            .query_row([no], |row| row.get(0))
            .optional()?
            .ok_or_else(|| corrupt("meters", format!("no meter {no}")))?;
        let id = MeterId::new(text).map_err(|error| corrupt("meters", error))?;
        self.names.meters.write().insert(no, id.clone());
        Ok(id)
    }

    /// Returns the number of a meter; `None`: nothing of it was ever stored.
    pub(super) fn meter_no(self, id: &MeterId) -> Result<Option<i64>, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT no FROM meters WHERE id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?)
    }

    /// Returns the number of a customer.
    pub(super) fn customer_no(self, id: &CustomerId) -> Result<Option<CustomerNo>, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT no FROM customers WHERE id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?)
    }

    /// Returns the id of a customer.
    pub(super) fn customer_id(self, no: CustomerNo) -> Result<CustomerId, StoreError> {
        let text: String = self
            .conn
            .prepare_cached("SELECT id FROM customers WHERE no = ?1")?
            .query_row([no], |row| row.get(0))
            .optional()?
            .ok_or_else(|| corrupt("customers", format!("no customer {no}")))?;
        CustomerId::new(text).map_err(|error| corrupt("customers", error))
    }
}

/// Most customers whose number the writer keeps at hand.
const CUSTOMERS_KEPT: usize = 65_536;

/// The writer's own way from values to numbers and places. Emptied after a rollback, which takes numbers back.
#[derive(Default)]
pub(super) struct Numbers {
    specs: HashMap<Arc<CounterSpec>, i64, foldhash::fast::RandomState>,
    meters: HashMap<MeterId, i64, foldhash::fast::RandomState>,
    customers: HashMap<CustomerId, CustomerNo, foldhash::fast::RandomState>,
    /// The customer asked for last: rows mostly come in runs of one.
    customer: Option<(CustomerId, CustomerNo)>,
    /// Where the newest transactions of wallets stand.
    pub(super) ledgers: Ledgers,
}

impl Numbers {
    pub(super) fn clear(&mut self) {
        self.specs.clear();
        self.meters.clear();
        self.customers.clear();
        self.customer = None;
        self.ledgers.clear();
    }

    /// Returns the number of a spec, giving it one when it has none.
    pub(super) fn spec(
        &mut self,
        conn: &Connection,
        spec: &Arc<CounterSpec>,
    ) -> Result<i64, StoreError> {
        if let Some(no) = self.specs.get(spec) {
            return Ok(*no);
        }
        let no = number_of(conn, "counter_specs", "spec", &json(&**spec))?;
        self.specs.insert(Arc::clone(spec), no);
        Ok(no)
    }

    /// Returns the column that lists specs.
    pub(super) fn specs(
        &mut self,
        conn: &Connection,
        specs: &[Arc<CounterSpec>],
    ) -> Result<String, StoreError> {
        let numbers: Vec<i64> = specs
            .iter()
            .map(|spec| self.spec(conn, spec))
            .collect::<Result<_, _>>()?;
        Ok(json(&numbers))
    }

    /// Returns the number of a meter, giving it one when it has none.
    pub(super) fn meter(&mut self, conn: &Connection, id: &MeterId) -> Result<i64, StoreError> {
        if let Some(no) = self.meters.get(id) {
            return Ok(*no);
        }
        let no = number_of(conn, "meters", "id", id.as_str())?;
        self.meters.insert(id.clone(), no);
        Ok(no)
    }

    /// Returns the number of a customer, which must exist.
    pub(super) fn customer(
        &mut self,
        reading: Reading<'_>,
        id: &CustomerId,
    ) -> Result<CustomerNo, StoreError> {
        if let Some((last, no)) = &self.customer
            && last == id
        {
            return Ok(*no);
        }
        let no = if let Some(no) = self.customers.get(id) {
            *no
        } else {
            let stored = reading.customer_no(id)?;
            let no = stored
                .ok_or_else(|| StoreError::Constraint(format!("there is no customer {id}")))?;
            self.learn(id, no);
            no
        };
        self.customer = Some((id.clone(), no));
        Ok(no)
    }

    /// Keeps the number of a customer at hand.
    pub(super) fn learn(&mut self, id: &CustomerId, no: CustomerNo) {
        if self.customers.len() >= CUSTOMERS_KEPT {
            self.customers.clear();
        }
        self.customers.insert(id.clone(), no);
    }
}

fn number_of(
    conn: &Connection,
    table: &'static str,
    column: &'static str,
    value: &str,
) -> Result<i64, StoreError> {
    let found = conn
        .prepare_cached(&format!("SELECT no FROM {table} WHERE {column} = ?1"))?
        .query_row([value], |row| row.get(0))
        .optional()?;
    if let Some(no) = found {
        return Ok(no);
    }
    conn.prepare_cached(&format!("INSERT INTO {table} ({column}) VALUES (?1)"))?
        .execute([value])?;
    Ok(conn.last_insert_rowid())
}
