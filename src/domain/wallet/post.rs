//! Writing transactions into the ledgers of a book, and handing out what changed.

use super::book::{Book, BookChanges};
use super::ledger::{About, Account, Balance, Cause, Posted, Transaction};
use super::{Grant, Hold, Wallet, WalletKey};
use crate::domain::id::HoldId;
use crate::domain::time::Timestamp;

impl Book {
    /// Appends a transaction to the ledger of a wallet. What usage of one meter drew joins what it drew just before,
    /// as long as nothing but such charges stands between: charges only take, so their order does not matter.
    pub fn post(&mut self, key: &WalletKey, done: Transaction, about: About, now: Timestamp) {
        if done.is_empty() {
            return;
        }
        if done.cause == Cause::Usage
            && let Some(place) = self.same_usage(key, &about)
        {
            self.join(place, key, done);
            return;
        }
        let wallet = self.wallet_mut(key);
        let number = wallet.next_number();
        let balance = wallet.balance();
        let posted = Posted {
            wallet: key.clone(),
            number,
            time: now,
            transaction: done,
            about,
            balance,
        };
        add(&mut self.posted, posted);
    }

    /// Finds what the same usage drew that is not written yet.
    fn same_usage(&self, key: &WalletKey, about: &About) -> Option<usize> {
        let ours = self.posted.iter().enumerate().rev();
        let mut ours = ours.filter(|(_, posted)| posted.wallet == *key);
        let place = ours
            .find(|(_, posted)| posted.transaction.cause != Cause::Usage || posted.about == *about);
        place
            .filter(|(_, posted)| posted.transaction.cause == Cause::Usage)
            .map(|(place, _)| place)
    }

    fn join(&mut self, place: usize, key: &WalletKey, done: Transaction) {
        let mut change = Balance::default();
        for entry in &done.entries {
            match entry.account {
                Account::Available(_) => change.available += entry.amount,
                Account::Held(_) => change.held += entry.amount,
                Account::Receivable => change.receivable -= entry.amount,
                Account::Revenue | Account::Expired | Account::Funding(_) | Account::Transfers => {}
            }
        }
        self.posted[place].transaction.join(done);
        let since = self.posted[place..].iter_mut();
        for posted in since.filter(|posted| posted.wallet == *key) {
            posted.balance.available += change.available;
            posted.balance.held += change.held;
            posted.balance.receivable += change.receivable;
        }
        self.wallet_mut(key).dirty = true;
    }

    /// Ends holds and grants whose time is over, and forgets what need not be known any more.
    pub fn sweep(&mut self, now: Timestamp) {
        if !self.is_due(now) {
            return;
        }
        let keys: Vec<WalletKey> = self.wallets().map(|wallet| wallet.key().clone()).collect();
        for key in keys {
            while let Some((id, done)) = self.wallet_mut(&key).expire_hold(now) {
                self.give_back_hold(&key, &id);
                let about = About {
                    hold: Some(id),
                    ..About::default()
                };
                self.post(&key, done, about, now);
            }
            let done = self.wallet_mut(&key).expire_grants(now);
            self.post(&key, done, About::default(), now);
        }
    }

    /// Whether the time of a hold or of a grant with something left is over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.wallets().any(|wallet| wallet.due_time() <= now)
    }

    /// Hands out what changed since the last call, and forgets what ended.
    pub fn take_changes(&mut self, now: Timestamp) -> BookChanges {
        let mut changes = BookChanges {
            posted: std::mem::take(&mut self.posted),
            ..BookChanges::default()
        };
        for wallet in self.wallets_mut() {
            wallet.take_changes(&mut changes, now);
            wallet.forget(now);
        }
        for draw in self.draws_mut().values_mut() {
            if std::mem::take(&mut draw.dirty) {
                changes.draws.push(draw.clone());
            }
        }
        changes
    }
}

impl Wallet {
    /// Returns the first instant at which a hold or a grant with something left ends.
    fn due_time(&self) -> Timestamp {
        let holds = self.holds().values().filter(|hold| hold.is_open());
        let holds = holds.map(|hold| hold.expire_time);
        let grants = self.grants().iter().filter(|grant| grant.available() > 0);
        let grants = grants.filter_map(|grant| grant.expire_time);
        holds.chain(grants).min().unwrap_or(Timestamp::MAX)
    }

    fn take_changes(&mut self, changes: &mut BookChanges, now: Timestamp) {
        if std::mem::take(&mut self.dirty) {
            let top_up = self.head.terms.top_up.as_ref();
            let available = self.balance().available;
            let top_up = top_up.and_then(|top_up| top_up.due_time(available));
            // What could not be renewed waits until somebody comes by.
            let included = self.head.terms.included.as_ref();
            let period_end = included.map(|given| given.period.end);
            let period_end = period_end.filter(|end| *end > now);
            self.head.terms.due_time = top_up.into_iter().chain(period_end).min();
            add(&mut changes.heads, self.head.clone());
        }
        let key = self.head.key.clone();
        for grant in self.grants.iter_mut().filter(|grant| grant.dirty) {
            grant.dirty = false;
            add(&mut changes.grants, (key.clone(), Grant::clone(grant)));
        }
        let holds = self.holds.iter_mut().filter(|(_, hold)| hold.dirty);
        for (id, hold) in holds {
            hold.dirty = false;
            let row: (WalletKey, HoldId, Hold) = (key.clone(), id.clone(), hold.clone());
            add(&mut changes.holds, row);
        }
    }
}

/// Adds to what mostly stays the only one: these are large, and room for four of each would be, too.
fn add<T>(all: &mut Vec<T>, one: T) {
    if all.is_empty() {
        all.reserve_exact(1);
    }
    all.push(one);
}
