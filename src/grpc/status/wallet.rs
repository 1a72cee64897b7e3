//! Refusals of wallets as callers see them.

use super::missing::not_found;
use super::{Fault, internal, invalid, name_of};
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
            let mut numbers = vec![
                micros("needed_micros", needed),
                micros("cap_micros", cap),
                micros("left_micros", left),
            ];
            numbers.extend(end_of(*window_end));
            (ErrorReason::SpendCapReached, numbers)
        }
        Refusal::BlockedByReceivable { owed } => (
            ErrorReason::WalletBlocked,
            vec![micros("owed_micros", owed)],
        ),
        Refusal::GrantExpired { expire_time } => (
            ErrorReason::GrantExpired,
            vec![("expire_time", expire_time.to_string())],
        ),
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
        Refusal::WalletFull { amount, holds } => (
            ErrorReason::WalletFull,
            vec![
                micros("amount_micros", amount),
                micros("held_micros", holds),
                micros("limit_micros", &AMOUNT_MAX),
            ],
        ),
        Refusal::GrantTransferred { grant, origin } => (
            ErrorReason::GrantTransferred,
            vec![
                ("grant_id", grant.to_string()),
                ("origin_grant_id", origin.to_string()),
            ],
        ),
        Refusal::TooManyGrants => (
            ErrorReason::TooManyGrants,
            vec![("limit", GRANTS_MAX.to_string())],
        ),
        Refusal::PaymentGranted { reference, grant } => {
            let metadata = [
                ("reference", reference.to_string()),
                ("grant_id", grant.to_string()),
            ];
            let reason = ErrorReason::PaymentGranted;
            return Fault::exists(reason, text, &metadata).thing("payment", reference);
        }
        Refusal::UnknownGrant(id) => return not_found(Thing::Grant, id.as_str(), text),
        Refusal::UnknownHold(id) => return not_found(Thing::Hold, id.as_str(), text),
        Refusal::AmountOutOfRange => return invalid("amount_micros", &Rule::Other(text)),
        Refusal::WalletsDoNotMatch => return invalid("to_subaccount_id", &Rule::Other(text)),
        Refusal::GrantExists(_) | Refusal::HoldExists(_) => return internal(),
    };
    Fault::failed(reason, text, &metadata).precondition("WALLET", name_of(reason))
}

/// The end of time is no end.
fn end_of(time: Timestamp) -> Option<(&'static str, String)> {
    (time != Timestamp::MAX).then(|| ("window_end", time.to_string()))
}
