//! Test cards: which there are, and what each does.

use serde::{Deserialize, Serialize};

/// Why a bank refuses a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Decline {
    Generic,
    InsufficientFunds,
}

impl Decline {
    /// Returns the `decline_code`.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Generic => "generic_decline",
            Self::InsufficientFunds => "insufficient_funds",
        }
    }

    /// Returns what the payer is told.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Generic => "Your card was declined.",
            Self::InsufficientFunds => "Your card has insufficient funds.",
        }
    }
}

/// What a card does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Card {
    /// Pays.
    Good,
    /// Is refused already when it is attached to a customer.
    Declines(Decline),
    /// Can be attached, and refuses each payment.
    DeclinesLater,
    /// Pays, and its owner disputes the payment at once.
    Disputes,
}

/// Number, token, what it does.
const CARDS: [(&str, &str, Card); 5] = [
    ("4242424242424242", "pm_card_visa", Card::Good),
    (
        "4000000000000002",
        "pm_card_chargeDeclined",
        Card::Declines(Decline::Generic),
    ),
    (
        "4000000000009995",
        "pm_card_chargeDeclinedInsufficientFunds",
        Card::Declines(Decline::InsufficientFunds),
    ),
    (
        "4000000000000341",
        "pm_card_chargeCustomerFail",
        Card::DeclinesLater,
    ),
    ("4000000000000259", "pm_card_createDispute", Card::Disputes),
];

/// Other tokens for the same cards.
const ALSO: [(&str, Card); 2] = [
    (
        "pm_card_visa_chargeDeclined",
        Card::Declines(Decline::Generic),
    ),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        Card::Declines(Decline::InsufficientFunds),
    ),
];

impl Card {
    /// Returns the card of a number.
    pub(super) fn of_number(number: &str) -> Option<Self> {
        CARDS.iter().find(|row| row.0 == number).map(|row| row.2)
    }

    /// Returns the card of a token that stands for a payment method.
    pub(super) fn of_token(token: &str) -> Option<Self> {
        let own = CARDS.iter().map(|row| (row.1, row.2));
        let mut tokens = own.chain(ALSO);
        tokens.find(|row| row.0 == token).map(|row| row.1)
    }

    /// Returns its number.
    pub(super) fn number(self) -> &'static str {
        CARDS
            .iter()
            .find(|row| row.2 == self)
            .map_or("", |row| row.0)
    }

    /// Returns why it refuses a payment; `None`: it pays.
    pub(super) fn declines(self) -> Option<Decline> {
        match self {
            Self::Good | Self::Disputes => None,
            Self::Declines(decline) => Some(decline),
            Self::DeclinesLater => Some(Decline::Generic),
        }
    }
}
