//! Invoices of ours: what was invoiced of each billing period, so that no unit is invoiced twice and what comes later is
//! not forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::{read, write};
use super::statement::{OwnInvoice, OwnLine};
use crate::domain::billing::DOUBT_AFTER;
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::Engine;
use crate::engine::billing::BillingFault;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingRow};

/// What is to be invoiced now, under a key that stays until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingInvoice {
    /// The key under which Stripe is to be called.
    pub key: Box<str>,
    /// After how many days it is due; 0: it is charged.
    pub due_days: u32,
    /// Each line with the cents that this invoice has of it.
    pub lines: Vec<PendingLine>,
    /// When it was begun.
    pub begin_time: Timestamp,
}

/// A line that is to be invoiced, or credited when below zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLine {
    /// What the period comes to.
    pub line: OwnLine,
    /// Cents that were not invoiced before.
    pub cents: i64,
}

/// What was invoiced of a period.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Invoiced {
    /// Cents by what they are about.
    cents: BTreeMap<Box<str>, i64>,
    /// The invoices, by their ids at Stripe.
    invoices: Vec<Box<str>>,
    /// What is being invoiced.
    pending: Option<PendingInvoice>,
}

impl Invoiced {
    /// Returns what a period comes to beyond what was invoiced of it.
    fn missing(&self, lines: &[OwnLine]) -> Vec<PendingLine> {
        let mut missing = Vec::new();
        for line in lines {
            let before = self.cents.get(&line.subject).copied().unwrap_or_default();
            missing.push(PendingLine {
                line: line.clone(),
                cents: line.cents - before,
            });
        }
        // What was invoiced and is nothing any more.
        let is_gone = |subject: &str| lines.iter().all(|line| *line.subject != *subject);
        for (subject, cents) in self.cents.iter().filter(|(subject, _)| is_gone(subject)) {
            missing.push(PendingLine {
                line: OwnLine {
                    subject: subject.clone(),
                    description: subject.clone(),
                    quantity: crate::domain::quantity::Milli::ZERO,
                    cents: 0,
                },
                cents: -cents,
            });
        }
        missing.retain(|line| line.cents != 0);
        missing
    }
}

impl Engine {
    /// Says what of a period is still to be invoiced; changes nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn uninvoiced(
        &self,
        customer: &CustomerId,
        of: &OwnInvoice,
    ) -> Result<Vec<PendingLine>, Error> {
        use crate::storage::BillingQuery;
        let query = BillingQuery {
            id: Some(key(customer, of.period).id),
            ..BillingQuery::of(BillingKind::Invoice, 1)
        };
        let page = self.shared.store.billing(query).await?;
        let held: Option<Invoiced> = page.items.first().map(read).transpose()?;
        Ok(held.unwrap_or_default().missing(&of.lines))
    }

    /// Begins to invoice what a period comes to beyond what was invoiced; `None`: nothing. What was begun before and not
    /// ended is gone on with first, under its own key.
    ///
    /// # Errors
    /// When what was begun is too old for Stripe to know its key, or the store fails.
    pub async fn begin_invoice(
        &self,
        customer: &CustomerId,
        of: &OwnInvoice,
        (stripe_key, due_days): (&str, u32),
    ) -> Result<Option<PendingInvoice>, Error> {
        let begin = Begin {
            cells: [self.customer(customer).await?],
            key: key(customer, of.period),
            lines: of.lines.clone(),
            stripe_key: stripe_key.into(),
            due_days,
        };
        self.submit(begin).await
    }

    /// Notes that what was begun is on an invoice.
    ///
    /// # Errors
    /// When the store fails; the same is begun again then, under the same key.
    pub async fn end_invoice(
        &self,
        customer: &CustomerId,
        period: TimeRange,
        (stripe_key, invoice): (&str, &str),
    ) -> Result<(), Error> {
        let end = End {
            cells: [self.customer(customer).await?],
            key: key(customer, period),
            stripe_key: stripe_key.into(),
            invoice: invoice.into(),
        };
        self.submit(end).await
    }
}

/// Names what was invoiced of a period: by customer and start in seconds.
fn key(customer: &CustomerId, period: TimeRange) -> BillingKey {
    let start = period.start.as_micros().div_euclid(1_000_000);
    BillingKey {
        kind: BillingKind::Invoice,
        id: format!("{customer} {start}").into(),
    }
}

fn row(
    key: &BillingKey,
    customer: &CustomerId,
    held: &Invoiced,
    create_time: Timestamp,
) -> Result<BillingRow, Error> {
    let state = if held.pending.is_some() {
        "begun"
    } else {
        "invoiced"
    };
    Ok(BillingRow {
        key: key.clone(),
        customer: Some(customer.clone()),
        state: state.into(),
        due_time: None,
        create_time,
        body: write(held)?,
    })
}

/// Begins an invoice.
struct Begin {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
    lines: Vec<OwnLine>,
    stripe_key: Box<str>,
    due_days: u32,
}

impl Mutation for Begin {
    const METHOD: &'static str = "BeginInvoice";
    type Answer = Option<PendingInvoice>;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error> {
        let now = step.now();
        let found = step.document(0, &self.key);
        let mut held: Invoiced = found.as_ref().map(read).transpose()?.unwrap_or_default();
        if let Some(pending) = held.pending {
            if now.since(pending.begin_time) >= DOUBT_AFTER {
                let why = "an invoice of this period was begun long ago and never ended; look for it at Stripe";
                return Err(BillingFault::OutcomeUnknown(why.to_owned()).into());
            }
            return Ok(Applied::Done(Some(pending)));
        }
        let lines = held.missing(&self.lines);
        if lines.is_empty() {
            return Ok(Applied::Done(None));
        }
        let pending = PendingInvoice {
            key: self.stripe_key.clone(),
            due_days: self.due_days,
            lines,
            begin_time: now,
        };
        held.pending = Some(pending.clone());
        let created = found.map_or(now, |row| row.create_time);
        step.put_document(row(&self.key, &self.cells[0].id, &held, created)?);
        Ok(Applied::Done(Some(pending)))
    }
}

/// Ends an invoice.
struct End {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
    stripe_key: Box<str>,
    invoice: Box<str>,
}

impl Mutation for End {
    const METHOD: &'static str = "EndInvoice";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let Some(found) = step.document(0, &self.key) else {
            return Ok(Applied::Done(()));
        };
        let mut held: Invoiced = read(&found)?;
        let is_it = |pending: &PendingInvoice| pending.key == self.stripe_key;
        let Some(pending) = held.pending.take_if(|pending| is_it(pending)) else {
            return Ok(Applied::Done(()));
        };
        for line in pending.lines {
            *held.cents.entry(line.line.subject).or_default() += line.cents;
        }
        held.invoices.push(self.invoice.clone());
        let created = found.create_time;
        step.put_document(row(&self.key, &self.cells[0].id, &held, created)?);
        Ok(Applied::Done(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quantity::Milli;

    fn line(subject: &str, cents: i64) -> OwnLine {
        OwnLine {
            subject: subject.into(),
            description: subject.into(),
            quantity: Milli::ZERO,
            cents,
        }
    }

    #[test]
    fn each_cent_is_invoiced_once_and_what_is_gone_is_credited() {
        let mut held = Invoiced::default();
        let cents = |held: &Invoiced, lines: &[OwnLine]| -> Vec<(Box<str>, i64)> {
            let missing = held.missing(lines).into_iter();
            missing.map(|one| (one.line.subject, one.cents)).collect()
        };
        let first = [line("product a", 500), line("feature b", 20)];
        let expected = vec![("product a".into(), 500), ("feature b".into(), 20)];
        assert_eq!(cents(&held, &first), expected);
        held.cents = expected.into_iter().collect();
        assert_eq!(cents(&held, &first), []);
        let later = [line("product a", 510)];
        let expected = vec![("product a".into(), 10), ("feature b".into(), -20)];
        assert_eq!(cents(&held, &later), expected);
    }
}
