//! The reference store: ordered maps behind one lock, gone with the process.
//!
//! It is what the contract means: the conformance suite was written against it, and other stores are compared
//! with it. It is simple before it is fast; every call does its work under the lock and never waits in it.

mod audit;
mod billing;
mod commit;
mod fold;
mod lists;
mod plan;
mod rollups;
mod state;
mod trim;
mod usage;
mod wallets;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use self::state::State;
use super::{
    AccountRows, AllocationQuery, AuditPage, AuditQuery, Batch, BillingQuery, BillingRow,
    Committed, CustomerQuery, Denial, DenialQuery, EventQuery, LedgerQuery, Page, ReservationQuery,
    Store, StoreError, StoredCatalog, StoredEvent, UsageQuery, UsageRow,
};
use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{Hold, Posted, WalletKey};

/// Keeps everything in memory.
pub struct MemoryStore {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    state: Mutex<State>,
}

impl MemoryStore {
    /// Returns an empty store that takes its time from `now`.
    #[must_use]
    pub fn new(now: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self {
            now,
            state: Mutex::default(),
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

fn empty<T>() -> Page<T> {
    Page {
        items: Vec::new(),
        next: None,
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok((self.now)())
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        commit::commit(&mut self.state.lock(), batch)
    }

    async fn enlist(&self, _committer: u16) -> Result<i64, StoreError> {
        let mut state = self.state.lock();
        state.epoch += 1;
        Ok(state.epoch)
    }

    async fn accounts(
        &self,
        customers: &[CustomerId],
        now: Timestamp,
    ) -> Result<Vec<Option<AccountRows>>, StoreError> {
        let state = self.state.lock();
        Ok(customers.iter().map(|id| state.account(id, now)).collect())
    }

    async fn catalog(
        &self,
        version: Option<CatalogVersion>,
    ) -> Result<Option<StoredCatalog>, StoreError> {
        let state = self.state.lock();
        let found = match version {
            Some(version) => state.catalogs.get(&version),
            None => state.catalogs.last_key_value().map(|(_, newest)| newest),
        };
        Ok(found.cloned())
    }

    async fn customers(
        &self,
        query: CustomerQuery,
    ) -> Result<Page<(Customer, Option<Subscription>)>, StoreError> {
        Ok(lists::customers(&self.state.lock(), &query))
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        let state = self.state.lock();
        let books = state.of(&query.customer);
        books.map_or(Ok(Vec::new()), |(_, books)| usage::usage(books, &query))
    }

    async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let state = self.state.lock();
        let books = state.of(&query.customer);
        books.map_or(Ok(empty()), |(_, books)| lists::events(books, &query))
    }

    async fn reservations(&self, query: ReservationQuery) -> Result<Page<Reservation>, StoreError> {
        let state = self.state.lock();
        let books = state.of(&query.customer);
        books.map_or(Ok(empty()), |(_, books)| lists::reservations(books, &query))
    }

    async fn allocations(&self, query: AllocationQuery) -> Result<Page<Allocation>, StoreError> {
        let state = self.state.lock();
        let books = state.of(&query.customer);
        books.map_or(Ok(empty()), |(_, books)| lists::allocations(books, &query))
    }

    async fn ledger(&self, query: LedgerQuery) -> Result<Page<Posted>, StoreError> {
        let state = self.state.lock();
        let books = state.of(&query.customer);
        books.map_or(Ok(empty()), |(_, books)| books.wallets.ledger(&query))
    }

    async fn hold(
        &self,
        customer: &CustomerId,
        id: &HoldId,
    ) -> Result<Option<(WalletKey, Hold)>, StoreError> {
        let state = self.state.lock();
        let books = state.of(customer);
        Ok(books.and_then(|(_, books)| books.wallets.hold(id)))
    }

    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<CustomerId>, StoreError> {
        Ok(lists::overdue(&self.state.lock(), now, limit))
    }

    async fn billing(&self, query: BillingQuery) -> Result<Page<BillingRow>, StoreError> {
        billing::page(&self.state.lock().billing, &query)
    }

    async fn log_denials(&self, denials: Vec<Denial>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for denial in denials {
            let log = state.denials.entry(denial.customer).or_default();
            let row = log
                .entry((denial.minute, denial.feature, denial.reason))
                .or_default();
            row.0 = row.0.saturating_add(denial.count);
            row.1 = denial.sample;
        }
        Ok(())
    }

    async fn denials(&self, query: DenialQuery) -> Result<Page<Denial>, StoreError> {
        lists::denials(&self.state.lock(), &query)
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        Ok(audit::audit(&self.state.lock(), &query))
    }

    async fn trim(&self, now: Timestamp, keep_events: Span) -> Result<bool, StoreError> {
        Ok(trim::trim(&mut self.state.lock(), now, keep_events))
    }
}

#[cfg(test)]
pub(crate) mod tests;
