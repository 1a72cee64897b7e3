//! Usage over time: whole hours from rollups, cut hours from events.

use super::rollups::HourKey;
use super::state::Books;
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::summary::{Piece, Summary, pieces};
use crate::storage::{EventKind, StoreError, UsageQuery, UsageRow};

/// Summarises usage by step and group.
pub(super) fn usage(books: &Books, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = Vec::new();
    for (index, range) in query.steps.iter().enumerate() {
        let mut summary = Summary::new(query);
        for piece in pieces(*range) {
            match piece {
                Piece::Events(range) => events(books, query, range, &mut summary)?,
                Piece::Hours(first, last) => hours(books, query, first, last, &mut summary)?,
            }
        }
        summary.finish(index, &mut rows);
    }
    Ok(rows)
}

fn hours(
    books: &Books,
    query: &UsageQuery,
    first: Timestamp,
    last: Timestamp,
    summary: &mut Summary<'_>,
) -> Result<(), StoreError> {
    let at = |hour| HourKey {
        meter: query.meter.id.clone(),
        hour,
        subaccount: None,
    };
    for (key, hour) in books.rollups.range(at(first)..at(last)) {
        if query.subaccount.is_some() && key.subaccount != query.subaccount {
            continue;
        }
        for (dimensions, rollup) in &hour.rows {
            summary.add(dimensions, *rollup)?;
        }
        if let Some(rollup) = hour.overflow {
            summary.overflowed = true;
            summary.add(&Labels::new(), rollup)?;
        }
    }
    Ok(())
}

fn events(
    books: &Books,
    query: &UsageQuery,
    range: TimeRange,
    summary: &mut Summary<'_>,
) -> Result<(), StoreError> {
    for row in books.between(range) {
        if row.event.meter_id != query.meter.id
            || query.subaccount.is_some() && row.event.subaccount_id != query.subaccount
        {
            continue;
        }
        let mut rollup = Rollup::of_event(row.weighted, row.count_time);
        if row.kind == EventKind::Void {
            rollup.count = -1;
        }
        if row.kind == EventKind::Void || books.is_voided(row) {
            rollup.max = None;
            rollup.latest = None;
        }
        summary.add(&row.event.dimensions, rollup)?;
    }
    Ok(())
}
