//! What callers are told when Stripe does not do what they ask: one table.

use super::gateway::{Fault, Kind};
use super::subscriptions::NotFollowed;
use crate::engine::{BillingFault, Error};

/// Says why Stripe did not do it.
pub(super) fn refused(fault: Fault) -> Error {
    let text = fault.to_string();
    Error::Billing(match fault.kind {
        Kind::CardDeclined => BillingFault::Declined {
            code: fault
                .details
                .decline_code
                .or(fault.details.code)
                .unwrap_or_default(),
            message: fault.details.message,
        },
        Kind::NotSent | Kind::RateLimited | Kind::Conflict => BillingFault::Unavailable(text),
        // What was asked for under the key before may have happened.
        Kind::OutcomeUnknown | Kind::IdempotencyMismatch => BillingFault::OutcomeUnknown(text),
        Kind::Authentication | Kind::Permission => BillingFault::NotSetUp(text),
        Kind::InvalidRequest | Kind::NotFound | Kind::AlreadyExists => BillingFault::Refused(text),
    })
}

pub(super) fn not_followed(why: NotFollowed) -> Error {
    match why {
        NotFollowed::Stripe(fault) => refused(fault),
        NotFollowed::Engine(error) => error,
    }
}
