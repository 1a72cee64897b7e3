//! What is sold.

use serde::{Deserialize, Serialize};

use super::Filter;
use crate::domain::id::{FeatureId, MeterId};
use crate::domain::time::Span;

/// Something that a plan can grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Its id.
    pub id: FeatureId,
    /// Its name for people.
    pub name: Box<str>,
    /// What kind of right it is.
    pub kind: FeatureKind,
    /// What a check answers while the database cannot be reached.
    pub on_outage: OnOutage,
}

/// The six kinds of right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// On or off.
    Boolean,
    /// A value that the product reads, such as a support level.
    Static,
    /// Limits on what a meter counts.
    Metered {
        /// The meter.
        meter: MeterId,
        /// The part of it that counts.
        filter: Filter,
    },
    /// A number of things that exist: seats, agents, workflows.
    Allocation,
    /// A number of things in flight.
    Concurrency,
    /// Calls per second or minute, kept in memory.
    Rate,
}

impl FeatureKind {
    /// Returns the kind as catalogs write it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Static => "static",
            Self::Metered { .. } => "metered",
            Self::Allocation => "allocation",
            Self::Concurrency => "concurrency",
            Self::Rate => "rate",
        }
    }
}

/// What a check answers while the database cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Denies, marked as degraded.
    Deny,
    /// Answers from the last known state for this long, marked as degraded; then denies.
    AllowFor(Span),
}
