//! Why something could not be done. Denials are not here: they are data.

use super::billing::BillingFault;
use crate::domain::catalog::CatalogFault;
use crate::domain::quantity::{Excess, Overflow};
use crate::domain::time::Span;
use crate::domain::wallet::Refusal;
use crate::storage::StoreError;

/// Why something could not be done; each says what the caller should do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A field breaks a rule; the call should be corrected.
    #[error("{field}: {rule}")]
    Invalid {
        /// The path of the field, such as `events[3].quantity`.
        field: String,
        /// Which rule, by name.
        rule: Rule,
    },
    /// Something that was named does not exist.
    #[error("{kind} {id} does not exist")]
    NotFound {
        /// What.
        kind: Thing,
        /// Which.
        id: String,
    },
    /// Something that was to be created exists with other content.
    #[error("{kind} {id} exists with other content")]
    Exists {
        /// What.
        kind: Thing,
        /// Which.
        id: String,
    },
    /// An event id was used before for other content.
    #[error("event {id} was recorded with other content: {differs}")]
    EventIdReused {
        /// Which.
        id: String,
        /// The first field that differs.
        differs: &'static str,
    },
    /// A request id was used before for other content.
    #[error("request {id} was made before with other content")]
    RequestIdReused {
        /// Which.
        id: String,
    },
    /// A reservation is no longer open.
    #[error("reservation {id} is {state}")]
    ReservationClosed {
        /// Which.
        id: String,
        /// How it ended.
        state: &'static str,
    },
    /// An event was taken back before.
    #[error("event {id} is voided")]
    EventVoided {
        /// Which.
        id: String,
    },
    /// An operation does not fit the kind of a feature.
    #[error("feature {id} is {kind}, not {wanted}")]
    FeatureKind {
        /// Which.
        id: String,
        /// What it is.
        kind: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// A catalog has faults; all of them.
    #[error("the catalog is not right, faults: {}", .0.len())]
    CatalogInvalid(Vec<CatalogFault>),
    /// The catalog is at another version than the caller expects.
    #[error("the catalog is at version {actual}, not {expected}")]
    CatalogVersion {
        /// Where it is.
        actual: i64,
        /// What the caller expects.
        expected: i64,
    },
    /// A customer was deleted; its id takes nothing any more.
    #[error("customer {id} is deleted")]
    CustomerDeleted {
        /// Which.
        id: String,
    },
    /// A number that is bounded per customer is reached.
    #[error("the customer has {most} {things} already")]
    TooMany {
        /// Of what.
        things: Bounded,
        /// The bound.
        most: usize,
    },
    /// Billing could not do it.
    #[error(transparent)]
    Billing(#[from] BillingFault),
    /// A wallet refuses; nothing was moved.
    #[error(transparent)]
    Wallet(#[from] Refusal),
    /// More is asked for than can be counted or charged; `None`: a sum would leave the range of 64 bits, and no one field
    /// is to blame.
    #[error("{}", .0.as_ref().map_or_else(|| Overflow.to_string(), ToString::to_string))]
    Overflow(Option<Box<Overrun>>),
    /// Too much is waiting; the same call may succeed later.
    #[error("too much is waiting: {queue}")]
    Overloaded {
        /// What is full: `writes`, `watchers`, or the quota of `auto_create_customers`.
        queue: &'static str,
        /// How long to wait.
        retry_after: Span,
    },
    /// The service is stopping; the same call may succeed elsewhere.
    #[error("the service is stopping")]
    Draining,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of ours; logged where it happened.
    #[error("internal fault")]
    Internal,
}

/// A field that asks for more than can be counted or charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {excess}")]
pub struct Overrun {
    /// Its path, such as `events[3].quantity`.
    pub field: String,
    /// What it asks for.
    pub quantity: i64,
    /// Which bound that goes beyond.
    pub excess: Excess,
}

/// A rule that a field breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Any rule that has no reason of its own.
    #[error("{0}")]
    Other(String),
    /// The quantity lies outside what one event may carry.
    #[error("must be at most 10^12 in magnitude")]
    QuantityRange,
    /// The meter takes no negative quantities.
    #[error("must not be negative on this meter")]
    QuantityNegative,
    /// The time lies too far back.
    #[error("lies more than 35 days back")]
    TooOld,
    /// The time lies too far ahead.
    #[error("lies more than 5 minutes ahead")]
    TooNew,
    /// The meter declares no such dimension.
    #[error("the meter declares no dimension of this name")]
    DimensionUndeclared,
    /// More dimensions than an event may carry.
    #[error("must be at most 32 dimensions")]
    TooManyDimensions,
    /// More elements than a call may carry.
    #[error("must be at most {0} elements")]
    TooLong(usize),
    /// Not a page token of this list.
    #[error("is not a page token of this list")]
    PageToken,
}

/// What a customer may have only so many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounded {
    /// Parts below it.
    Subaccounts,
    /// Rights that differ from its plan's.
    Overrides,
    /// Things that exist, of one feature.
    Allocations,
    /// What is set aside and not settled.
    Reservations,
    /// Credits that are set aside and not settled.
    Holds,
}

impl std::fmt::Display for Bounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Subaccounts => "subaccounts",
            Self::Overrides => "overrides",
            Self::Allocations => "allocations",
            Self::Reservations => "reservations",
            Self::Holds => "holds",
        })
    }
}

/// A kind of thing that can be missing or exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A customer.
    Customer,
    /// A subaccount.
    Subaccount,
    /// A meter.
    Meter,
    /// A feature.
    Feature,
    /// A plan.
    Plan,
    /// A product.
    Product,
    /// A reservation.
    Reservation,
    /// An allocation.
    Allocation,
    /// An override.
    Override,
    /// An event.
    Event,
    /// A version of the catalog.
    CatalogVersion,
    /// A credit unit.
    CreditUnit,
    /// A grant of credits.
    Grant,
    /// A hold of credits.
    Hold,
    /// A customer of Stripe's.
    Payer,
    /// A chunk of sealed usage.
    Chunk,
    /// A payment through Stripe.
    Payment,
    /// A subscription that Stripe bills.
    Subscription,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Customer => "customer",
            Self::Subaccount => "subaccount",
            Self::Meter => "meter",
            Self::Feature => "feature",
            Self::Plan => "plan",
            Self::Product => "product",
            Self::Reservation => "reservation",
            Self::Allocation => "allocation",
            Self::Override => "override",
            Self::Event => "event",
            Self::CatalogVersion => "catalog version",
            Self::CreditUnit => "credit unit",
            Self::Grant => "grant",
            Self::Hold => "hold",
            Self::Payer => "stripe customer",
            Self::Chunk => "chunk",
            Self::Payment => "payment",
            Self::Subscription => "subscription",
        })
    }
}

impl Error {
    /// Returns the error for a field that breaks a rule without a reason of its own.
    #[must_use]
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            rule: Rule::Other(rule.into()),
        }
    }

    /// Returns the error for a field that asks for more than can be counted or charged.
    #[must_use]
    pub fn overrun(field: impl Into<String>, quantity: i64, excess: Excess) -> Self {
        Self::Overflow(Some(Box::new(Overrun {
            field: field.into(),
            quantity,
            excess,
        })))
    }

    /// Names the field that is to blame when a sum left the range of 64 bits and none was named yet.
    #[must_use]
    pub fn blame(self, field: impl Into<String>, quantity: i64, excess: Excess) -> Self {
        match self {
            Self::Overflow(None) => Self::overrun(field, quantity, excess),
            other => other,
        }
    }

    /// Puts a path in front of the field that it names.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        if let Self::Invalid { field, .. } = &mut self {
            *field = format!("{path}.{field}");
        } else if let Self::Overflow(Some(overrun)) = &mut self {
            overrun.field = format!("{path}.{}", overrun.field);
        }
        self
    }

    /// Returns the path of the field that it names.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            Self::Overflow(Some(overrun)) => Some(&overrun.field),
            _ => None,
        }
    }

    /// Returns the error for a thing that does not exist.
    #[must_use]
    pub fn not_found(kind: Thing, id: &(impl ToString + ?Sized)) -> Self {
        Self::NotFound {
            kind,
            id: id.to_string(),
        }
    }
}

impl From<Overflow> for Error {
    fn from(Overflow: Overflow) -> Self {
        Self::Overflow(None)
    }
}
