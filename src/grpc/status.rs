//! Errors as callers see them: the only file that names gRPC codes.
//!
//! Every error is a `google.rpc.Status` with one `ErrorInfo`. What a driver or the operating system said stays in our
//! log; callers get the reason, what to do about it, and the ids that they sent themselves.

mod billing;
mod catalog;
mod missing;
mod range;
mod wallet;

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, QuotaViolation, StatusExt};

use super::pb::ErrorReason;
use crate::domain::quantity::QUANTITY_MAX;
use crate::domain::time::Span;
use crate::domain::usage::DIMENSIONS_MAX;
use crate::engine::{Bounded, Error, Rule};
use crate::storage::StoreError;

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "bursar.v1";
/// Largest message that is taken, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long to wait before trying again when the store cannot be reached.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);
/// How long to wait before trying again when an operator has to act first.
const RETRY_FULL: Duration = Duration::from_secs(10);
/// How long to wait when others were faster.
const RETRY_CONTENDED: Duration = Duration::from_millis(100);

/// What the edge itself refuses, beside what the engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFault {
    /// A batch does not start where the one before ended.
    SequenceBroken { expected: i64, actual: i64 },
    /// More events are on their way than may be.
    CreditsExceeded { credits: usize, unacked: usize },
}

/// An error in the making.
struct Fault {
    code: Code,
    message: String,
    details: ErrorDetails,
}

impl Fault {
    fn new(
        code: Code,
        reason: ErrorReason,
        message: impl Into<String>,
        metadata: &[(&str, String)],
    ) -> Self {
        let name = name_of(reason);
        let metadata: HashMap<String, String> = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        Self {
            code,
            message: message.into(),
            details: ErrorDetails::with_error_info(name, DOMAIN, metadata),
        }
    }

    /// Names a field that is wrong.
    fn field(mut self, field: &str, rule: &str) -> Self {
        self.details
            .set_bad_request(vec![FieldViolation::new(field, rule)]);
        self
    }

    /// Says when to try again.
    fn retry(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// Names the thing that it is about.
    fn thing(mut self, kind: &str, id: &str) -> Self {
        let message = self.message.clone();
        self.details.set_resource_info(kind, id, "", message);
        self
    }

    /// Names the state that stands against it.
    fn precondition(mut self, state: &str, subject: &str) -> Self {
        let message = self.message.clone();
        self.details
            .set_precondition_failure(vec![PreconditionViolation::new(state, subject, message)]);
        self
    }

    /// Names the bound that is reached.
    fn quota(mut self, subject: &str) -> Self {
        let message = self.message.clone();
        self.details
            .set_quota_failure(vec![QuotaViolation::new(subject, message)]);
        self
    }

    fn status(self) -> Status {
        Status::with_error_details(self.code, self.message, self.details)
    }
}

impl Fault {
    /// A fault of naming what is not there.
    fn missing(reason: ErrorReason, text: String, metadata: &[(&'static str, String)]) -> Self {
        Self::new(Code::NotFound, reason, text, metadata)
    }

    /// A fault of the state that things are in.
    fn failed(reason: ErrorReason, text: String, metadata: &[(&'static str, String)]) -> Self {
        Self::new(Code::FailedPrecondition, reason, text, metadata)
    }

    /// A fault of others: the same call may succeed later.
    fn unavailable(reason: ErrorReason, text: String) -> Self {
        Self::new(Code::Unavailable, reason, text, &[]).retry(RETRY_UNAVAILABLE)
    }

    /// A fault of what was given.
    fn argument(reason: ErrorReason, text: String, metadata: &[(&'static str, String)]) -> Self {
        Self::new(Code::InvalidArgument, reason, text, metadata)
    }

    /// A fault of asking for more than numbers can hold.
    fn beyond(text: String, metadata: &[(&'static str, String)]) -> Self {
        let reason = ErrorReason::QuantityOverflow;
        Self::new(Code::OutOfRange, reason, text, metadata)
    }

    /// A fault of what is there already.
    fn exists(reason: ErrorReason, text: String, metadata: &[(&'static str, String)]) -> Self {
        Self::new(Code::AlreadyExists, reason, text, metadata)
    }
}

/// Returns a reason as callers read it.
fn name_of(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        fault(&error).status()
    }
}

impl From<StreamFault> for Status {
    fn from(fault: StreamFault) -> Self {
        stream_fault(fault).status()
    }
}

/// Returns an error as it stands in the result of one event.
pub(super) fn to_rpc_status(error: &Error) -> tonic_types::Status {
    let status = fault(error).status();
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

fn fault(error: &Error) -> Fault {
    let text = error.to_string();
    match error {
        Error::Invalid { field, rule } => invalid(field, rule),
        Error::NotFound { kind, id } => missing::not_found(*kind, id, text),
        Error::Exists { kind, id } => {
            let kind = kind.to_string();
            let metadata = [("kind", kind.clone()), ("id", id.clone())];
            Fault::exists(ErrorReason::ResourceExists, text, &metadata).thing(&kind, id)
        }
        Error::EventIdReused { id, differs } => {
            let metadata = [("event_id", id.clone()), ("field", (*differs).to_owned())];
            Fault::exists(ErrorReason::EventIdReused, text, &metadata).thing("event", id)
        }
        Error::RequestIdReused { id } => {
            let metadata = [("request_id", id.clone())];
            Fault::exists(ErrorReason::RequestIdReused, text, &metadata).thing("request", id)
        }
        Error::ReservationClosed { id, state } => reservation_closed(id, state, text),
        Error::EventVoided { id } => {
            let metadata = [("event_id", id.clone())];
            let reason = ErrorReason::EventAlreadyVoided;
            Fault::failed(reason, text, &metadata).precondition("VOIDED", id)
        }
        Error::FeatureKind { id, kind, wanted } => {
            let metadata = [
                ("feature_id", id.clone()),
                ("expected", (*wanted).to_owned()),
                ("actual", (*kind).to_owned()),
            ];
            let reason = ErrorReason::FeatureKindMismatch;
            Fault::failed(reason, text, &metadata).precondition("KIND", id)
        }
        Error::CatalogInvalid(faults) => catalog::invalid(faults, text),
        Error::CatalogVersion { actual, expected } => {
            let metadata = [
                ("expected", expected.to_string()),
                ("current", actual.to_string()),
            ];
            let reason = ErrorReason::CatalogVersionConflict;
            Fault::new(Code::Aborted, reason, text, &metadata)
        }
        Error::CustomerDeleted { id } => {
            let metadata = [("customer_id", id.clone())];
            Fault::failed(ErrorReason::CustomerDeleted, text, &metadata).precondition("DELETED", id)
        }
        Error::TooMany { things, most } => too_many(*things, *most, text),
        Error::Wallet(refusal) => wallet::refused(refusal, text),
        Error::Billing(fault) => billing::refused(fault, text),
        Error::Overflow(overrun) => range::overrun(overrun.as_deref(), text),
        Error::Overloaded { queue, retry_after } => overloaded(queue, *retry_after, text),
        Error::Draining => {
            Fault::new(Code::Unavailable, ErrorReason::Draining, text, &[]).retry(Duration::ZERO)
        }
        Error::Store(error) => store(error),
        Error::Internal => internal(),
    }
}

fn too_many(things: Bounded, most: usize, text: String) -> Fault {
    let reason = match things {
        Bounded::Subaccounts => ErrorReason::TooManySubaccounts,
        Bounded::Overrides => ErrorReason::TooManyOverrides,
        Bounded::Allocations => ErrorReason::TooManyAllocations,
        Bounded::Reservations => ErrorReason::TooManyReservations,
        Bounded::Holds => ErrorReason::TooManyHolds,
    };
    let metadata = [("limit", most.to_string())];
    let subject = things.to_string();
    Fault::new(Code::FailedPrecondition, reason, text, &metadata).precondition("COUNT", &subject)
}

fn invalid(field: &str, rule: &Rule) -> Fault {
    let text = rule.to_string();
    let bound = |limit: String| vec![("field", field.to_owned()), ("limit", limit)];
    let (reason, metadata) = match rule {
        Rule::Other(rule) => (
            ErrorReason::FieldInvalid,
            vec![("field", field.to_owned()), ("rule", rule.clone())],
        ),
        Rule::QuantityRange => (
            ErrorReason::QuantityOutOfRange,
            bound(QUANTITY_MAX.to_string()),
        ),
        Rule::QuantityNegative => (
            ErrorReason::QuantityNegative,
            vec![("field", field.to_owned())],
        ),
        Rule::TooOld => (ErrorReason::EventTooOld, vec![("field", field.to_owned())]),
        Rule::TooNew => (ErrorReason::EventTooNew, vec![("field", field.to_owned())]),
        Rule::DimensionUndeclared => (
            ErrorReason::DimensionUndeclared,
            vec![("field", field.to_owned())],
        ),
        Rule::TooManyDimensions => (
            ErrorReason::TooManyDimensions,
            bound(DIMENSIONS_MAX.to_string()),
        ),
        Rule::TooLong(limit) => (ErrorReason::BatchTooLarge, bound(limit.to_string())),
        Rule::PageToken => (
            ErrorReason::PageTokenInvalid,
            vec![("field", field.to_owned())],
        ),
    };
    let message = format!("{field}: {text}");
    Fault::new(Code::InvalidArgument, reason, message, &metadata).field(field, &text)
}

fn reservation_closed(id: &str, state: &str, text: String) -> Fault {
    let reason = if state == "expired" {
        ErrorReason::ReservationExpired
    } else {
        ErrorReason::ReservationClosed
    };
    let state = state.to_uppercase();
    let metadata = [("reservation_id", id.to_owned()), ("state", state.clone())];
    Fault::new(Code::FailedPrecondition, reason, text, &metadata).precondition(&state, id)
}

fn overloaded(queue: &str, retry_after: Span, text: String) -> Fault {
    let micros = u64::try_from(retry_after.as_micros()).unwrap_or_default();
    Fault::new(
        Code::ResourceExhausted,
        ErrorReason::Overloaded,
        text,
        &[("queue", queue.to_owned())],
    )
    .retry(Duration::from_micros(micros))
    .quota(queue)
}

/// What the store says may name files and statements: it goes to our log only.
fn store(error: &StoreError) -> Fault {
    match error {
        StoreError::Unavailable(_) | StoreError::Unknown(_) => Fault::new(
            Code::Unavailable,
            ErrorReason::StorageUnavailable,
            "the database cannot be reached; send the same call again",
            &[],
        )
        .retry(RETRY_UNAVAILABLE),
        StoreError::Full(_) => Fault::new(
            Code::Unavailable,
            ErrorReason::StorageFull,
            "the database takes no writes; keep what was not acknowledged and send it again",
            &[],
        )
        .retry(RETRY_FULL),
        StoreError::Conflict(_) | StoreError::Outdated | StoreError::Fenced => Fault::new(
            Code::Aborted,
            ErrorReason::Contended,
            "others changed the same each time; nothing was done, send the same call again",
            &[],
        )
        .retry(RETRY_CONTENDED),
        StoreError::Constraint(_) | StoreError::Corrupt { .. } => {
            tracing::error!(%error, "the store broke its contract");
            internal()
        }
    }
}

fn internal() -> Fault {
    Fault::new(
        Code::Internal,
        ErrorReason::Internal,
        "a fault of the server",
        &[],
    )
}

fn stream_fault(fault: StreamFault) -> Fault {
    match fault {
        StreamFault::SequenceBroken { expected, actual } => {
            let text = format!("first_seq is {actual}, {expected} was expected");
            let metadata = [
                ("expected", expected.to_string()),
                ("actual", actual.to_string()),
            ];
            let reason = ErrorReason::SequenceBroken;
            Fault::new(Code::FailedPrecondition, reason, text, &metadata)
                .precondition("SEQUENCE", "first_seq")
        }
        StreamFault::CreditsExceeded { credits, unacked } => {
            let text = format!("{unacked} events are not acknowledged, {credits} may be");
            let metadata = [
                ("credits", credits.to_string()),
                ("unacked", unacked.to_string()),
            ];
            let reason = ErrorReason::CreditsExceeded;
            Fault::new(Code::ResourceExhausted, reason, text, &metadata).quota("stream")
        }
    }
}

/// Gives what the transport refused before a method saw it the reason that the protocol promises: a message that is too
/// large, or one that is no message of this type.
pub(super) fn explain(status: Status) -> Status {
    let text = status.message();
    if status.code() == Code::OutOfRange && text.contains("message length too large") {
        let limit = MESSAGE_BYTES_MAX.to_string();
        let message = format!("the message is larger than {limit} bytes");
        let reason = ErrorReason::MessageTooLarge;
        return Fault::new(
            Code::ResourceExhausted,
            reason,
            message,
            &[("limit", limit)],
        )
        .quota("message")
        .status();
    }
    let unread = text.strip_prefix("failed to decode Protobuf message: ");
    if let (Code::Internal, Some(unread)) = (status.code(), unread) {
        let (field, rule) = super::transport::undecodable(unread);
        return invalid(&field, &Rule::Other(rule)).status();
    }
    status
}
