//! How credits go from one wallet of a customer to another.

use super::fund::NewGrant;
use super::ledger::{Account, Cause, Transaction};
use super::spend::in_range;
use super::{GRANTS_MAX, Refusal, Source, Wallet};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

/// What a transfer moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// In the ledger of the giver.
    pub given: Transaction,
    /// In the ledger of the taker.
    pub taken: Transaction,
    /// The grants that came of which all paid what was owed: no entry names them.
    pub settled: Vec<GrantId>,
}

/// Moves credits from one wallet of a customer to another, in one transaction of each. They keep their priority, category
/// and expiry: each grant that gives becomes one there, called `id` and its number. Those that were paid for first pay
/// what the taker owes, as credits do that come.
///
/// # Errors
/// When the wallets are one or of different units, or as a debit of the giver; when the taker would hold too much.
pub fn transfer(
    from: &mut Wallet,
    to: &mut Wallet,
    id: &GrantId,
    (amount, owed_max): (i64, i64),
    now: Timestamp,
) -> Result<Transferred, Refusal> {
    in_range(amount)?;
    if from.key().owner == to.key().owner || from.key().unit != to.key().unit {
        return Err(Refusal::WalletsDoNotMatch);
    }
    from.check_spending(amount, owed_max, now)?;
    let (legs, _) = from.pick(amount, now);
    let coming = coming(from, &legs, id)?;
    if to.open_grants() + coming.len() > GRANTS_MAX {
        return Err(Refusal::TooManyGrants);
    }
    // All of it must fit, not only each part.
    for (number, new) in coming.iter().enumerate() {
        let all = NewGrant {
            amount: if number == 0 { amount } else { new.amount },
            ..new.clone()
        };
        to.check_room(&all, now)?;
    }
    let mut done = Transferred {
        given: Transaction::new(Cause::Transfer),
        taken: Transaction::new(Cause::Transfer),
        settled: Vec::new(),
    };
    for ((grant, part), new) in legs.into_iter().zip(coming) {
        let gives = Account::Available(grant.clone());
        done.given.shift(gives, Account::Transfers, part);
        from.change(&grant, now, |grant| {
            grant.used += part;
            grant.moved += part;
        });
        let came = new.id.clone();
        let settled = to.take_in(new, &Account::Transfers, &mut done.taken, now);
        if settled == part {
            done.settled.push(came);
        }
    }
    Ok(done)
}

/// Returns what parts of grants become in the wallet that they go to.
fn coming(from: &Wallet, legs: &[(GrantId, i64)], id: &GrantId) -> Result<Vec<NewGrant>, Refusal> {
    let mut coming = Vec::with_capacity(legs.len());
    for (number, (grant, part)) in legs.iter().enumerate() {
        let name = format!("{id}.{number}");
        let Some(grant) = from.grants().iter().find(|one| one.id == *grant) else {
            continue;
        };
        coming.push(NewGrant {
            id: GrantId::new(name).map_err(|_| Refusal::GrantExists(id.clone()))?,
            amount: *part,
            priority: grant.priority,
            category: grant.category,
            source: Source::Transfer,
            reference: grant.id.as_str().into(),
            expire_time: grant.expire_time,
        });
    }
    Ok(coming)
}
