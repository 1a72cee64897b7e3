//! A customer's plan follows what Stripe has: asked for under a token, and taken if nothing newer was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::{payer_key, read, write};
use crate::domain::billing::{Kept, LOOK_AGAIN, Mirrored, Reflection, next_look, reflect};
use crate::domain::catalog::CatalogVersion;
use crate::domain::id::CustomerId;
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::{Error, Thing};
use crate::engine::load::Loader;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::replan::Replan;
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow, Changes, Fold};

/// How far questions to Stripe about a payer have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    /// The token of the newest question.
    #[serde(default)]
    asked: i64,
    /// The token of the question whose answer was taken last.
    #[serde(default)]
    taken: i64,
}

impl Engine {
    /// Returns a token under which to ask Stripe about a payer: higher than any before, so that of several answers the one
    /// to the newest question counts, whichever comes first.
    ///
    /// # Errors
    /// When no customer is linked with the payer, or the store fails.
    pub async fn ask_about(&self, customer: &CustomerId, payer: &str) -> Result<i64, Error> {
        let token = self.ask(customer, payer, false).await?;
        token.ok_or(Error::Internal)
    }

    /// As [`Engine::ask_about`], if it is time to look at a payer although no webhook says so; `None`: somebody else looks, or
    /// it is not.
    ///
    /// # Errors
    /// When no customer is linked with the payer, or the store fails.
    pub async fn ask_if_due(
        &self,
        customer: &CustomerId,
        payer: &str,
    ) -> Result<Option<i64>, Error> {
        self.ask(customer, payer, true).await
    }

    async fn ask(
        &self,
        customer: &CustomerId,
        payer: &str,
        only_if_due: bool,
    ) -> Result<Option<i64>, Error> {
        let cells = [self.customer(customer).await?];
        let key = payer_key(payer);
        let ask = Ask {
            cells,
            key,
            only_if_due,
        };
        self.submit(ask).await
    }

    /// Returns payers that it is time to look at, the longest overdue first, with who they are here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_payers(&self, limit: usize) -> Result<Vec<(Box<str>, CustomerId)>, Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Payer, limit)
        };
        let page = self.shared.store.billing(query).await?;
        let rows = page.items.into_iter();
        Ok(rows
            .filter_map(|row| Some((row.key.id, row.customer?)))
            .collect())
    }

    /// Takes what Stripe has for a payer as the answer to a question. Returns whether it was the newest so far.
    ///
    /// # Errors
    /// When no customer is linked with the payer, or the store fails.
    pub async fn take_subscriptions(
        &self,
        (customer, payer): (&CustomerId, &str),
        token: i64,
        all: Vec<Mirrored>,
    ) -> Result<bool, Error> {
        let cells = [self.customer(customer).await?];
        let take = Take {
            cells,
            key: payer_key(payer),
            token,
            all,
            replan: Replan::default(),
        };
        let is_newest = self.submit(take).await?;
        self.open_tabs(customer).await?;
        Ok(is_newest)
    }
}

/// Finds the document of a payer.
fn asked(step: &Step<'_, '_>, key: &BillingKey) -> Result<(BillingRow, Asked), Error> {
    let row = step.document(0, key);
    let row = row.ok_or_else(|| Error::not_found(Thing::Payer, &key.id))?;
    let asked = read(&row)?;
    Ok((row, asked))
}

/// Takes a token. Until an answer is taken, others need not look for a while.
struct Ask {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
    only_if_due: bool,
}

impl Mutation for Ask {
    const METHOD: &'static str = "AskAboutPayer";
    type Answer = Option<i64>;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Option<i64>>, Error> {
        let now = step.now();
        let (row, mut asked) = asked(step, &self.key)?;
        if self.only_if_due && row.due_time.is_none_or(|due| due > now) {
            return Ok(Applied::Refused(None));
        }
        asked.asked += 1;
        let again = now.plus(LOOK_AGAIN);
        step.put_document(BillingRow {
            body: write(&asked)?,
            due_time: Some(row.due_time.map_or(again, |due| due.max(again))),
            ..row
        });
        Ok(Applied::Done(Some(asked.asked)))
    }
}

/// Takes an answer.
struct Take {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
    token: i64,
    all: Vec<Mirrored>,
    replan: Replan,
}

impl Take {
    fn reflection(
        &self,
        held: Option<&Subscription>,
        current: CatalogVersion,
        now: Timestamp,
    ) -> Reflection {
        reflect(&self.all, held, current, now)
    }
}

impl Mutation for Take {
    const METHOD: &'static str = "TakeSubscriptions";
    type Answer = bool;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn folds(&mut self, loader: &Loader, now: Timestamp) -> Vec<Fold> {
        self.replan = Replan::default();
        let cell = Arc::clone(&self.cells[0]);
        let inner = cell.lock();
        let Some(account) = &inner.account else {
            return Vec::new();
        };
        let current = loader.current().version();
        match self.reflection(account.subscription.as_deref(), current, now) {
            Reflection::Become(subscription) => {
                self.replan
                    .ask(&cell, (account, &subscription), (loader, now))
            }
            Reflection::Keep(_) => Vec::new(),
        }
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<bool>, Error> {
        let (now, loader, folded) = (step.now(), step.batch.loader, step.folded());
        let (row, mut asked) = asked(step, &self.key)?;
        if self.token <= asked.taken {
            return Ok(Applied::Done(false));
        }
        let mut changes = Changes::default();
        step.with(&self.cells[0], |account, effects| {
            let current = loader.current().version();
            let held = account.subscription.as_deref();
            match self.reflection(held, current, now) {
                Reflection::Become(subscription) => {
                    let facts = (folded, loader, now);
                    let into = (effects, &mut changes);
                    self.replan
                        .change(account, *subscription, facts, into)
                        .map(drop)
                }
                Reflection::Keep(why) => {
                    note(&account.customer.id, why);
                    Ok(())
                }
            }
        })??;
        step.absorb(changes);
        asked.taken = self.token;
        step.put_document(BillingRow {
            body: write(&asked)?,
            due_time: Some(next_look(&self.key.id, &self.all, now)),
            ..row
        });
        Ok(Applied::Done(true))
    }
}

fn note(customer: &CustomerId, why: Kept) {
    match why {
        Kept::Nothing | Kept::AssignedHere => {}
        Kept::UnknownStatus => {
            tracing::error!(customer.id = %customer, "Stripe says a status that is not known; the plan stays");
        }
        Kept::UnknownPrice => {
            tracing::error!(customer.id = %customer, "a price at Stripe belongs to no known plan; the plan stays");
        }
    }
}
