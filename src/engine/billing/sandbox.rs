//! What the sandbox remembers, kept where everything is kept.

use serde::{Deserialize, Serialize};

use super::account_mode::{self, mode_of};
use super::document::{read, write};
use super::fault::BillingFault;
use crate::domain::billing::MoneyMode;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow};

/// What the sandbox remembers at one point.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxMemory {
    /// Rises with each change; 0: there is nothing yet.
    pub version: i64,
    /// All of it, in the sandbox's own words.
    pub text: String,
}

impl Engine {
    /// Returns what the sandbox remembers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sandbox_memory(&self) -> Result<SandboxMemory, Error> {
        let query = BillingQuery {
            id: Some(key().id),
            ..BillingQuery::of(BillingKind::Sandbox, 1)
        };
        let page = self.shared.store.billing(query).await?;
        page.items
            .first()
            .map_or(Ok(SandboxMemory::default()), read)
    }

    /// Keeps what the sandbox remembers now, if it was at the version before; false when another process was faster.
    ///
    /// # Errors
    /// When the store deals in money, or fails.
    pub async fn keep_sandbox(&self, memory: SandboxMemory) -> Result<bool, Error> {
        self.submit(Keep { memory }).await
    }
}

/// Names what the sandbox remembers.
pub(super) fn key() -> BillingKey {
    BillingKey {
        kind: BillingKind::Sandbox,
        id: "model".into(),
    }
}

/// Keeps what the sandbox remembers.
struct Keep {
    memory: SandboxMemory,
}

impl Mutation for Keep {
    const METHOD: &'static str = "KeepSandbox";
    type Answer = bool;

    fn cells(&self) -> &[std::sync::Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![key(), account_mode::key()]
    }

    fn weight(&self) -> usize {
        self.memory.text.len()
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<bool>, Error> {
        let marked = step.document(1, &account_mode::key());
        let marked = marked.as_ref().map(mode_of).transpose()?;
        if let Some(held) = marked.filter(|held| *held != MoneyMode::Sandbox) {
            return Err(BillingFault::OtherMoney(held).into());
        }
        let found = step.document(0, &key());
        let held = found.as_ref().map(read::<SandboxMemory>).transpose()?;
        let version = held.map_or(0, |held| held.version);
        if version + 1 != self.memory.version {
            return Ok(Applied::Refused(false));
        }
        step.put_document(BillingRow {
            key: key(),
            customer: None,
            state: "kept".into(),
            due_time: None,
            create_time: found.map_or(step.now(), |row| row.create_time),
            body: write(&self.memory)?,
        });
        Ok(Applied::Done(true))
    }
}
