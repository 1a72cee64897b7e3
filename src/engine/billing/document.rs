//! Documents and what they hold.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::billing::{Chunk, Tab};
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::error::Error;
use crate::storage::{BillingKey, BillingKind, BillingRow};

/// Reads what a document holds.
pub(super) fn read<T: DeserializeOwned>(row: &BillingRow) -> Result<T, Error> {
    serde_json::from_str(&row.body).map_err(|error| {
        tracing::error!(kind = row.key.kind.word(), id = %row.key.id, %error, "a document cannot be read");
        Error::Internal
    })
}

/// Writes what a document holds.
pub(super) fn write<T: Serialize>(body: &T) -> Result<Box<str>, Error> {
    let text = serde_json::to_string(body).map_err(|error| {
        tracing::error!(%error, "a document cannot be written");
        Error::Internal
    })?;
    Ok(text.into())
}

/// Names the tab of a customer and meter.
pub(super) fn tab_key(customer: &CustomerId, meter: &MeterId) -> BillingKey {
    BillingKey {
        kind: BillingKind::Tab,
        id: format!("{customer} {meter}").into(),
    }
}

/// Names the document of a customer of Stripe's.
pub(super) fn payer_key(payer: &str) -> BillingKey {
    BillingKey {
        kind: BillingKind::Payer,
        id: payer.into(),
    }
}

/// How the names of the chunks of a period of a tab begin: with the tab's, and the start of the period in seconds.
pub(super) fn chunks_of(tab: &BillingKey, period: TimeRange) -> String {
    let start = period.start.as_micros().div_euclid(1_000_000);
    format!("{} {start} ", tab.id)
}

/// Names the nth chunk of a period of a tab.
pub(super) fn chunk_key(tab: &BillingKey, period: TimeRange, number: u32) -> BillingKey {
    BillingKey {
        kind: BillingKind::Chunk,
        id: format!("{}{number}", chunks_of(tab, period)).into(),
    }
}

/// Returns the document of a tab, which is due when the tab is.
pub(super) fn tab_row(
    key: &BillingKey,
    customer: &CustomerId,
    tab: &Tab,
    create_time: Timestamp,
) -> Result<BillingRow, Error> {
    Ok(BillingRow {
        key: key.clone(),
        customer: Some(customer.clone()),
        state: if tab.waits { "waiting" } else { "open" }.into(),
        due_time: Some(tab.due_time),
        create_time,
        body: write(tab)?,
    })
}

/// Returns the document of a chunk.
pub(super) fn chunk_row(
    key: &BillingKey,
    customer: &CustomerId,
    chunk: &Chunk,
) -> Result<BillingRow, Error> {
    Ok(BillingRow {
        key: key.clone(),
        customer: Some(customer.clone()),
        state: chunk.state.word().into(),
        due_time: chunk.due_time,
        create_time: chunk.seal_time,
        body: write(chunk)?,
    })
}
