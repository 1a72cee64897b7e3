//! The account's own money.

use super::part;

part! {
    /// What Stripe holds for the account.
    Balance {
        /// What can be paid out.
        available: Vec<BalancePart>,
        /// What cannot yet.
        pending: Vec<BalancePart>,
        /// Whether money is real.
        livemode: bool,
    }
}

part! {
    /// Money of one currency.
    BalancePart {
        /// In its smallest unit.
        amount: i64,
        /// Which.
        currency: String,
    }
}
