//! Whether a payment counts for what somebody delivers, once.

use serde::{Deserialize, Serialize};

use super::payment::{CURRENCY, DisputeStatus, Payment, PaymentDispute, PaymentStatus, Settlement};

/// Why a payment does not count for what somebody delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It counts, and is used up by that.
    Verified,
    /// The money has not come.
    NotSucceeded,
    /// Another amount came.
    AmountDiffers,
    /// It is in another currency.
    CurrencyDiffers,
    /// Money is real where it should not be, or the other way round.
    LivemodeDiffers,
    /// It is another customer's.
    NotOurs,
    /// It was used before.
    Used,
    /// Money of it went back.
    Refunded,
    /// Whoever paid disputes it, or got the money back.
    Disputed,
}

/// What a payment has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Cents that must have come.
    pub cents: i64,
    /// Whether money is to be real.
    pub livemode: bool,
    /// The request that verifies it.
    pub request: &'a str,
}

impl Settlement {
    /// Says whether a payment counts; if it does, it is used up by this request.
    pub fn verify(&mut self, payment: &Payment, expected: Expected<'_>) -> Verdict {
        if let Some(before) = &self.verified_by {
            return if **before == *expected.request {
                Verdict::Verified
            } else {
                Verdict::Used
            };
        }
        let is_disputed = |dispute: &PaymentDispute| dispute.status != DisputeStatus::Won;
        if payment.livemode != expected.livemode {
            Verdict::LivemodeDiffers
        } else if payment.status != PaymentStatus::Succeeded {
            Verdict::NotSucceeded
        } else if *payment.currency != *CURRENCY {
            Verdict::CurrencyDiffers
        } else if payment.received_cents != expected.cents {
            Verdict::AmountDiffers
        } else if payment.disputes.iter().any(is_disputed) {
            Verdict::Disputed
        } else if payment.refunded_cents() > 0 {
            Verdict::Refunded
        } else {
            self.verified_by = Some(expected.request.into());
            Verdict::Verified
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::payment::tests::{dispute, payment, refund};
    use super::*;

    const ASKED: Expected<'static> = Expected {
        cents: 1_000,
        livemode: false,
        request: "r-1",
    };

    #[test]
    fn a_payment_counts_once_and_only_as_it_should_be() {
        for (spoil, expected) in [
            ((|_| {}) as fn(&mut Payment), Verdict::Verified),
            (|one| one.livemode = true, Verdict::LivemodeDiffers),
            (
                |one| one.status = PaymentStatus::Failed,
                Verdict::NotSucceeded,
            ),
            (|one| one.currency = "eur".into(), Verdict::CurrencyDiffers),
            (|one| one.received_cents = 1_001, Verdict::AmountDiffers),
            (|one| one.refunds = vec![refund(1)], Verdict::Refunded),
            (
                |one| one.disputes = vec![dispute("needs_response")],
                Verdict::Disputed,
            ),
            (
                |one| one.disputes = vec![dispute("lost")],
                Verdict::Disputed,
            ),
            (|one| one.disputes = vec![dispute("won")], Verdict::Verified),
        ] {
            let mut one = payment();
            spoil(&mut one);
            assert_eq!(
                Settlement::default().verify(&one, ASKED),
                expected,
                "{one:?}"
            );
        }
        let mut settlement = Settlement::default();
        let other = Expected {
            request: "r-2",
            ..ASKED
        };
        assert_eq!(settlement.verify(&payment(), ASKED), Verdict::Verified);
        assert_eq!(settlement.verify(&payment(), other), Verdict::Used);
        assert_eq!(settlement.verify(&payment(), ASKED), Verdict::Verified);
    }
}
