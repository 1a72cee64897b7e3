//! Payments that move no money: what is asked for comes, or is declined, as Stripe's test cards would have it.

use async_trait::async_trait;

use crate::domain::wallet::Source;
use crate::engine::{Charge, Payment, PaymentFault, PaymentGateway};

/// The customer's metadata key that names its card.
pub const CARD: &str = "sandbox_card";

/// Pays with test cards. A customer's card is what its metadata says under `sandbox_card`, else 4242 4242 4242 4242.
///
/// It remembers nothing: a payment is named by the key that it was asked for with, so whoever asks twice gets the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestCards;

#[async_trait]
impl PaymentGateway for TestCards {
    async fn charge(&self, charge: &Charge) -> Result<Payment, PaymentFault> {
        let card = charge.metadata.get(CARD).map_or("", |card| &**card);
        let digits: String = card.chars().filter(char::is_ascii_digit).collect();
        match &*digits {
            "" | "4242424242424242" => Ok(Payment {
                reference: format!("sandbox_{}", charge.idempotency_key).into(),
                source: Source::Stripe,
            }),
            "4000000000000002" => Err(PaymentFault::Declined("card_declined".to_owned())),
            "4000000000009995" => Err(PaymentFault::Declined("insufficient_funds".to_owned())),
            _ => Err(PaymentFault::Declined(
                "incorrect_number: the sandbox knows 4242424242424242, 4000000000000002 and 4000000000009995"
                    .to_owned(),
            )),
        }
    }
}
