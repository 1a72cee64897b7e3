//! What several calls take.

use std::convert::Infallible;
use std::str::FromStr;

use serde::Deserialize;

/// A span of time, in seconds of Unix time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Span {
    /// Its beginning, which belongs to it.
    pub start: i64,
    /// Its end, which does not.
    pub end: i64,
}

/// What periods are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
}

impl Interval {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// What becomes of the part of a period that a change cuts off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proration {
    /// It is credited or charged with the next invoice.
    NextInvoice,
    /// It is credited or charged at once.
    InvoiceNow,
    /// Nothing. Usage that is not invoiced yet is not billed either when its price goes.
    None,
}

impl Proration {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NextInvoice => "create_prorations",
            Self::InvoiceNow => "always_invoice",
            Self::None => "none",
        }
    }
}

/// What becomes of a change whose payment fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentBehavior {
    /// It is in force, and the subscription is behind with its payment.
    AllowIncomplete,
    /// It waits for a payment that a page makes.
    DefaultIncomplete,
    /// It is refused.
    ErrorIfIncomplete,
    /// It waits for its payment, and is given up when none comes. Only items, prorations, trials
    /// and what is added to the invoice may be changed with it.
    PendingIfIncomplete,
}

impl PaymentBehavior {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AllowIncomplete => "allow_incomplete",
            Self::DefaultIncomplete => "default_incomplete",
            Self::ErrorIfIncomplete => "error_if_incomplete",
            Self::PendingIfIncomplete => "pending_if_incomplete",
        }
    }
}

/// A price that is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// The id of the price.
    pub price: String,
    /// How many; `None` where the price is metered, which takes none.
    pub quantity: Option<u64>,
}

/// Returns a word of the API as a request type has it.
pub(super) fn word<T: FromStr<Err = Infallible>>(word: &str) -> T {
    let Ok(theirs) = word.parse();
    theirs
}
