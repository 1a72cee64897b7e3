//! Where use ends up: each unit in exactly one place.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::Meter;

/// Where use, or what it costs, ends up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// The plan includes it, or nothing charges it.
    Included,
    /// Credits paid it.
    Wallet,
    /// It is sent to a Stripe meter, whose price bills it.
    StripeMeter,
    /// A line of an invoice of ours bills it.
    OwnInvoice,
    /// Credits did not cover it: the wallet owes it.
    Receivable,
}

impl Destination {
    /// Every destination.
    pub const ALL: [Self; 5] = [
        Self::Included,
        Self::Wallet,
        Self::StripeMeter,
        Self::OwnInvoice,
        Self::Receivable,
    ];

    /// Returns where charged use of a meter is billed.
    #[must_use]
    pub fn billed(meter: Option<&Meter>) -> Self {
        match meter.and_then(|meter| meter.stripe_event_name.as_ref()) {
            Some(_) => Self::StripeMeter,
            None => Self::OwnInvoice,
        }
    }

    /// Whether what ends up here is still to be paid.
    #[must_use]
    pub const fn is_due(self) -> bool {
        match self {
            Self::StripeMeter | Self::OwnInvoice => true,
            Self::Included | Self::Wallet | Self::Receivable => false,
        }
    }
}
