//! What a process keeps at hand of customers and counter specs; all of it can be looked up again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;
use sqlx::PgConnection;

use crate::domain::counter::CounterSpec;
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::storage::columns::{corrupt, read_json};
use crate::storage::{CustomerNo, StoreError};

/// Most customers whose id is kept by number.
const CUSTOMERS_KEPT: usize = 65_536;
/// Most specs that are kept by text.
const SPECS_KEPT: usize = 16_384;

/// What all calls share.
#[derive(Default)]
pub(super) struct Names {
    customers: RwLock<HashMap<CustomerNo, CustomerId, foldhash::fast::RandomState>>,
    by_text: RwLock<HashMap<Box<str>, Arc<CounterSpec>, foldhash::fast::RandomState>>,
    specs: RwLock<HashSet<Arc<CounterSpec>, foldhash::fast::RandomState>>,
}

impl Names {
    /// Keeps the id of a customer at hand. Numbers never change once they are committed.
    pub(super) fn learn(&self, no: CustomerNo, id: &CustomerId) {
        if self.customers.read().contains_key(&no) {
            return;
        }
        let mut customers = self.customers.write();
        if customers.len() >= CUSTOMERS_KEPT {
            customers.clear();
        }
        customers.insert(no, id.clone());
    }

    /// Returns the ids of customers by number, without those that there are not.
    pub(super) async fn customers(
        &self,
        conn: &mut PgConnection,
        numbers: impl Iterator<Item = CustomerNo>,
    ) -> Result<BTreeMap<CustomerNo, CustomerId>, StoreError> {
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        {
            let known = self.customers.read();
            for no in numbers {
                if found.contains_key(&no) {
                    continue;
                }
                match known.get(&no) {
                    Some(id) => drop(found.insert(no, id.clone())),
                    None => missing.push(no),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort_unstable();
        missing.dedup();
        let rows: Vec<(CustomerNo, String)> =
            sqlx::query_as("SELECT no, customer_id FROM customers WHERE no = ANY($1)")
                .bind(missing)
                .fetch_all(conn)
                .await?;
        for (no, id) in rows {
            let id = CustomerId::new(id).map_err(|error| corrupt("customers", error))?;
            self.learn(no, &id);
            found.insert(no, id);
        }
        Ok(found)
    }

    /// Returns the spec that a column holds.
    pub(super) fn spec(&self, column: &str) -> Result<Arc<CounterSpec>, StoreError> {
        if let Some(spec) = self.by_text.read().get(column) {
            return Ok(Arc::clone(spec));
        }
        let spec = self.shared(read_json("counters", column)?);
        let mut by_text = self.by_text.write();
        if by_text.len() >= SPECS_KEPT {
            by_text.clear();
        }
        by_text.insert(column.into(), Arc::clone(&spec));
        Ok(spec)
    }

    /// Returns the specs that a column lists.
    pub(super) fn specs(&self, column: &str) -> Result<Vec<Arc<CounterSpec>>, StoreError> {
        let specs: Vec<CounterSpec> = read_json("customers", column)?;
        Ok(specs.into_iter().map(|spec| self.shared(spec)).collect())
    }

    /// Returns the one copy of a spec that all accounts share.
    fn shared(&self, spec: CounterSpec) -> Arc<CounterSpec> {
        if let Some(spec) = self.specs.read().get(&spec) {
            return Arc::clone(spec);
        }
        let mut specs = self.specs.write();
        if specs.len() >= SPECS_KEPT {
            specs.clear();
        }
        let spec = Arc::new(spec);
        specs.insert(Arc::clone(&spec));
        spec
    }
}

/// Returns the latest instant that any process told the store, of a batch or a trim.
pub(super) async fn latest(conn: &mut PgConnection) -> Result<Timestamp, StoreError> {
    let micros: i64 = sqlx::query_scalar(
        "SELECT greatest((SELECT max(time) FROM batches), (SELECT trimmed FROM store))",
    )
    .fetch_one(conn)
    .await?;
    crate::storage::columns::read_time("batches", micros)
}
