use std::sync::Arc;

use super::MemoryStore;
use crate::domain::time::Timestamp;
use crate::storage::conformance::fixture::START;
use crate::storage::conformance::store_conformance;

/// Returns an empty store whose clock stands still.
#[expect(
    clippy::unused_async,
    reason = "the suite makes stores asynchronously: others open files"
)]
pub async fn make() -> (MemoryStore, ()) {
    let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(|| START);
    (MemoryStore::new(now), ())
}

store_conformance!(memory, crate::storage::memory::tests::make);
