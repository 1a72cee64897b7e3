//! The tables of an archive.

use serde::{Deserialize, Serialize};

/// What a record is of, in the order in which archives hold them: what others name comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Catalogs that were applied.
    Catalogs,
    /// Customers with their subscriptions.
    Customers,
    /// What is below them.
    Subaccounts,
    /// What is granted instead of the plan's.
    Overrides,
    /// Windows that count differently since a change of plan.
    Adjustments,
    /// Things that exist.
    Allocations,
    /// Reservations, those that ended included.
    Reservations,
    /// Wallets, without what is in them.
    Wallets,
    /// Credits that came, used up or not.
    Grants,
    /// Credits that are set aside, and holds that ended.
    Holds,
    /// Every movement of credits.
    Ledger,
    /// What usage drew on wallets.
    Draws,
    /// Counters, with what they keep of events that are no longer stored.
    Counters,
    /// Hourly totals.
    Rollups,
    /// Events and voids.
    Events,
    /// The denial log.
    Denials,
    /// Answers to mutations.
    Answers,
    /// Dealings with Stripe.
    Billing,
}

impl Table {
    /// All of them, in order.
    pub const ALL: [Self; 18] = [
        Self::Catalogs,
        Self::Customers,
        Self::Subaccounts,
        Self::Overrides,
        Self::Adjustments,
        Self::Allocations,
        Self::Reservations,
        Self::Wallets,
        Self::Grants,
        Self::Holds,
        Self::Ledger,
        Self::Draws,
        Self::Counters,
        Self::Rollups,
        Self::Events,
        Self::Denials,
        Self::Answers,
        Self::Billing,
    ];

    /// Returns its name, which it has in every store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalogs => "catalogs",
            Self::Customers => "customers",
            Self::Subaccounts => "subaccounts",
            Self::Overrides => "overrides",
            Self::Adjustments => "adjustments",
            Self::Allocations => "allocations",
            Self::Reservations => "reservations",
            Self::Wallets => "wallets",
            Self::Grants => "grants",
            Self::Holds => "holds",
            Self::Ledger => "ledger",
            Self::Draws => "draws",
            Self::Counters => "counters",
            Self::Rollups => "rollups",
            Self::Events => "events",
            Self::Denials => "denials",
            Self::Answers => "answers",
            Self::Billing => "billing",
        }
    }
}
