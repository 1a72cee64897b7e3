//! The wallets of one customer: their rows, and what may be written to them.

use std::collections::{BTreeMap, BTreeSet};

use super::lists::{foreign, page};
use crate::domain::id::{FeatureId, GrantId, HoldId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{
    BookChanges, Draw, Grant, Hold, HoldState, Posted, Wallet, WalletHead, WalletKey,
};
use crate::storage::wallets::{meant, payment_column};
use crate::storage::{LedgerQuery, Page, StoreError};

/// What is kept of the wallets of a customer.
#[derive(Default)]
pub(super) struct Wallets {
    heads: BTreeMap<WalletKey, WalletHead>,
    grants: BTreeMap<GrantId, (WalletKey, Grant)>,
    holds: BTreeMap<(HoldId, WalletKey), Hold>,
    ledgers: BTreeMap<WalletKey, BTreeMap<i64, Posted>>,
    draws: BTreeMap<(FeatureId, Timestamp), Draw>,
}

impl Wallets {
    /// Puts together what memory is to know of each wallet.
    pub(super) fn read(&self, now: Timestamp) -> Vec<Wallet> {
        let of = |head: &WalletHead| {
            let grants = self
                .grants
                .values()
                .filter(|(key, grant)| *key == head.key && !grant.is_forgotten(now));
            let holds = self
                .holds
                .iter()
                .filter(|((_, key), hold)| *key == head.key && hold.is_open());
            Wallet::restore(
                head.clone(),
                grants.map(|(_, grant)| grant.clone()).collect(),
                holds
                    .map(|((id, _), hold)| (id.clone(), hold.clone()))
                    .collect(),
            )
        };
        self.heads.values().map(of).collect()
    }

    /// Returns what usage drew in periods that have not ended.
    pub(super) fn draws(&self, now: Timestamp) -> Vec<Draw> {
        let draws = self.draws.values().filter(|draw| draw.period.end > now);
        draws.cloned().collect()
    }

    /// Finds a hold.
    pub(super) fn hold(&self, id: &HoldId) -> Option<(WalletKey, Hold)> {
        let same = self.holds.iter().filter(|((other, _), _)| other == id);
        meant(
            same.map(|((_, key), hold)| (key.clone(), hold.clone()))
                .collect(),
        )
    }

    /// Lists a ledger.
    pub(super) fn ledger(&self, query: &LedgerQuery) -> Result<Page<Posted>, StoreError> {
        let after: Option<i64> = match &query.after {
            Some(text) => Some(text.parse().map_err(|_| foreign())?),
            None => None,
        };
        let is_past = |number: i64| {
            after.is_none_or(|after| {
                if query.is_rising {
                    number > after
                } else {
                    number < after
                }
            })
        };
        let ledger = self.ledgers.get(&query.wallet).into_iter().flatten();
        let mut wanted: Vec<&Posted> = ledger
            .map(|(_, posted)| posted)
            .filter(|posted| is_past(posted.number) && query.matches(posted))
            .collect();
        if !query.is_rising {
            wanted.reverse();
        }
        let items = wanted
            .into_iter()
            .map(|posted| (posted.number.to_string(), posted.clone()));
        Ok(page(items, query.limit))
    }

    /// Whether the time of a hold, or of a grant with something left to spend, is over.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let mut holds = self.holds.values();
        let mut grants = self.grants.values();
        holds.any(|hold| hold.is_open() && hold.expire_time <= now)
            || grants.any(|(_, grant)| grant.available() > 0 && grant.is_expired(now))
            || self
                .heads
                .values()
                .any(|head| head.terms.due_time.is_some_and(|due| due <= now))
    }

    /// Checks that changes may be written.
    pub(super) fn check(&self, changes: &BookChanges) -> Result<(), StoreError> {
        let broken = |what: String| Err(StoreError::Constraint(what));
        for head in &changes.heads {
            if head.receivable < 0 {
                return broken(format!("a wallet that is owed {}", head.receivable));
            }
        }
        let payments = self.grants.values().map(|(_, grant)| grant);
        let payments = payments.chain(changes.grants.iter().map(|(_, grant)| grant));
        let mut paid: BTreeMap<String, &GrantId> = BTreeMap::new();
        for grant in payments {
            if let Some(payment) = payment_column(grant)
                && *paid.entry(payment.clone()).or_insert(&grant.id) != &grant.id
            {
                return broken(format!("the payment {payment} brought a grant before"));
            }
        }
        for (key, grant) in &changes.grants {
            let gone = [grant.used, grant.held, grant.lapsed];
            let sum: i128 = gone.iter().map(|part| i128::from(*part)).sum();
            if gone.iter().any(|part| *part < 0) || sum > i128::from(grant.amount) {
                return broken(format!("grant {} is overdrawn", grant.id));
            }
            if let Some((at, stored)) = self.grants.get(&grant.id)
                && (at != key
                    || stored.amount != grant.amount
                    || payment_column(stored) != payment_column(grant))
            {
                return broken(format!("grant {} would become another", grant.id));
            }
        }
        let mut new = BTreeSet::new();
        for posted in &changes.posted {
            let ledger = self.ledgers.get(&posted.wallet);
            let stands = ledger.is_some_and(|ledger| ledger.contains_key(&posted.number));
            if stands || !new.insert((&posted.wallet, posted.number)) {
                return broken(format!("transaction {} stands already", posted.number));
            }
        }
        Ok(())
    }

    /// Writes changes that were checked.
    pub(super) fn write(&mut self, changes: BookChanges) {
        for head in changes.heads {
            self.heads.insert(head.key.clone(), head);
        }
        for (key, mut grant) in changes.grants {
            grant.dirty = false;
            self.grants.insert(grant.id.clone(), (key, grant));
        }
        for (key, id, mut hold) in changes.holds {
            hold.dirty = false;
            self.holds.insert((id, key), hold);
        }
        for posted in changes.posted {
            let ledger = self.ledgers.entry(posted.wallet.clone()).or_default();
            ledger.insert(posted.number, posted);
        }
        for mut draw in changes.draws {
            draw.dirty = false;
            let key = (draw.feature.clone(), draw.period.start);
            self.draws.insert(key, draw);
        }
    }

    /// Forgets holds that ended before an instant, at most so many. Returns how many that were.
    pub(super) fn drop_holds(&mut self, ended: Timestamp, most: usize) -> usize {
        let is_old = |hold: &Hold| {
            hold.state != HoldState::Open && hold.end_time.is_some_and(|end| end < ended)
        };
        let old = self.holds.iter().filter(|(_, hold)| is_old(hold));
        let old: Vec<_> = old.map(|(key, _)| key.clone()).take(most).collect();
        for key in &old {
            self.holds.remove(key);
        }
        old.len()
    }
}
