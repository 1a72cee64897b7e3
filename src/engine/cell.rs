//! The place of one customer in memory.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::FixedState;
use parking_lot::{Mutex, MutexGuard};

use super::rates::Rates;
use crate::domain::account::{Account, Effects};
use crate::domain::id::{CustomerId, ReservationId};
use crate::domain::reservation::Reservation;
use crate::domain::time::Timestamp;
use crate::storage::CustomerNo;

/// The place of one customer in memory. Dropping what it holds at any moment changes cost, never meaning.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(super) id: CustomerId,
    /// Where it lies in the hash of customers, from 0 up to 65,535: which committer it belongs to.
    pub(super) hash: u16,
    /// The store's number of the customer; 0: not known.
    no: AtomicI64,
    /// Whether it was used since the last look for idle ones.
    used: AtomicBool,
    /// How often it was read anew since it was last used.
    renewals: AtomicU8,
    /// The last decision that took it in, so that it is taken in once without its lock being asked each time.
    pub(super) entered: AtomicU64,
    /// Its place among those that this decision took in: a hint, as checks may not wait for it.
    pub(super) place: AtomicUsize,
    inner: Mutex<Inner>,
}

/// What a cell holds, behind its lock.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The account; `None`: to be read from the store.
    pub(super) account: Option<Account>,
    /// The account as a batch left it that could not be committed, or as it was before others changed it: good enough
    /// for checks while the store cannot be read, and for nothing else.
    pub(super) stale: Option<Box<Account>>,
    /// The version it was read at, see [`AccountRows`](crate::storage::AccountRows); what a running batch changed
    /// counts when that is committed.
    pub(super) version: i64,
    /// Whether the store knows no such customer, as of the last reading.
    pub(super) absent: bool,
    /// Rises with each batch that touches the account, so that an older reading is noticed.
    pub(super) generation: u32,
    /// The place of the account among those that the running batch touches.
    pub(super) in_batch: Option<u32>,
    /// Whether it needs counters that are not kept yet.
    pub(super) untracked: bool,
    /// Tokens of its rate features.
    pub(super) rates: Rates,
}

impl Cell {
    pub(super) fn new(id: CustomerId) -> Arc<Self> {
        let hash = FixedState::with_seed(0).hash_one(id.as_str()) >> 48;
        Arc::new(Self {
            hash: u16::try_from(hash).unwrap_or(0),
            id,
            no: AtomicI64::new(0),
            used: AtomicBool::new(true),
            renewals: AtomicU8::new(0),
            entered: AtomicU64::new(0),
            place: AtomicUsize::new(usize::MAX),
            inner: Mutex::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    pub(super) fn no(&self) -> CustomerNo {
        self.no.load(Ordering::Relaxed)
    }

    pub(super) fn set_no(&self, no: CustomerNo) {
        self.no.store(no, Ordering::Relaxed);
    }

    /// Whether the account is in memory with all its counters.
    pub(super) fn is_ready(&self) -> bool {
        let inner = self.inner.lock();
        inner.account.is_some() && !inner.untracked && self.no() != 0
    }

    /// Whether the account is in memory. One whose creation is not committed yet has no number and is not.
    pub(super) fn is_loaded(&self) -> bool {
        self.no() != 0 && self.inner.lock().account.is_some()
    }

    /// Whether all that is in memory is an account that may not be what is stored.
    pub(super) fn is_stale(&self) -> bool {
        let inner = self.inner.lock();
        inner.account.is_none() && inner.stale.is_some()
    }

    /// Notes that the store knows no such customer, unless a batch touched it since; true when it did not.
    pub(super) fn note_absent(&self, generation: u32) -> bool {
        let mut inner = self.inner.lock();
        let is_absent = inner.generation == generation && inner.account.is_none();
        inner.absent |= is_absent;
        is_absent
    }

    /// Returns a reservation that memory holds: every one in the open state.
    pub(super) fn reservation(&self, id: &ReservationId) -> Option<Reservation> {
        let inner = self.inner.lock();
        inner.account.as_ref()?.reservations.get(id).cloned()
    }

    /// Marks it as used. Mostly it is marked already, and a look is cheaper for other threads than a write.
    pub(super) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if self.renewals.load(Ordering::Relaxed) != 0 {
            self.renewals.store(0, Ordering::Relaxed);
        }
    }

    /// Returns whether it was used since this was last asked.
    pub(super) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Returns how often it was read anew since it was last used.
    pub(super) fn renewals(&self) -> u8 {
        self.renewals.load(Ordering::Relaxed)
    }

    /// Notes that it is read anew.
    pub(super) fn note_renewal(&self) {
        let renewals = self.renewals().saturating_add(1);
        self.renewals.store(renewals, Ordering::Relaxed);
    }
}

impl Inner {
    /// Forgets the account, so that it is read again.
    pub(super) fn forget(&mut self) {
        self.account = None;
        self.stale = None;
        self.version = 0;
        self.absent = false;
        self.in_batch = None;
        self.generation = self.generation.wrapping_add(1);
    }

    /// As [`Inner::forget`], but keeps the account for checks while the store cannot be read.
    pub(super) fn distrust(&mut self) {
        let stale = self.account.take().map(Box::new).or(self.stale.take());
        self.forget();
        self.stale = stale;
    }

    /// Returns the account for looking at `now`: moved on to the windows that hold now. A stale one will do.
    ///
    /// While a batch holds changes of it that are not collected yet, windows may not move on under them; such an
    /// account is looked at as a copy. So is one that credits of its plan are due to: only a batch gives them, but
    /// whoever looks must not be told that they are missing.
    pub(super) fn look<R>(
        &mut self,
        now: Timestamp,
        look: impl FnOnce(&Account) -> R,
    ) -> Option<R> {
        let in_batch = self.in_batch.is_some();
        let account = self.account.as_mut().or(self.stale.as_deref_mut())?;
        let credits_due = account.credits_due(now);
        if !account.is_behind(now) && !credits_due {
            return Some(look(account));
        }
        if in_batch || credits_due {
            let mut copy = account.clone();
            copy.advance(now);
            // As taking it into a batch would; what fails here fails there, and is told there.
            if credits_due && copy.expire(now, &mut Effects::default()).is_ok() {
                give_included(&mut copy, now);
            }
            return Some(look(&copy));
        }
        account.advance(now);
        Some(look(account))
    }
}

/// Gives an account the credits of its plan that are due.
pub(super) fn give_included(account: &mut Account, now: Timestamp) {
    if let Err(refusal) = account.renew_credits(now) {
        tracing::debug!(customer.id = %account.customer.id, %refusal, "there is no place for included credits");
    }
}
