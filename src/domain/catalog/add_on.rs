//! What is charged in percent of other charges.

use serde::{Deserialize, Serialize};

use crate::domain::id::AddOnId;
use crate::domain::rating::Percent;

/// Something that costs a share of other charges, such as support.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOn {
    /// Its id.
    pub id: AddOnId,
    /// Its name for people.
    pub name: Box<str>,
    /// The share.
    pub percent: Percent,
    /// Of which charges.
    pub of: AddOnBase,
}

/// Which charges an add-on is a share of; never other add-ons, nor what a wallet paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddOnBase {
    /// Those for use: usage products and overage.
    Usage,
    /// All: the plan, use and outcomes.
    #[default]
    All,
}
