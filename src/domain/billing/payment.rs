//! Money that was asked for, as Stripe has it, and what follows from it for wallets.
//!
//! Nothing here depends on which webhook came first: what a payment brought, what of it is taken back, and whether it
//! freezes a wallet follow from what Stripe has of it now, less what was done about it before.

use serde::{Deserialize, Serialize};

use crate::domain::id::{GrantId, ProductId};
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::WalletKey;

/// The currency that money is in.
pub const CURRENCY: &str = "usd";
/// The shortest time between two looks at a payment of which nothing was heard.
const LOOK_MIN: Span = Span::from_minutes(10);
/// The longest.
const LOOK_MAX: Span = Span::from_hours(24);
/// The age at which nobody waits for a payment any more.
const GIVEN_UP: Span = Span::from_days(35);

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nobody tried to pay yet, or whoever pays has something to do.
    Open,
    /// It is on its way.
    Processing,
    /// The money came.
    Succeeded,
    /// The last attempt was refused; another may follow.
    Failed,
    /// It was given up; final.
    Canceled,
}

impl PaymentStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Processing,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads Stripe's word; an attempt that was refused leaves a payment open there.
    #[must_use]
    pub fn of(word: &str, was_refused: bool) -> Self {
        match word {
            "succeeded" => Self::Succeeded,
            "processing" => Self::Processing,
            "canceled" => Self::Canceled,
            _ if was_refused => Self::Failed,
            _ => Self::Open,
        }
    }
}

/// What a payment is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Credits for a wallet.
    Credits {
        /// The pack that was bought; `None`: an amount.
        product: Option<ProductId>,
        /// How many packs.
        quantity: i64,
        /// Where they come to.
        wallet: WalletKey,
        /// How many in all, in micro-units.
        micros: i64,
    },
    /// A product that is sold by the piece.
    Outcome {
        /// Which.
        product: ProductId,
        /// How many.
        quantity: i64,
    },
    /// An amount that was asked for.
    Amount,
    /// An invoice, or something that others than we asked for.
    Other,
}

/// Why an attempt to pay was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFailure {
    /// Stripe's code, or the bank's where there is one.
    pub code: Box<str>,
    /// What the customer may read.
    pub message: Box<str>,
}

/// Money of a payment that goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefund {
    /// Its id.
    pub id: Box<str>,
    /// Cents.
    pub cents: i64,
    /// Whether it came to nothing, so that the money stays.
    pub has_failed: bool,
    /// Whether the customer keeps the credits that it paid for.
    pub keeps_credits: bool,
}

/// What a bank says of a payment that its owner disputes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The bank has not decided.
    Open,
    /// The money stays, or came back.
    Won,
    /// The money is gone.
    Lost,
}

/// A payment that whoever paid says they never agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDispute {
    /// Its id.
    pub id: Box<str>,
    /// Cents.
    pub cents: i64,
    /// What the bank says.
    pub status: DisputeStatus,
    /// Why, in the bank's word.
    pub reason: Box<str>,
}

impl DisputeStatus {
    /// Reads Stripe's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            // A warning that was closed never became a dispute.
            "won" | "warning_closed" | "prevented" => Self::Won,
            "lost" => Self::Lost,
            _ => Self::Open,
        }
    }
}

/// A payment as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id.
    pub id: Box<str>,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Cents that are asked for.
    pub cents: i64,
    /// Cents that came.
    pub received_cents: i64,
    /// The currency, in small letters.
    pub currency: Box<str>,
    /// Whether money is real.
    pub livemode: bool,
    /// What it is for.
    pub purpose: Purpose,
    /// For people.
    pub description: Box<str>,
    /// Why the last attempt was refused.
    pub failure: Option<PaymentFailure>,
    /// What went back of it.
    pub refunds: Vec<PaymentRefund>,
    /// Who disputes it.
    pub disputes: Vec<PaymentDispute>,
    /// When it was first asked for.
    pub create_time: Timestamp,
}

impl Payment {
    /// Whether all of the money came.
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.status == PaymentStatus::Succeeded
            && self.received_cents >= self.cents
            && *self.currency == *CURRENCY
    }

    /// Returns how many cents went back, or are about to.
    #[must_use]
    pub fn refunded_cents(&self) -> i64 {
        let refunds = self.refunds.iter().filter(|refund| !refund.has_failed);
        refunds.fold(0, |sum, refund| sum.saturating_add(refund.cents))
    }

    /// Returns the credits that it brings, in micro-units, and to which wallet; `None`: it brings none.
    #[must_use]
    pub fn brings(&self) -> Option<(&WalletKey, i64)> {
        match &self.purpose {
            Purpose::Credits { wallet, micros, .. } if self.has_come() => Some((wallet, *micros)),
            Purpose::Credits { .. }
            | Purpose::Outcome { .. }
            | Purpose::Amount
            | Purpose::Other => None,
        }
    }

    /// Returns how many micro-units of the credits that it brought no money stands behind any more.
    #[must_use]
    pub fn lost_credits(&self) -> i64 {
        let Some((_, micros)) = self.brings() else {
            return 0;
        };
        let gone = self.refunds.iter();
        let gone = gone.filter(|refund| !refund.has_failed && !refund.keeps_credits);
        let lost = self.disputes.iter();
        let lost = lost.filter(|dispute| dispute.status == DisputeStatus::Lost);
        let cents = gone.map(|refund| refund.cents);
        let cents: i128 = cents
            .chain(lost.map(|dispute| dispute.cents))
            .map(i128::from)
            .sum();
        let received = i128::from(self.received_cents.max(1));
        // In the customer's favour where it does not come out even; all of it when all money is gone.
        let part = i128::from(micros) * cents.min(received) / received;
        i64::try_from(part).unwrap_or(micros)
    }

    /// Returns when to look at it again although nothing was heard of it: soon while it is new, once a day later; `None`:
    /// nothing more comes of it.
    #[must_use]
    pub fn look_again(&self, now: Timestamp) -> Option<Timestamp> {
        let is_final = match self.status {
            PaymentStatus::Succeeded | PaymentStatus::Canceled => true,
            PaymentStatus::Open | PaymentStatus::Processing | PaymentStatus::Failed => false,
        };
        let age = now.since(self.create_time);
        if is_final || age > GIVEN_UP {
            return None;
        }
        let half = Span::from_micros_clamped(age.as_micros() / 2);
        Some(now.plus(half.max(LOOK_MIN).min(LOOK_MAX)))
    }

    /// Returns the disputes about it that are not decided.
    pub fn open_disputes(&self) -> impl Iterator<Item = &PaymentDispute> {
        let disputes = self.disputes.iter();
        disputes.filter(|dispute| dispute.status == DisputeStatus::Open)
    }
}

/// What was done about a payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The grant that it brought.
    pub grant: Option<GrantId>,
    /// What of the grant was taken back, in micro-units.
    pub taken_back: i64,
    /// How often credits came back that had been taken.
    pub returns: u32,
    /// The disputes for which the wallet was frozen.
    pub frozen_for: Vec<Box<str>>,
    /// The request under which it was verified: it counts once.
    pub verified_by: Option<Box<str>>,
    /// What could not be done, for people.
    pub fault: Option<Box<str>>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn payment() -> Payment {
        Payment {
            id: "pi_1".into(),
            status: PaymentStatus::Succeeded,
            cents: 1_000,
            received_cents: 1_000,
            currency: CURRENCY.into(),
            livemode: false,
            purpose: Purpose::Credits {
                product: None,
                quantity: 1,
                wallet: WalletKey::own("USD"),
                micros: 10_000_000,
            },
            description: Box::default(),
            failure: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
            create_time: Timestamp::default(),
        }
    }

    pub fn refund(cents: i64) -> PaymentRefund {
        PaymentRefund {
            id: "re_1".into(),
            cents,
            has_failed: false,
            keeps_credits: false,
        }
    }

    pub fn dispute(status: &str) -> PaymentDispute {
        PaymentDispute {
            id: "dp_1".into(),
            cents: 1_000,
            status: DisputeStatus::of(status),
            reason: "fraudulent".into(),
        }
    }

    #[test]
    fn only_money_that_came_brings_credits() {
        assert_eq!(
            payment().brings().map(|(_, micros)| micros),
            Some(10_000_000)
        );
        for spoil in [
            |one: &mut Payment| one.status = PaymentStatus::Processing,
            |one: &mut Payment| one.received_cents = 999,
            |one: &mut Payment| one.currency = "eur".into(),
            |one: &mut Payment| one.purpose = Purpose::Amount,
        ] {
            let mut one = payment();
            spoil(&mut one);
            assert_eq!(one.brings(), None, "{one:?}");
        }
    }

    #[test]
    fn credits_go_with_the_money_behind_them_and_never_more_than_all() {
        let lost = |refunds: &[PaymentRefund], disputes: &[PaymentDispute]| {
            let mut one = payment();
            one.refunds = refunds.to_vec();
            one.disputes = disputes.to_vec();
            one.lost_credits()
        };
        let kept = PaymentRefund {
            keeps_credits: true,
            ..refund(400)
        };
        let failed = PaymentRefund {
            has_failed: true,
            ..refund(400)
        };
        assert_eq!(lost(&[], &[]), 0);
        assert_eq!(lost(&[refund(333)], &[]), 3_330_000);
        assert_eq!(lost(&[refund(333), kept, failed], &[]), 3_330_000);
        assert_eq!(lost(&[refund(1_000)], &[]), 10_000_000);
        assert_eq!(lost(&[], &[dispute("needs_response")]), 0);
        assert_eq!(lost(&[], &[dispute("won")]), 0);
        assert_eq!(lost(&[], &[dispute("lost")]), 10_000_000);
        assert_eq!(lost(&[refund(500)], &[dispute("lost")]), 10_000_000);
    }
}
