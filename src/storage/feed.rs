//! What other processes did to a database that is shared.

use std::collections::BTreeMap;

use crate::domain::catalog::CatalogVersion;
use crate::domain::id::CustomerId;

/// How far a process has seen what others committed: the number of the last batch, by epoch.
///
/// An epoch commits in the order of its numbers, so what is above the one that was seen last was committed later, however
/// early it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedCursor(pub BTreeMap<i64, i64>);

/// What others did.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    /// Where to go on.
    pub cursor: FeedCursor,
    /// Customers that they named in batches, each once, in any order.
    pub changed: Vec<CustomerId>,
    /// Whether any customer may have changed: too many did, or too long ago to tell.
    pub everything: bool,
    /// The newest catalog; 0: none.
    pub catalog: CatalogVersion,
}
