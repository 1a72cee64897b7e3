//! What is kept of dealings with Stripe: one kind of row for all, which the engine gives its meaning.
//!
//! These rows are few beside events, and each is found by its name, by its customer, or by when there is something to do
//! about it. So stores know one table, and a new kind of document needs nothing from them.

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::columns::corrupt;
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingKind {
    /// Which customer a customer of Stripe is; named by its id there.
    Payer,
    /// What was sealed of a customer and meter.
    Tab,
    /// A sealed amount of usage on its way to Stripe.
    Chunk,
    /// A webhook that came, until it is done and forgotten; named by the id of its event.
    Webhook,
    /// Money that was asked for, whatever became of it.
    Payment,
    /// An invoice of Stripe's.
    Invoice,
    /// What Stripe has in place of something in the catalog.
    Price,
    /// A call that changes something at Stripe, until it is forgotten; named by its request.
    Call,
    /// What the sandbox remembers in Stripe's place.
    Sandbox,
    /// How far the list of Stripe's events was read.
    Listing,
    /// The account at Stripe, and whether its money is real.
    Account,
}

impl BillingKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Payer,
        Self::Tab,
        Self::Chunk,
        Self::Webhook,
        Self::Payment,
        Self::Invoice,
        Self::Price,
        Self::Call,
        Self::Sandbox,
        Self::Listing,
        Self::Account,
    ];

    /// Returns the word for it in the column.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Payer => "payer",
            Self::Tab => "tab",
            Self::Chunk => "chunk",
            Self::Webhook => "webhook",
            Self::Payment => "payment",
            Self::Invoice => "invoice",
            Self::Price => "price",
            Self::Call => "call",
            Self::Sandbox => "sandbox",
            Self::Listing => "listing",
            Self::Account => "account",
        }
    }

    /// Reads the column.
    pub(super) fn read(word: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|kind| kind.word() == word);
        found.ok_or_else(|| corrupt("billing", format!("unknown kind {word}")))
    }
}

/// Names a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingKey {
    /// What it is about.
    pub kind: BillingKind,
    /// Its name within the kind.
    pub id: Box<str>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingRow {
    /// Its name.
    pub key: BillingKey,
    /// Whose; `None`: nobody's, or not known yet.
    pub customer: Option<CustomerId>,
    /// Where it stands: a word of its kind.
    pub state: Box<str>,
    /// From when on there is something to do about it; `None`: nothing is.
    pub due_time: Option<Timestamp>,
    /// When it came to be, which lists go by.
    pub create_time: Timestamp,
    /// What else there is, as JSON.
    pub body: Box<str>,
}

/// Asks for rows of one kind; all conditions must hold.
#[derive(Debug, Clone)]
pub struct BillingQuery {
    /// Of this kind.
    pub kind: BillingKind,
    /// Only the one of this name.
    pub id: Option<Box<str>>,
    /// Only those whose names begin so; it is fast together with a customer, whose rows are looked through.
    pub begins: Option<Box<str>>,
    /// Only this customer's.
    pub customer: Option<CustomerId>,
    /// Only those in this state.
    pub state: Option<Box<str>>,
    /// Only those about which there was something to do by then, the longest overdue first; `None`: the newest first.
    pub due_by: Option<Timestamp>,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

impl BillingQuery {
    /// Asks for all rows of a kind.
    #[must_use]
    pub const fn of(kind: BillingKind, limit: usize) -> Self {
        Self {
            kind,
            id: None,
            begins: None,
            customer: None,
            state: None,
            due_by: None,
            after: None,
            limit,
        }
    }

    /// Whether a row is one of those that are asked for, page and order apart.
    pub(super) fn matches(&self, row: &BillingRow) -> bool {
        row.key.kind == self.kind
            && self.id.as_ref().is_none_or(|id| *id == row.key.id)
            && (self.begins.as_ref()).is_none_or(|start| row.key.id.starts_with(&**start))
            && (self.customer.is_none() || self.customer == row.customer)
            && self.state.as_ref().is_none_or(|state| *state == row.state)
            && self
                .due_by
                .is_none_or(|by| row.due_time.is_some_and(|due| due <= by))
    }

    /// Returns where a row stands in the order, as a rising pair.
    pub(super) fn place(&self, row: &BillingRow) -> (i64, Box<str>) {
        let at = match self.due_by {
            Some(_) => row.due_time.map_or(i64::MAX, Timestamp::as_micros),
            None => row.create_time.as_micros().saturating_neg(),
        };
        (at, row.key.id.clone())
    }
}
