//! Transactions of ledgers, and what can be wrong with them.

use super::wallet::to_name;
use super::{known, or_empty, to_timestamp};
use crate::domain::wallet::{Account, Balance, Cause, Entry, Heads, LedgerFault, Posted};
use crate::engine::{Error, LedgerFinding, WalletFault};
use crate::grpc::pb;

/// Most grants that the text of one fault names.
const NAMED_MAX: usize = 3;

/// Reads a cause to filter by; `None`: every cause.
pub(in crate::grpc) fn cause(given: i32) -> Result<Option<Cause>, Error> {
    Ok(Some(match known("cause", given)? {
        pb::LedgerCause::Unspecified => return Ok(None),
        pb::LedgerCause::Grant => Cause::Grant,
        pb::LedgerCause::Debit => Cause::Debit,
        pb::LedgerCause::Hold => Cause::Hold,
        pb::LedgerCause::Usage => Cause::Usage,
        pb::LedgerCause::Refund => Cause::Refund,
        pb::LedgerCause::Capture => Cause::Capture,
        pb::LedgerCause::Release => Cause::Release,
        pb::LedgerCause::HoldExpiry => Cause::HoldExpiry,
        pb::LedgerCause::GrantExpiry => Cause::GrantExpiry,
        pb::LedgerCause::Rollover => Cause::Rollover,
        pb::LedgerCause::Transfer => Cause::Transfer,
        pb::LedgerCause::Clawback => Cause::Clawback,
    }))
}

impl From<Cause> for pb::LedgerCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Grant => Self::Grant,
            Cause::Debit => Self::Debit,
            Cause::Hold => Self::Hold,
            Cause::Usage => Self::Usage,
            Cause::Refund => Self::Refund,
            Cause::Capture => Self::Capture,
            Cause::Release => Self::Release,
            Cause::HoldExpiry => Self::HoldExpiry,
            Cause::GrantExpiry => Self::GrantExpiry,
            Cause::Rollover => Self::Rollover,
            Cause::Transfer => Self::Transfer,
            Cause::Clawback => Self::Clawback,
        }
    }
}

/// Writes a transaction.
pub(in crate::grpc) fn transaction(posted: Posted) -> pb::LedgerTransaction {
    let (about, done) = (posted.about, posted.transaction);
    pb::LedgerTransaction {
        number: posted.number,
        time: Some(to_timestamp(posted.time)),
        cause: pb::LedgerCause::from(done.cause).into(),
        entries: done.entries.into_iter().map(entry).collect(),
        balance: Some(posted.balance.into()),
        hold_id: or_empty(about.hold),
        reservation_id: or_empty(about.reservation),
        grant_id: or_empty(about.grant),
        meter_id: or_empty(about.meter),
        other_subaccount_id: or_empty(about.other.and_then(|other| other.owner)),
        note: about.note.into(),
        caller: about.caller.into(),
        request_id: or_empty(about.request),
    }
}

fn entry(entry: Entry) -> pb::LedgerEntry {
    let (mut grant, mut source) = (None, pb::CreditSource::Unspecified);
    let account = match entry.account {
        Account::Available(of) => {
            grant = Some(of);
            pb::LedgerAccount::Available
        }
        Account::Held(of) => {
            grant = Some(of);
            pb::LedgerAccount::Held
        }
        Account::Revenue => pb::LedgerAccount::Revenue,
        Account::Expired => pb::LedgerAccount::Expired,
        Account::Funding(from) => {
            source = from.into();
            pb::LedgerAccount::Funding
        }
        Account::Receivable => pb::LedgerAccount::Receivable,
        Account::Transfers => pb::LedgerAccount::Transfers,
    };
    pb::LedgerEntry {
        account: account.into(),
        grant_id: or_empty(grant),
        source: source.into(),
        amount_micros: entry.amount,
    }
}

/// Writes what an audit found.
pub(in crate::grpc) fn fault(found: LedgerFinding) -> pb::LedgerFault {
    let (kind, transaction_number, text) = match &found.fault {
        WalletFault::Ledger(fault) => told(fault),
        WalletFault::Transfers(sum) => (
            pb::LedgerFaultKind::Transfers,
            0,
            format!("what wallets took is {sum} micro-units less than what others gave"),
        ),
    };
    let entry_index = match &found.fault {
        WalletFault::Ledger(LedgerFault::Overdrawn { entry, .. }) => i32::try_from(*entry).ok(),
        WalletFault::Ledger(_) | WalletFault::Transfers(_) => None,
    };
    pb::LedgerFault {
        wallet: to_name(found.customer, found.wallet),
        kind: kind.into(),
        transaction_number,
        entry_index,
        text,
    }
}

/// Says what is wrong with a ledger: kind, number of the transaction, and the numbers.
fn told(fault: &LedgerFault) -> (pb::LedgerFaultKind, i64, String) {
    match fault {
        LedgerFault::Unbalanced { transaction, sum } => (
            pb::LedgerFaultKind::Unbalanced,
            *transaction,
            format!("the entries sum to {sum} micro-units, not to zero"),
        ),
        LedgerFault::Overdrawn {
            transaction,
            balance,
            ..
        } => (
            pb::LedgerFaultKind::Overdrawn,
            *transaction,
            format!("the entry leaves its account with {balance} micro-units"),
        ),
        LedgerFault::Gap { expected, found } => (
            pb::LedgerFaultKind::Gap,
            *expected,
            match found {
                Some(found) => format!("transaction {expected} should have come, {found} did"),
                None => format!("transaction {expected} should have come, none did"),
            },
        ),
        LedgerFault::Misstated {
            transaction,
            noted,
            fold,
        } => (
            pb::LedgerFaultKind::Misstated,
            *transaction,
            format!(
                "noted is {}, the entries come to {}",
                balance(noted),
                balance(fold)
            ),
        ),
        LedgerFault::Differs { holds, fold } => {
            (pb::LedgerFaultKind::Differs, 0, differences(holds, fold))
        }
    }
}

fn balance(of: &Balance) -> String {
    let (available, held, owed) = (of.available, of.held, of.receivable);
    format!("{available} available, {held} held, {owed} owed")
}

/// Names the accounts in which a wallet differs from its entries, the first few of them.
fn differences(holds: &Heads, fold: &Heads) -> String {
    let mut found = Vec::new();
    let accounts = [
        ("available", &holds.available, &fold.available),
        ("held", &holds.held, &fold.held),
    ];
    for (what, holds, fold) in accounts {
        let mut grants: Vec<_> = holds.keys().chain(fold.keys()).collect();
        grants.sort_unstable();
        grants.dedup();
        for grant in grants {
            let of = |heads: &std::collections::BTreeMap<_, i128>| {
                heads.get(grant).copied().unwrap_or_default()
            };
            let (has, is) = (of(holds), of(fold));
            if has != is {
                found.push(format!(
                    "grant {grant} has {has} {what}, the entries say {is}"
                ));
            }
        }
    }
    if holds.receivable != fold.receivable {
        let (has, is) = (holds.receivable, fold.receivable);
        found.push(format!("{has} is owed, the entries say {is}"));
    }
    let more = found.len().saturating_sub(NAMED_MAX);
    found.truncate(NAMED_MAX);
    let mut text = found.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
