//! The customers in memory: found, loaded once however many wait, and let go when idle.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::cell::Cell;
use super::error::Error;
use super::load::Loader;
use crate::clock::Clock;
use crate::domain::id::CustomerId;
use crate::storage::Store;

/// How long to wait before looking again for a customer whose creation is not committed yet.
const CREATION_PAUSE: Duration = Duration::from_millis(1);
/// How many loads may run at once; also what joins loads of one customer.
const STRIPES: usize = 64;
/// Parts of the map, each with a lock: so many that threads seldom touch the same.
const SHARDS: usize = 1024;

/// The customers in memory.
pub(super) struct Accounts {
    cells: DashMap<CustomerId, Arc<Cell>, RandomState>,
    stripes: Vec<tokio::sync::Mutex<()>>,
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self {
            cells: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            stripes: (0..STRIPES)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
        }
    }

    /// Returns a customer that memory holds.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Cell>> {
        self.cells.get(id).map(|cell| Arc::clone(&cell))
    }

    /// Returns the place of a customer, empty when memory does not hold it.
    pub(super) fn place(&self, id: &CustomerId) -> Arc<Cell> {
        if let Some(cell) = self.get(id.as_str()) {
            return cell;
        }
        Arc::clone(
            &self
                .cells
                .entry(id.clone())
                .or_insert_with(|| Cell::new(id.clone())),
        )
    }

    /// Returns a customer with its account loaded; `None`: there is none of this id.
    pub(super) async fn load(
        &self,
        id: &CustomerId,
        store: &dyn Store,
        loader: &Loader,
        clock: &dyn Clock,
    ) -> Result<Option<Arc<Cell>>, Error> {
        if let Some(cell) = self.get(id.as_str()) {
            cell.touch();
            if cell.is_loaded() {
                return Ok(Some(cell));
            }
        }
        let _turn = self.stripe(id).lock().await;
        let cell = self.place(id);
        loop {
            if cell.is_loaded() {
                return Ok(Some(cell));
            }
            let generation = cell.lock().generation;
            let Some(rows) = store.account(id, clock.now()).await? else {
                if cell.note_absent(generation) {
                    drop(cell);
                    self.drop_if_empty(id);
                    return Ok(None);
                }
                // It is being created: whoever finds it must wait until that is committed.
                tokio::time::sleep(CREATION_PAUSE).await;
                continue;
            };
            let catalogs = loader.catalogs_for(&rows, store).await?;
            let mut inner = cell.lock();
            // A batch that touched the account since has seen more than this reading.
            if inner.generation == generation && inner.account.is_none() {
                cell.set_no(rows.no);
                // Not before any batch that the reading has seen.
                let now = clock.now();
                let version = rows.version;
                let (account, untracked) = loader.account(rows, &catalogs, now);
                inner.version = version;
                inner.stale = None;
                inner.account = Some(account);
                inner.untracked = untracked;
            }
        }
    }

    fn stripe(&self, id: &CustomerId) -> &tokio::sync::Mutex<()> {
        let hash = self.cells.hasher().hash_one(id);
        // The low bits: dashmap and its tables use the high ones.
        &self.stripes[usize::try_from(hash % STRIPES as u64).unwrap_or(0)]
    }

    /// Lets go of a place that holds nothing and that nobody else looks at.
    fn drop_if_empty(&self, id: &CustomerId) {
        self.cells.remove_if(id, |_, cell| {
            Arc::strong_count(cell) == 1 && cell.lock().account.is_none()
        });
    }

    /// Lets go of every customer that was not used since the last call and that nothing is pending for.
    pub(super) fn evict_idle(&self) -> usize {
        let before = self.cells.len();
        self.cells
            .retain(|_, cell| cell.was_used() || Arc::strong_count(cell) > 1);
        before.saturating_sub(self.cells.len())
    }

    /// Forgets everything that memory holds.
    pub(super) fn forget_all(&self) {
        self.forget_where(|_| true);
    }

    /// Forgets the accounts that a test picks; those of a running batch are forgotten when it ends. Readings that
    /// are under way are taken again, since they may rest on what the caller knows to be over.
    pub(super) fn forget_where(&self, pick: impl Fn(&crate::domain::account::Account) -> bool) {
        for cell in &self.cells {
            let mut inner = cell.lock();
            match &inner.account {
                Some(account) if inner.in_batch.is_none() && pick(account) => inner.forget(),
                Some(_) => {}
                None => inner.generation = inner.generation.wrapping_add(1),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }
}
