//! Movements of credits: entries that sum to zero, never changed, of which balances are the fold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Source, Wallet};
use crate::domain::id::{GrantId, SubaccountId};

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
    /// Credits went to another wallet of the customer.
    Transfer,
    /// The money behind credits was taken back.
    Clawback,
}

/// One line of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The wallet; `None`: the customer's own.
    pub owner: Option<SubaccountId>,
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
    pub(super) const fn new(cause: Cause) -> Self {
        Self {
            cause,
            entries: Vec::new(),
        }
    }

    /// Moves an amount from one account of a wallet to another.
    pub(super) fn shift(&mut self, wallet: &Wallet, from: Account, to: Account, amount: i64) {
        self.shift_between((wallet, from), (wallet, to), amount);
    }

    /// Moves an amount from an account of one wallet to one of another.
    pub(super) fn shift_between(
        &mut self,
        (giver, from): (&Wallet, Account),
        (taker, to): (&Wallet, Account),
        amount: i64,
    ) {
        if amount == 0 {
            return;
        }
        self.add(giver, from, -amount);
        self.add(taker, to, amount);
    }

    /// Adds to the entry of an account, so that each has one.
    fn add(&mut self, wallet: &Wallet, account: Account, amount: i64) {
        let same = |entry: &&mut Entry| entry.owner == wallet.owner && entry.account == account;
        if let Some(entry) = self.entries.iter_mut().find(same) {
            entry.amount += amount;
        } else {
            self.entries.push(Entry {
                owner: wallet.owner.clone(),
                account,
                amount,
            });
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

/// Balances of one wallet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// What grants have to be spent, those with nothing left out.
    pub available: BTreeMap<GrantId, i128>,
    /// What grants have set aside, those with nothing left out.
    pub held: BTreeMap<GrantId, i128>,
    /// What is owed.
    pub receivable: i128,
}

/// What is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerFault {
    /// A transaction, by position, does not sum to zero.
    Unbalanced {
        /// Its position.
        transaction: usize,
        /// Its sum.
        sum: i128,
    },
    /// An entry takes more than there is.
    Overdrawn {
        /// The position of its transaction.
        transaction: usize,
        /// Its position in the transaction.
        entry: usize,
    },
    /// What a wallet holds is not the fold of its entries.
    Differs {
        /// What it holds.
        holds: Heads,
        /// The fold.
        fold: Heads,
    },
}

impl Heads {
    /// Adds an entry; false when it takes more than there is.
    fn add(&mut self, entry: &Entry) -> bool {
        let amount = i128::from(entry.amount);
        let (balances, grant) = match &entry.account {
            Account::Available(grant) => (&mut self.available, grant),
            Account::Held(grant) => (&mut self.held, grant),
            Account::Receivable => {
                self.receivable -= amount;
                return self.receivable >= 0;
            }
            Account::Revenue | Account::Expired | Account::Funding(_) => return true,
        };
        let balance = balances.entry(grant.clone()).or_default();
        *balance += amount;
        let balance = *balance;
        if balance == 0 {
            balances.remove(grant);
        }
        balance >= 0
    }
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
            receivable: i128::from(self.receivable),
        }
    }
}

/// Looks through all transactions that touched a wallet, in order, and compares their fold with what it holds.
#[must_use]
pub fn audit<'a>(
    wallet: &Wallet,
    transactions: impl IntoIterator<Item = &'a Transaction>,
) -> Vec<LedgerFault> {
    let mut faults = Vec::new();
    let mut fold = Heads::default();
    for (transaction, one) in transactions.into_iter().enumerate() {
        let sum = one.sum();
        if sum != 0 {
            faults.push(LedgerFault::Unbalanced { transaction, sum });
        }
        for (entry, line) in one.entries.iter().enumerate() {
            if line.owner == wallet.owner && !fold.add(line) {
                faults.push(LedgerFault::Overdrawn { transaction, entry });
            }
        }
    }
    let holds = wallet.heads();
    if holds != fold {
        faults.push(LedgerFault::Differs { holds, fold });
    }
    faults
}
