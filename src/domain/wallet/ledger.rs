//! Movements of credits: entries that sum to zero, never changed, of which balances are the fold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Source, Wallet, WalletKey};
use crate::domain::id::{GrantId, HoldId, MeterId, RequestId, ReservationId};
use crate::domain::time::Timestamp;

/// Where credits are. Amounts are positive where credits come to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// With the customer, to be spent.
    Available(GrantId),
    /// With the customer, set aside.
    Held(GrantId),
    /// Spent.
    Revenue,
    /// Gone because their time was over.
    Expired,
    /// Where they come from; its balance is what was granted, below zero.
    Funding(Source),
    /// Owed by the customer; its balance is what is owed, below zero.
    Receivable,
    /// On the way between two wallets of the customer: what one gives, the other takes in the same moment, so that over
    /// all wallets of a unit its balance is zero.
    Transfers,
}

/// Why credits moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Credits came.
    Grant,
    /// Credits were spent.
    Debit,
    /// Credits were set aside.
    Hold,
    /// Recorded usage drew on credits, set aside or not; all of one batch and meter.
    Usage,
    /// Usage was taken back, and what it had drawn came back.
    Refund,
    /// What was set aside was spent, all or part.
    Capture,
    /// What was set aside was given back.
    Release,
    /// What was set aside was given back because nobody ended it in time.
    HoldExpiry,
    /// The time of credits was over.
    GrantExpiry,
    /// What a period left was carried into the next, as far as it may be.
    Rollover,
    /// Credits went to another wallet of the customer, or came from one.
    Transfer,
    /// The money behind credits was taken back.
    Clawback,
}

/// One line of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Micro-units that came, below zero those that went; never zero.
    pub amount: i64,
}

/// Entries that happen together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Why.
    pub cause: Cause,
    /// What moved; sums to zero.
    pub entries: Vec<Entry>,
}

impl Transaction {
    /// Returns one in which nothing moved yet.
    #[must_use]
    pub const fn new(cause: Cause) -> Self {
        Self {
            cause,
            entries: Vec::new(),
        }
    }

    /// Moves an amount from one account to another.
    pub(super) fn shift(&mut self, from: Account, to: Account, amount: i64) {
        if amount != 0 {
            self.add(from, -amount);
            self.add(to, amount);
        }
    }

    /// Adds to the entry of an account, so that each has one.
    fn add(&mut self, account: Account, amount: i64) {
        let same = |entry: &Entry| entry.account == account;
        if let Some(place) = self.entries.iter().position(same) {
            self.entries[place].amount += amount;
            if self.entries[place].amount == 0 {
                self.entries.remove(place);
            }
        } else {
            self.entries.push(Entry { account, amount });
        }
    }

    /// Takes the entries of another into this one.
    pub fn join(&mut self, other: Self) {
        for entry in other.entries {
            self.add(entry.account, entry.amount);
        }
    }

    /// Whether nothing moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the sum of the entries: zero, or the ledger is broken.
    #[must_use]
    pub fn sum(&self) -> i128 {
        self.entries
            .iter()
            .map(|entry| i128::from(entry.amount))
            .sum()
    }
}

/// A transaction as it stands in the ledger of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The wallet.
    pub wallet: WalletKey,
    /// Its number in the wallet's ledger, from 1, without gaps.
    pub number: i64,
    /// When.
    pub time: Timestamp,
    /// What moved, and why.
    pub transaction: Transaction,
    /// On whose behalf, and what it was about.
    pub about: About,
    /// What the wallet held after it.
    pub balance: Balance,
}

/// What a transaction was about; what does not apply is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The hold that was made, captured or given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
    /// The reservation that the hold belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
    /// The grant that came, ended or was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// The grants that came with a transfer of which all paid what was owed, so that no entry names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<GrantId>,
    /// The meter whose usage was charged or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<MeterId>,
    /// The other wallet of a transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<WalletKey>,
    /// Why, for people.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub note: Box<str>,
    /// Who asked; empty: nobody, its time had come, or usage was recorded.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub caller: Box<str>,
    /// Under which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

/// What a wallet holds, in micro-units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// To be spent; what has expired and was not booked as such counts.
    pub available: i64,
    /// Set aside.
    pub held: i64,
    /// Owed.
    pub receivable: i64,
}

/// Balances of one wallet, by account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// What grants have to be spent, those with nothing left out.
    pub available: BTreeMap<GrantId, i128>,
    /// What grants have set aside, those with nothing left out.
    pub held: BTreeMap<GrantId, i128>,
    /// What is owed.
    pub receivable: i128,
}

impl Heads {
    /// Adds an entry. Returns what its account had before, and has since; an account that may have anything has nothing.
    pub(super) fn add(&mut self, entry: &Entry) -> (i128, i128) {
        let amount = i128::from(entry.amount);
        let (balances, grant) = match &entry.account {
            Account::Available(grant) => (&mut self.available, grant),
            Account::Held(grant) => (&mut self.held, grant),
            Account::Receivable => {
                self.receivable -= amount;
                return (self.receivable + amount, self.receivable);
            }
            Account::Revenue | Account::Expired | Account::Funding(_) | Account::Transfers => {
                return (0, 0);
            }
        };
        let balance = balances.entry(grant.clone()).or_default();
        *balance += amount;
        let balance = *balance;
        if balance == 0 {
            balances.remove(grant);
        }
        (balance - amount, balance)
    }
}

pub(super) fn clamp(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

impl Wallet {
    /// Returns the balances that the wallet holds.
    #[must_use]
    pub fn heads(&self) -> Heads {
        let some = |of: fn(&super::Grant) -> i64| {
            let all = self
                .grants
                .iter()
                .map(|grant| (grant.id.clone(), of(grant)));
            all.filter(|(_, amount)| *amount != 0)
                .map(|(id, amount)| (id, i128::from(amount)))
                .collect()
        };
        Heads {
            available: some(super::Grant::available),
            held: some(|grant| grant.held),
            receivable: i128::from(self.head.receivable),
        }
    }

    /// Returns what the wallet holds, in sum.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let sum = |of: fn(&super::Grant) -> i64| {
            let all = self.grants.iter().map(|grant| i128::from(of(grant)));
            clamp(all.sum())
        };
        Balance {
            available: sum(super::Grant::available),
            held: sum(|grant| grant.held),
            receivable: self.head.receivable,
        }
    }
}
