//! In what Stripe differs from a price list, in words for whoever sets it up.

use std::fmt;

use super::portals::Portal;
use crate::domain::billing::{ListedAmount, ListedMeter, ListedPrice, Sold, word};
use crate::domain::catalog::Interval;
use crate::stripe::gateway::API_VERSION;

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
    /// A price that was there before becomes one of the list.
    AdoptPrice {
        /// Its id at Stripe.
        id: String,
        /// What it becomes.
        listed: ListedPrice,
    },
    /// Settings of the portal are created.
    CreatePortal(Portal),
    /// Settings of the portal allow something else.
    ChangePortal {
        /// Their id at Stripe.
        id: String,
        /// Which they are.
        portal: Portal,
    },
    /// An endpoint of webhooks is created.
    CreateEndpoint {
        /// Where.
        url: String,
    },
    /// An endpoint of webhooks gets events that it lacks, or wakes up.
    ChangeEndpoint {
        /// Its id at Stripe.
        id: String,
        /// Where.
        url: String,
        /// What it is to be told of.
        events: Vec<String>,
        /// Which of these it is not told of now.
        missing: Vec<String>,
    },
    /// An endpoint takes the place of one of another version of the API, which cannot change.
    ReplaceEndpoint {
        /// The id of the one that goes.
        id: String,
        /// Where.
        url: String,
        /// The version that it has; empty: the account's.
        version: String,
    },
}

impl Difference {
    /// Whether something is created that was not there, and nothing else is touched.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        match self {
            Self::CreateMeter(_)
            | Self::CreatePrice(_)
            | Self::CreatePortal(_)
            | Self::CreateEndpoint { .. } => true,
            Self::RenameMeter { .. }
            | Self::ReplacePrice { .. }
            | Self::AdoptPrice { .. }
            | Self::ChangePortal { .. }
            | Self::ChangeEndpoint { .. }
            | Self::ReplaceEndpoint { .. } => false,
        }
    }
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
            Self::AdoptPrice { id, listed } => {
                write!(
                    f,
                    "~ price {}: {}, which is {id} from now on",
                    listed.lookup_key,
                    Words(listed)
                )
            }
            Self::CreatePortal(portal) => write!(f, "+ portal {}: {portal}", portal.word()),
            Self::ChangePortal { portal, .. } => {
                write!(f, "~ portal {}: {portal}", portal.word())
            }
            Self::CreateEndpoint { url } => write!(f, "+ webhooks to {url}"),
            Self::ChangeEndpoint { url, missing, .. } if missing.is_empty() => {
                write!(f, "~ webhooks to {url}: they are sent again")
            }
            Self::ChangeEndpoint { url, missing, .. } => {
                write!(f, "~ webhooks to {url}: also of {}", missing.join(", "))
            }
            Self::ReplaceEndpoint { url, version, .. } => {
                let version = if version.is_empty() {
                    "the account's version"
                } else {
                    version
                };
                write!(
                    f,
                    "~ webhooks to {url}: in {API_VERSION}, instead of {version}"
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
