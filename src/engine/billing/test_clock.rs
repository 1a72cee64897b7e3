//! How far the sandbox's test clock was moved ahead, kept so that time does not go back with a restart.

use serde::{Deserialize, Serialize};

use super::document::{read, write};
use crate::domain::time::Span;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow, Store};

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Moved {
    /// How far ahead, in microseconds.
    ahead: i64,
}

/// Returns how far ahead of a store's own time the time of what it holds was moved.
///
/// # Errors
/// When the store cannot be read.
pub async fn moved_ahead(store: &dyn Store) -> Result<Span, Error> {
    let query = BillingQuery {
        id: Some(key().id),
        ..BillingQuery::of(BillingKind::Sandbox, 1)
    };
    let page = store.billing(query).await?;
    let moved = page.items.first().map(read::<Moved>).transpose()?;
    let moved = moved.unwrap_or_default();
    Ok(Span::from_micros_clamped(moved.ahead))
}

impl Engine {
    /// Keeps how far ahead time is moved, before it is; what was kept does not go back. Those who watch are to look again
    /// when it was moved: see [`Engine::time_moved`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_moved_ahead(&self, ahead: Span) -> Result<(), Error> {
        self.submit(Keep { ahead }).await
    }

    /// Tells those who watch that time was moved.
    pub fn time_moved(&self) {
        self.shared.watchers.wake_all();
    }
}

fn key() -> BillingKey {
    BillingKey {
        kind: BillingKind::Sandbox,
        id: "clock".into(),
    }
}

/// Keeps how far ahead time is moved.
struct Keep {
    ahead: Span,
}

impl Mutation for Keep {
    const METHOD: &'static str = "KeepTestClock";
    type Answer = ();

    fn cells(&self) -> &[std::sync::Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![key()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let found = step.document(0, &key());
        let held = found.as_ref().map(read::<Moved>).transpose()?;
        let ahead = held.map_or(0, |held| held.ahead);
        let moved = Moved {
            ahead: ahead.max(self.ahead.as_micros()),
        };
        step.put_document(BillingRow {
            key: key(),
            customer: None,
            state: "kept".into(),
            due_time: None,
            create_time: found.map_or(step.now(), |row| row.create_time),
            body: write(&moved)?,
        });
        Ok(Applied::Done(()))
    }
}
