//! Refusals of wallets as callers see them.

use super::missing::not_found;
use super::{Fault, internal, invalid, name_of, range};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{AMOUNT_MAX, GRANTS_MAX, Refusal};
use crate::engine::{Rule, Thing};
use crate::grpc::pb::ErrorReason;

/// Says why a wallet refuses, with the numbers behind it.
pub(super) fn refused(refusal: &Refusal, text: String) -> Fault {
    let micros = |key: &'static str, amount: &i64| (key, amount.to_string());
    let (reason, metadata) = match refusal {
        Refusal::InsufficientCredits { needed, available } => (
            ErrorReason::CreditsInsufficient,
            vec![
                micros("needed_micros", needed),
                micros("available_micros", available),
            ],
        ),
        Refusal::CapReached {
            needed,
            cap,
            left,
            window_end,
        } => {
            let numbers = [
                micros("needed_micros", needed),
                micros("cap_micros", cap),
                micros("left_micros", left),
            ];
            let numbers = numbers.into_iter().chain(end_of(*window_end));
            (ErrorReason::SpendCapReached, numbers.collect())
        }
        Refusal::BlockedByReceivable { owed } => {
            let metadata = vec![micros("owed_micros", owed)];
            (ErrorReason::WalletBlocked, metadata)
        }
        Refusal::Frozen { dispute } => {
            let metadata = vec![("dispute_id", dispute.to_string())];
            (ErrorReason::WalletFrozen, metadata)
        }
        Refusal::GrantExpired { expire_time: end } => {
            let metadata = vec![("expire_time", end.to_string())];
            (ErrorReason::GrantExpired, metadata)
        }
        Refusal::HoldResolved { state, captured } => (
            ErrorReason::HoldResolved,
            vec![
                ("state", state.as_str().to_uppercase()),
                micros("captured_micros", captured),
            ],
        ),
        Refusal::CaptureTooLarge { amount, held: left }
        | Refusal::ClawbackTooLarge { amount, left }
        | Refusal::RefundTooLarge { amount, left } => (
            ErrorReason::AmountTooLarge,
            vec![micros("amount_micros", amount), micros("left_micros", left)],
        ),
        Refusal::WalletFull { amount, holds } => (ErrorReason::WalletFull, room(*amount, *holds)),
        Refusal::GrantTransferred { grant, origin } => {
            (ErrorReason::GrantTransferred, origin_of(grant, origin))
        }
        Refusal::TooManyGrants => {
            let metadata = vec![("limit", GRANTS_MAX.to_string())];
            (ErrorReason::TooManyGrants, metadata)
        }
        Refusal::PaymentGranted { reference, grant } => {
            return granted_before(reference, grant, text);
        }
        Refusal::UnknownGrant(id) => return not_found(Thing::Grant, id.as_str(), text),
        Refusal::UnknownHold(id) => return not_found(Thing::Hold, id.as_str(), text),
        Refusal::OwesTooMuch { amount, owed } => return range::owed(*amount, *owed, text),
        Refusal::AmountOutOfRange => return invalid("amount_micros", &Rule::Other(text)),
        Refusal::WalletsDoNotMatch => return invalid("to_subaccount_id", &Rule::Other(text)),
        Refusal::GrantExists(_) | Refusal::HoldExists(_) => return internal(),
    };
    Fault::failed(reason, text, &metadata).precondition("WALLET", name_of(reason))
}

fn granted_before(reference: &str, grant: &GrantId, text: String) -> Fault {
    let metadata = [
        ("reference", reference.to_owned()),
        ("grant_id", grant.to_string()),
    ];
    Fault::exists(ErrorReason::PaymentGranted, text, &metadata).thing("payment", reference)
}

fn room(amount: i64, holds: i64) -> Vec<(&'static str, String)> {
    vec![
        ("amount_micros", amount.to_string()),
        ("held_micros", holds.to_string()),
        ("limit_micros", AMOUNT_MAX.to_string()),
    ]
}

fn origin_of(grant: &GrantId, origin: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_id", grant.to_string()),
        ("origin_grant_id", origin.to_owned()),
    ]
}

/// The end of time is no end.
fn end_of(time: Timestamp) -> Option<(&'static str, String)> {
    (time != Timestamp::MAX).then(|| ("window_end", time.to_string()))
}
