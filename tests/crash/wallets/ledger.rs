//! Folds each ledger from its first transaction on, and compares with what stands in the rows beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Account, Books, Head, Key, Posted};
use crate::checker::{Findings, Kind};
use crate::credits::Balance;

/// What a wallet holds, by the entries so far.
#[derive(Debug, Default)]
struct Fold {
    available: BTreeMap<String, i128>,
    held: BTreeMap<String, i128>,
    owed: i128,
}

/// Checks every ledger, and that what was on the way between wallets arrived.
pub fn check(books: &Books, found: &mut Findings) {
    let wallets: BTreeSet<Key> = books
        .heads
        .keys()
        .chain(books.ledger.keys())
        .copied()
        .collect();
    let mut on_the_way: BTreeMap<u32, i128> = BTreeMap::new();
    let mut folded: BTreeSet<(u32, String)> = BTreeSet::new();
    for key in wallets {
        let rows = books.ledger.get(&key).map_or(&[][..], Vec::as_slice);
        let head = books.heads.get(&key).copied();
        let mut wrong = Vec::new();
        let fold = fold(rows, head, &mut wrong);
        compare(books, key, &fold, &mut wrong);
        for text in wrong {
            found.add(Kind::Ledger, format!("wallet {key:?}: {text}"));
        }
        let moved = rows
            .iter()
            .map(|row| row.sum(|account| *account == Account::Transfers));
        *on_the_way.entry(key.0).or_default() += moved.sum::<i128>();
        let known = fold.available.into_keys().chain(fold.held.into_keys());
        // What came may have settled what was owed, so that nothing of it was ever to be spent.
        let named = rows.iter().map(|row| &row.body.about);
        let named = named.flat_map(|about| about.grant.iter().chain(&about.settled).cloned());
        folded.extend(known.chain(named).map(|id| (key.0, id)));
    }
    for (customer, sum) in on_the_way.into_iter().filter(|entry| entry.1 != 0) {
        let text = format!("customer {customer}: {sum} is on the way between its wallets");
        found.add(Kind::Ledger, text);
    }
    for (grant, row) in &books.grants {
        if !folded.contains(grant) {
            let text = format!("grant {grant:?} stands in no ledger: {row:?}");
            found.add(Kind::Ledger, text);
        }
    }
}

fn fold(rows: &[Posted], head: Option<Head>, wrong: &mut Vec<String>) -> Fold {
    let mut fold = Fold::default();
    for (due, row) in (1..).zip(rows) {
        if row.number != due {
            wrong.push(format!(
                "transaction {} stands where {due} should",
                row.number
            ));
        }
        let sum = row.sum(|_| true);
        if sum != 0 {
            wrong.push(format!("transaction {} sums to {sum}: {row:?}", row.number));
        }
        fold.take(row, wrong);
        if fold.balance() != Some(row.balance) {
            let (noted, is) = (row.balance, fold.balance());
            wrong.push(format!(
                "after transaction {} {noted:?} is noted, it is {is:?}",
                row.number
            ));
        }
    }
    let last = rows.last().map_or(0, |row| row.number);
    match head {
        Some(head) if head.number == last && i128::from(head.owed) == fold.owed => {}
        head => wrong.push(format!(
            "it is {head:?}, its ledger ends with {last} and {} owed",
            fold.owed
        )),
    }
    fold
}

impl Fold {
    fn take(&mut self, row: &Posted, wrong: &mut Vec<String>) {
        let mut touched = Vec::new();
        for entry in &row.body.entries {
            let amount = i128::from(entry.amount);
            match &entry.account {
                Account::Available(grant) => {
                    *self.available.entry(grant.clone()).or_default() += amount;
                    touched.push(grant);
                }
                Account::Held(grant) => {
                    *self.held.entry(grant.clone()).or_default() += amount;
                    touched.push(grant);
                }
                Account::Receivable => self.owed -= amount,
                Account::Revenue | Account::Expired | Account::Funding(_) | Account::Transfers => {}
            }
        }
        // What happens together may pass through anything in between.
        let is_below =
            |of: &BTreeMap<String, i128>, grant| of.get(grant).is_some_and(|sum| *sum < 0);
        for grant in touched {
            if is_below(&self.available, grant) || is_below(&self.held, grant) {
                wrong.push(format!(
                    "transaction {} overdraws {grant}: {row:?}",
                    row.number
                ));
            }
        }
        if self.owed < 0 {
            wrong.push(format!(
                "transaction {} pays more than is owed: {row:?}",
                row.number
            ));
        }
    }

    fn balance(&self) -> Option<Balance> {
        let sum = |of: &BTreeMap<String, i128>| i64::try_from(of.values().sum::<i128>()).ok();
        Some(Balance {
            available: sum(&self.available)?,
            held: sum(&self.held)?,
            owed: i64::try_from(self.owed).ok()?,
        })
    }
}

/// Compares the grants of a wallet and what holds have set aside of them with the fold.
fn compare(books: &Books, key: Key, fold: &Fold, wrong: &mut Vec<String>) {
    let (customer, part) = key;
    let mut aside: BTreeMap<&str, i64> = BTreeMap::new();
    for ((_, id), hold) in books.holds.iter().filter(|((wallet, _), _)| *wallet == key) {
        if hold.state != 0 && !hold.body.legs.is_empty() {
            wrong.push(format!("hold {id} has ended and holds: {hold:?}"));
        }
        for (grant, amount) in &hold.body.legs {
            *aside.entry(grant).or_default() += amount;
        }
    }
    let ours = books.grants.iter();
    let ours = ours.filter(|((of, _), grant)| *of == customer && grant.part == part);
    let mut known = BTreeSet::new();
    for ((_, id), grant) in ours {
        known.insert(id.as_str());
        let due = |of: &BTreeMap<String, i128>| of.get(id).copied().unwrap_or_default();
        let is = (i128::from(grant.available()), i128::from(grant.held));
        if is != (due(&fold.available), due(&fold.held)) || grant.used.min(grant.lapsed) < 0 {
            let (available, held) = (due(&fold.available), due(&fold.held));
            wrong.push(format!(
                "grant {id} is {grant:?}, its ledger leaves {available} available and {held} held"
            ));
        }
        let legs = aside.get(id.as_str()).copied().unwrap_or_default();
        if legs != grant.held {
            wrong.push(format!(
                "holds have {legs} of grant {id}, it has set aside {}",
                grant.held
            ));
        }
    }
    let moved = fold.available.keys().chain(fold.held.keys());
    let strays: BTreeSet<&str> = moved
        .map(String::as_str)
        .chain(aside.into_keys())
        .filter(|id| !known.contains(id))
        .collect();
    for id in strays {
        wrong.push(format!("grant {id} moved here and is not in this wallet"));
    }
}
