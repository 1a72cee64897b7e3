//! Wallets as stores keep them: what stands in columns, and what is put together from them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::columns::{corrupt, json, part_column, read_json, read_part, read_time};
use crate::domain::id::{GrantId, HoldId, SubaccountId};
use crate::domain::sparse::is_default;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{
    About, Balance, Category, Cause, Entry, Grant, Hold, HoldState, Posted, Source, Transaction,
    Wallet, WalletHead, WalletKey, WalletTerms,
};

/// What is in a wallet.
type Content = (Vec<Grant>, Vec<(HoldId, Hold)>);

/// Puts wallets together from their rows.
pub(super) fn assemble(
    heads: Vec<WalletHead>,
    grants: Vec<(WalletKey, Grant)>,
    holds: Vec<(WalletKey, HoldId, Hold)>,
) -> Result<Vec<Wallet>, StoreError> {
    let mut parts: BTreeMap<WalletKey, Content> = heads
        .iter()
        .map(|head| (head.key.clone(), Content::default()))
        .collect();
    let stray = |table, key: &WalletKey| corrupt(table, format!("a row of no wallet: {key:?}"));
    for (key, grant) in grants {
        let part = parts.get_mut(&key).ok_or_else(|| stray("grants", &key))?;
        part.0.push(grant);
    }
    for (key, id, hold) in holds {
        let part = parts.get_mut(&key).ok_or_else(|| stray("holds", &key))?;
        part.1.push((id, hold));
    }
    let restore = |head: WalletHead| {
        let (grants, holds) = parts.remove(&head.key).unwrap_or_default();
        Wallet::restore(head, grants, holds)
    };
    Ok(heads.into_iter().map(restore).collect())
}

/// Returns the columns of a wallet's key: subaccount and unit.
pub(super) fn key_columns(key: &WalletKey) -> (&str, &str) {
    (part_column(key.owner.as_ref()), &key.unit)
}

pub(super) fn read_key(
    table: &'static str,
    subaccount: &str,
    unit: &str,
) -> Result<WalletKey, StoreError> {
    let owner: Option<SubaccountId> = read_part(table, subaccount)?;
    Ok(WalletKey {
        owner,
        unit: unit.into(),
    })
}

/// Whether something is left of a grant, set aside or not.
pub(super) const fn is_open(grant: &Grant) -> bool {
    grant.used + grant.lapsed < grant.amount
}

/// Returns what names the payment that a grant came from, of which there is one in all wallets of a customer.
pub(super) fn payment_column(grant: &Grant) -> Option<String> {
    payment(grant.source, &grant.reference)
}

/// Returns from when on the terms of a wallet have something to be done.
pub(super) fn due_time_of_terms(terms: &str) -> Result<Option<i64>, StoreError> {
    let terms: WalletTerms = read_json("wallets", terms)?;
    Ok(terms.due_time.map(Timestamp::as_micros))
}

/// Returns the same as [`payment_column`] from the column of a grant.
pub(super) fn payment_of_body(body: &str) -> Result<Option<String>, StoreError> {
    let body: GrantBody<'_> = read_json("grants", body)?;
    Ok(payment(body.source, &body.reference))
}

fn payment(source: Source, reference: &str) -> Option<String> {
    let name = match source {
        Source::Stripe => "stripe",
        Source::X402 => "x402",
        Source::Promotion => "promotion",
        Source::Manual => "manual",
        Source::Transfer => "transfer",
    };
    let is_payment = source.is_payment() && !reference.is_empty();
    is_payment.then(|| format!("{name}:{reference}"))
}

/// What of a grant stands in no column of its own.
#[derive(Serialize, Deserialize)]
struct GrantBody<'a> {
    #[serde(default, skip_serializing_if = "is_default")]
    moved: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    settled: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    expired: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    returned: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i32,
    category: Category,
    source: Source,
    #[serde(default, skip_serializing_if = "is_default")]
    reference: Cow<'a, str>,
    create_time: Timestamp,
}

/// Returns the column of what has none of its own.
pub(super) fn grant_body(grant: &Grant) -> String {
    json(&GrantBody {
        moved: grant.moved,
        settled: grant.settled,
        expired: grant.expired,
        returned: grant.returned,
        priority: grant.priority,
        category: grant.category,
        source: grant.source,
        reference: Cow::Borrowed(&grant.reference),
        create_time: grant.create_time,
    })
}

/// A grant in columns.
pub(super) struct GrantColumns<'a> {
    pub(super) id: &'a str,
    pub(super) amount: i64,
    pub(super) used: i64,
    pub(super) held: i64,
    pub(super) lapsed: i64,
    pub(super) change_time: i64,
    pub(super) expire_time: Option<i64>,
    pub(super) body: &'a str,
}

impl GrantColumns<'_> {
    pub(super) fn read(self) -> Result<Grant, StoreError> {
        const TABLE: &str = "grants";
        let body: GrantBody<'_> = read_json(TABLE, self.body)?;
        Ok(Grant {
            id: GrantId::new(self.id).map_err(|error| corrupt(TABLE, error))?,
            amount: self.amount,
            used: self.used,
            moved: body.moved,
            settled: body.settled,
            held: self.held,
            lapsed: self.lapsed,
            expired: body.expired,
            returned: body.returned,
            priority: body.priority,
            category: body.category,
            source: body.source,
            reference: body.reference.into(),
            create_time: body.create_time,
            change_time: read_time(TABLE, self.change_time)?,
            expire_time: self
                .expire_time
                .map(|micros| read_time(TABLE, micros))
                .transpose()?,
            dirty: false,
        })
    }
}

/// What of a hold stands in no column of its own.
#[derive(Serialize, Deserialize)]
struct HoldBody<'a> {
    #[serde(default, skip_serializing_if = "is_default")]
    amount: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    captured: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    legs: Cow<'a, [(GrantId, i64)]>,
    #[serde(default, skip_serializing_if = "is_default")]
    spender: Option<SubaccountId>,
    #[serde(default, skip_serializing_if = "is_default")]
    is_pool: bool,
    create_time: Timestamp,
}

/// Returns the column of what has none of its own.
pub(super) fn hold_body(hold: &Hold) -> String {
    json(&HoldBody {
        amount: hold.amount,
        captured: hold.captured,
        legs: Cow::Borrowed(&hold.legs),
        spender: hold.spender.clone(),
        is_pool: hold.is_pool,
        create_time: hold.create_time,
    })
}

/// A hold in columns.
pub(super) struct HoldColumns<'a> {
    pub(super) state: i64,
    pub(super) expire_time: i64,
    pub(super) end_time: Option<i64>,
    pub(super) body: &'a str,
}

impl HoldColumns<'_> {
    pub(super) fn read(self) -> Result<Hold, StoreError> {
        const TABLE: &str = "holds";
        let body: HoldBody<'_> = read_json(TABLE, self.body)?;
        Ok(Hold {
            amount: body.amount,
            captured: body.captured,
            legs: body.legs.into_owned(),
            spender: body.spender,
            is_pool: body.is_pool,
            create_time: body.create_time,
            expire_time: read_time(TABLE, self.expire_time)?,
            state: read_hold_state(self.state)?,
            end_time: self
                .end_time
                .map(|micros| read_time(TABLE, micros))
                .transpose()?,
            dirty: false,
        })
    }
}

/// Chooses among the holds of one id: pools of several wallets may bear the name of one feature, and a hold that somebody
/// made is what is meant.
pub(super) fn meant<T>(holds: Vec<(T, Hold)>) -> Option<(T, Hold)> {
    let (pools, made): (Vec<_>, Vec<_>) = holds.into_iter().partition(|(_, hold)| hold.is_pool);
    made.into_iter().chain(pools).next()
}

/// Returns the column of a hold's state.
pub(super) const fn hold_state_column(state: HoldState) -> i64 {
    match state {
        HoldState::Open => 0,
        HoldState::Captured => 1,
        HoldState::Released => 2,
        HoldState::Expired => 3,
    }
}

fn read_hold_state(column: i64) -> Result<HoldState, StoreError> {
    match column {
        0 => Ok(HoldState::Open),
        1 => Ok(HoldState::Captured),
        2 => Ok(HoldState::Released),
        3 => Ok(HoldState::Expired),
        other => Err(corrupt("holds", format!("state {other}"))),
    }
}

/// Returns the column of a cause.
pub(super) const fn cause_column(cause: Cause) -> &'static str {
    match cause {
        Cause::Grant => "grant",
        Cause::Debit => "debit",
        Cause::Hold => "hold",
        Cause::Usage => "usage",
        Cause::Refund => "refund",
        Cause::Capture => "capture",
        Cause::Release => "release",
        Cause::HoldExpiry => "hold_expiry",
        Cause::GrantExpiry => "grant_expiry",
        Cause::Rollover => "rollover",
        Cause::Transfer => "transfer",
        Cause::Clawback => "clawback",
    }
}

fn read_cause(column: &str) -> Result<Cause, StoreError> {
    let column: StrDeserializer<'_, serde::de::value::Error> = column.into_deserializer();
    Cause::deserialize(column).map_err(|error| corrupt("ledger", error))
}

/// What of a transaction stands in no column of its own.
#[derive(Serialize, Deserialize)]
struct PostedBody<'a> {
    entries: Cow<'a, [Entry]>,
    about: Cow<'a, About>,
}

/// Returns the column of what has none of its own.
pub(super) fn posted_body(posted: &Posted) -> String {
    json(&PostedBody {
        entries: Cow::Borrowed(&posted.transaction.entries),
        about: Cow::Borrowed(&posted.about),
    })
}

/// A transaction in columns.
pub(super) struct PostedColumns<'a> {
    pub(super) number: i64,
    pub(super) time: i64,
    pub(super) cause: &'a str,
    pub(super) body: &'a str,
    pub(super) available: i64,
    pub(super) held: i64,
    pub(super) receivable: i64,
}

impl PostedColumns<'_> {
    pub(super) fn read(&self, wallet: WalletKey) -> Result<Posted, StoreError> {
        let body: PostedBody<'_> = read_json("ledger", self.body)?;
        Ok(Posted {
            wallet,
            number: self.number,
            time: read_time("ledger", self.time)?,
            transaction: Transaction {
                cause: read_cause(self.cause)?,
                entries: body.entries.into_owned(),
            },
            about: body.about.into_owned(),
            balance: Balance {
                available: self.available,
                held: self.held,
                receivable: self.receivable,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_come_back_from_their_columns() {
        for cause in [
            Cause::Grant,
            Cause::Debit,
            Cause::Hold,
            Cause::Usage,
            Cause::Refund,
            Cause::Capture,
            Cause::Release,
            Cause::HoldExpiry,
            Cause::GrantExpiry,
            Cause::Rollover,
            Cause::Transfer,
            Cause::Clawback,
        ] {
            assert_eq!(read_cause(cause_column(cause)).unwrap(), cause);
        }
        assert!(read_cause("gift").is_err());
    }
}
