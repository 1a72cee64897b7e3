//! How far the list of Stripe's events was read. Of several processes one reads it at a time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::{read, write};
use crate::domain::time::{Span, Timestamp};
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow};

/// How long whoever reads the list has for it before somebody else does.
const TURN: Span = Span::from_minutes(10);
/// Between readings of the list.
const BETWEEN: Span = Span::from_minutes(15);
/// How somebody stands who reads it.
const READING: &str = "reading";
/// How it stands while nobody does.
const READ: &str = "read";

/// How far the list was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// When the newest event was made that was seen.
    through: Timestamp,
}

impl Engine {
    /// Takes the turn to read the list of events, if it is time to, or `at_once` unless somebody is at it. Returns from when
    /// on events were not seen; `None`: it is not our turn. Who never read it begins now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_listing(&self, at_once: bool) -> Result<Option<Timestamp>, Error> {
        if !at_once && !self.may_list().await? {
            return Ok(None);
        }
        self.submit(Begin { at_once }).await
    }

    /// Whether it looks as if it were time to: who takes the turn is decided in a commit, and most looks need none.
    async fn may_list(&self) -> Result<bool, Error> {
        let query = BillingQuery {
            id: Some(key().id),
            ..BillingQuery::of(BillingKind::Listing, 1)
        };
        let page = self.shared.store.billing(query).await?;
        let due = page.items.first().and_then(|row| row.due_time);
        Ok(due.is_none_or(|due| due <= self.now()))
    }

    /// Notes that all events were seen up to an instant, and lets the next turn come.
    ///
    /// # Errors
    /// When the store fails; the same events are read again then.
    pub async fn end_listing(&self, through: Timestamp) -> Result<(), Error> {
        self.submit(End { through }).await
    }
}

fn key() -> BillingKey {
    BillingKey {
        kind: BillingKind::Listing,
        id: "events".into(),
    }
}

fn row(
    state: &str,
    due_time: Timestamp,
    create_time: Timestamp,
    progress: Progress,
) -> Result<BillingRow, Error> {
    Ok(BillingRow {
        key: key(),
        customer: None,
        state: state.into(),
        due_time: Some(due_time),
        create_time,
        body: write(&progress)?,
    })
}

/// Takes the turn.
struct Begin {
    at_once: bool,
}

impl Mutation for Begin {
    const METHOD: &'static str = "BeginListing";
    type Answer = Option<Timestamp>;

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![key()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error> {
        let now = step.now();
        let found = step.document(0, &key());
        let (progress, created) = match &found {
            Some(row) => (read(row)?, row.create_time),
            None => (Progress { through: now }, now),
        };
        let may = found.is_none_or(|row| {
            let is_due = row.due_time.is_none_or(|due| due <= now);
            is_due || (self.at_once && &*row.state == READ)
        });
        if !may {
            return Ok(Applied::Refused(None));
        }
        step.put_document(row(READING, now.plus(TURN), created, progress)?);
        Ok(Applied::Done(Some(progress.through)))
    }
}

/// Ends the turn.
struct End {
    through: Timestamp,
}

impl Mutation for End {
    const METHOD: &'static str = "EndListing";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![key()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let now = step.now();
        let found = step.document(0, &key());
        let seen = found.as_ref().map(read::<Progress>).transpose()?;
        // Another may have come further meanwhile.
        let through = seen.map_or(self.through, |seen| seen.through.max(self.through));
        let created = found.map_or(now, |row| row.create_time);
        step.put_document(row(READ, now.plus(BETWEEN), created, Progress { through })?);
        Ok(Applied::Done(()))
    }
}
