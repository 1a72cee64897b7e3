//! Proving a ledger: every transaction sums to zero, none is missing, and what the wallet holds is the fold of them.

use super::Wallet;
use super::ledger::{Account, Balance, Entry, Heads, Posted, clamp};

/// Most faults of one ledger that are told, beside those at its end: the first say where it went wrong.
const FAULTS_MAX: usize = 100;

/// What is wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerFault {
    /// A transaction does not sum to zero.
    Unbalanced {
        /// Its number.
        transaction: i64,
        /// Its sum.
        sum: i128,
    },
    /// An entry takes more than there is; told of the one that goes below zero.
    Overdrawn {
        /// The number of its transaction.
        transaction: i64,
        /// Its position in the transaction.
        entry: usize,
        /// What it leaves its account with, below zero.
        balance: i128,
    },
    /// A transaction is missing, or stands twice.
    Gap {
        /// The number that should have come.
        expected: i64,
        /// The one that did; `None`: none any more.
        found: Option<i64>,
    },
    /// The balance that was noted after a transaction is not the fold of the entries up to it; told where they part, not
    /// of what follows.
    Misstated {
        /// The number of the transaction.
        transaction: i64,
        /// What was noted.
        noted: Balance,
        /// The fold.
        fold: Balance,
    },
    /// What a wallet holds is not the fold of its entries.
    Differs {
        /// What it holds.
        holds: Heads,
        /// The fold.
        fold: Heads,
    },
}

/// Looks through the ledger of a wallet from its first transaction on, in the order of numbers, and compares the fold
/// with what the wallet holds.
#[derive(Debug, Default)]
pub struct Audit {
    fold: Heads,
    sums: Sums,
    /// How far the noted balances are off by now: what was wrong once is in all that follows.
    off: Sums,
    number: i64,
    faults: Vec<LedgerFault>,
}

/// Sums over all grants: available, held, owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums([i128; 3]);

impl Sums {
    fn of(balance: Balance) -> Self {
        Self([balance.available, balance.held, balance.receivable].map(i128::from))
    }

    fn add(&mut self, entry: &Entry) {
        let amount = i128::from(entry.amount);
        match entry.account {
            Account::Available(_) => self.0[0] += amount,
            Account::Held(_) => self.0[1] += amount,
            Account::Receivable => self.0[2] -= amount,
            Account::Revenue | Account::Expired | Account::Funding(_) | Account::Transfers => {}
        }
    }

    fn less(self, other: Self) -> Self {
        let [one, two, three] = self.0;
        Self([one - other.0[0], two - other.0[1], three - other.0[2]])
    }

    fn balance(self) -> Balance {
        let [available, held, receivable] = self.0.map(clamp);
        Balance {
            available,
            held,
            receivable,
        }
    }
}

impl Audit {
    /// Looks at the next transaction.
    pub fn take(&mut self, posted: &Posted) {
        let transaction = posted.number;
        if transaction != self.number + 1 {
            self.note(LedgerFault::Gap {
                expected: self.number + 1,
                found: Some(transaction),
            });
        }
        self.number = transaction;
        let sum = posted.transaction.sum();
        if sum != 0 {
            self.note(LedgerFault::Unbalanced { transaction, sum });
        }
        for (entry, line) in posted.transaction.entries.iter().enumerate() {
            self.sums.add(line);
            let (before, balance) = self.fold.add(line);
            if balance < 0 && before >= 0 {
                self.note(LedgerFault::Overdrawn {
                    transaction,
                    entry,
                    balance,
                });
            }
        }
        let off = Sums::of(posted.balance).less(self.sums);
        if off != self.off && off != Sums::default() {
            self.note(LedgerFault::Misstated {
                transaction,
                noted: posted.balance,
                fold: self.sums.balance(),
            });
        }
        self.off = off;
    }

    fn note(&mut self, fault: LedgerFault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// Compares with what the wallet holds, and returns all that is wrong.
    #[must_use]
    pub fn finish(mut self, wallet: &Wallet) -> Vec<LedgerFault> {
        if self.number != wallet.head.number {
            self.faults.push(LedgerFault::Gap {
                expected: self.number + 1,
                found: None,
            });
        }
        let holds = wallet.heads();
        if holds != self.fold {
            self.faults.push(LedgerFault::Differs {
                holds,
                fold: self.fold,
            });
        }
        self.faults
    }
}

/// Audits a ledger that is at hand as a whole.
#[must_use]
pub fn audit<'a>(
    wallet: &Wallet,
    ledger: impl IntoIterator<Item = &'a Posted>,
) -> Vec<LedgerFault> {
    let mut audit = Audit::default();
    for posted in ledger {
        audit.take(posted);
    }
    audit.finish(wallet)
}
