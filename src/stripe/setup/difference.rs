//! In what Stripe differs from a price list, in words for whoever sets it up.

use std::fmt;

use crate::domain::billing::{ListedAmount, ListedMeter, ListedPrice, Sold, word};
use crate::domain::catalog::Interval;

/// Something that Stripe lacks, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A meter is created.
    CreateMeter(ListedMeter),
    /// A meter gets another name for people.
    RenameMeter {
        /// Its id at Stripe.
        id: String,
        /// What it is to be.
        listed: ListedMeter,
    },
    /// A price is created, with its product where there is none.
    CreatePrice(ListedPrice),
    /// A price takes the place of another that costs something else.
    ReplacePrice {
        /// The id of the one that goes.
        old: String,
        /// What it is to be.
        listed: ListedPrice,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateMeter(listed) => {
                write!(f, "+ meter {}: {}", listed.event_name, listed.name)
            }
            Self::RenameMeter { listed, .. } => {
                write!(
                    f,
                    "~ meter {}: is called {}",
                    listed.event_name, listed.name
                )
            }
            Self::CreatePrice(listed) => {
                write!(f, "+ price {}: {}", listed.lookup_key, Words(listed))
            }
            Self::ReplacePrice { old, listed } => {
                write!(
                    f,
                    "~ price {}: {}, instead of {old}",
                    listed.lookup_key,
                    Words(listed)
                )
            }
        }
    }
}

/// A price in words.
struct Words<'a>(&'a ListedPrice);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.amount {
            ListedAmount::Unit(cents) => write!(f, "{cents} cents")?,
            ListedAmount::Package { cents, size } => write!(f, "{cents} cents per {size}")?,
            ListedAmount::Tiered { by_volume, tiers } => {
                f.write_str(if *by_volume { "by volume" } else { "graduated" })?;
                for (up_to, cents) in tiers {
                    match up_to {
                        Some(up_to) => write!(f, ", to {up_to} {cents} cents")?,
                        None => write!(f, ", then {cents} cents")?,
                    }
                }
            }
        }
        match interval(&self.0.sold) {
            Some(interval) => write!(f, " a {}", word(interval)),
            None => Ok(()),
        }
    }
}

/// Returns how often a price is charged; `None`: once.
pub(super) const fn interval(sold: &Sold) -> Option<Interval> {
    match sold {
        Sold::Plan(_, interval) | Sold::Overage(_, _, interval) | Sold::Usage(_, interval) => {
            Some(*interval)
        }
        Sold::Piece(_) => None,
    }
}
