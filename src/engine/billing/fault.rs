//! Why billing could not do what was asked.

use crate::domain::billing::MoneyMode;
use crate::domain::time::Timestamp;

/// Why billing could not do what was asked. Nothing was changed, save where it says that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillingFault {
    /// Whoever bills is not there.
    #[error("billing is not configured")]
    Absent,
    /// The payment was refused by the bank, or by Stripe.
    #[error("the payment was declined: {message}")]
    Declined {
        /// Stripe's code, or the bank's.
        code: String,
        /// What the customer may read.
        message: String,
    },
    /// Stripe cannot be reached, or is too busy.
    #[error("Stripe cannot be reached: {0}")]
    Unavailable(String),
    /// Nobody knows whether it was done; the same request, made again, finds out.
    #[error("the outcome at Stripe is not known: {0}")]
    OutcomeUnknown(String),
    /// Stripe refuses it as it stands.
    #[error("Stripe refuses: {0}")]
    Refused(String),
    /// The key is not accepted, or what is to be sold is not set up.
    #[error("Stripe is not set up for this: {0}")]
    NotSetUp(String),
    /// The customer promised to stay.
    #[error("the customer committed to the plan until {until}")]
    Committed {
        /// Until when.
        until: Timestamp,
    },
    /// The database deals in another money.
    #[error("this database deals in {} money, and in no other", .0.word())]
    OtherMoney(MoneyMode),
    /// It is for the sandbox only.
    #[error("this moves no real money and works in the sandbox only")]
    SandboxOnly,
    /// Time is moved only for who has the database alone.
    #[error(
        "the test clock moves where one server has its database to itself: in a file or in memory"
    )]
    ClockShared,
}
