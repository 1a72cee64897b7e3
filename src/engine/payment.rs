//! Asking for money: what the engine wants of whoever moves it.

use async_trait::async_trait;

use crate::domain::id::CustomerId;
use crate::domain::wallet::{Source, WalletKey};

/// Money that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Of whom.
    pub customer: CustomerId,
    /// Which wallet it is for.
    pub wallet: WalletKey,
    /// The credits that it pays for, in micro-units.
    pub micros: i64,
    /// Cents of US dollars; at least 1.
    pub cents: i64,
    /// Names the charge: the same key is paid once, however often it is asked for.
    pub idempotency_key: String,
    /// What it is for, for people.
    pub description: String,
}

/// Money that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Names it at its source.
    pub reference: Box<str>,
    /// Where it came from.
    pub source: Source,
}

/// Why money did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentFault {
    /// It was refused; asking again at once does not help.
    #[error("declined: {0}")]
    Declined(String),
    /// Nobody knows whether it came; the same is to be asked again, under the same key.
    #[error("the outcome is not known: {0}")]
    Unknown(String),
}

/// Whoever moves money.
#[async_trait]
pub trait PaymentGateway: Send + Sync + 'static {
    /// Asks for money.
    ///
    /// # Errors
    /// When it did not come, or nobody knows.
    async fn charge(&self, charge: &Charge) -> Result<Payment, PaymentFault>;
}
