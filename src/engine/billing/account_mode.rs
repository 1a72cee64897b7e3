//! The mark of a database that says what money it deals in, so that it never deals in another.

use super::document::read;
use super::fault::BillingFault;
use super::sandbox;
use crate::domain::billing::MoneyMode;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow, Store};

/// Returns what money a store deals in; `None`: in none so far. One in which a sandbox did something is the sandbox's.
///
/// # Errors
/// When the store cannot be read.
pub async fn money_mode(store: &dyn Store) -> Result<Option<MoneyMode>, Error> {
    let marked = BillingQuery {
        id: Some(key().id),
        ..BillingQuery::of(BillingKind::Account, 1)
    };
    if let Some(row) = store.billing(marked).await?.items.first() {
        return mode_of(row).map(Some);
    }
    let played = BillingQuery::of(BillingKind::Sandbox, 1);
    let played = store.billing(played).await?;
    Ok((!played.items.is_empty()).then_some(MoneyMode::Sandbox))
}

impl Engine {
    /// Marks the store as one that deals in this money, for good, before it first does.
    ///
    /// # Errors
    /// When it deals in another, or the store fails.
    pub async fn mark_money_mode(&self, mode: MoneyMode) -> Result<(), Error> {
        self.submit(Mark { mode }).await
    }
}

/// Names the mark.
pub(super) fn key() -> BillingKey {
    BillingKey {
        kind: BillingKind::Account,
        id: "mode".into(),
    }
}

/// Reads the mark.
pub(super) fn mode_of(row: &BillingRow) -> Result<MoneyMode, Error> {
    let word: String = read(row)?;
    MoneyMode::read(&word).ok_or(Error::Internal)
}

/// Marks the store.
struct Mark {
    mode: MoneyMode,
}

impl Mutation for Mark {
    const METHOD: &'static str = "MarkMoneyMode";
    type Answer = ();

    fn cells(&self) -> &[std::sync::Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![key(), sandbox::key()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let marked = step.document(0, &key());
        let marked = marked.as_ref().map(mode_of).transpose()?;
        let played = step
            .document(1, &sandbox::key())
            .map(|_| MoneyMode::Sandbox);
        match marked.or(played) {
            Some(held) if held != self.mode => Err(BillingFault::OtherMoney(held).into()),
            Some(_) => Ok(Applied::Done(())),
            None => {
                step.put_document(BillingRow {
                    key: key(),
                    customer: None,
                    state: self.mode.word().into(),
                    due_time: None,
                    create_time: step.now(),
                    body: format!("\"{}\"", self.mode.word()).into(),
                });
                Ok(Applied::Done(()))
            }
        }
    }
}
