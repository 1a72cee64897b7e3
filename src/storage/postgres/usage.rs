//! Usage over time: whole hours from rollups, cut hours from events.

use sqlx::{PgConnection, Row};

use super::scan::visit;
use crate::domain::catalog::Filter;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::storage::columns::{OVERFLOW, read_labels, read_time};
use crate::storage::summary::{Piece, Summary, pieces};
use crate::storage::{EventKind, StoreError, UsageQuery, UsageRow};

/// Summarises usage by step and group.
pub(super) async fn read(
    conn: &mut PgConnection,
    query: &UsageQuery,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = Vec::new();
    for (index, range) in query.steps.iter().enumerate() {
        let mut summary = Summary::new(query);
        for piece in pieces(*range) {
            match piece {
                Piece::Events(range) => events(conn, query, range, &mut summary).await?,
                Piece::Hours(first, last) => {
                    hours(conn, query, (first, last), &mut summary).await?;
                }
            }
        }
        summary.finish(index, &mut rows);
    }
    Ok(rows)
}

async fn hours(
    conn: &mut PgConnection,
    query: &UsageQuery,
    (first, last): (Timestamp, Timestamp),
    summary: &mut Summary<'_>,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT coalesce(long_dimensions, dimensions), count, sum, max, latest_time, latest FROM rollups
         WHERE customer_id = $1 AND meter = $2 AND hour >= $3 AND hour < $4
           AND ($5::text IS NULL OR subaccount = $5)",
    )
    .bind(query.customer.as_str())
    .bind(query.meter.id.as_str())
    .bind(first.as_micros())
    .bind(last.as_micros())
    .bind(query.subaccount.as_ref().map(SubaccountId::as_str))
    .fetch_all(conn)
    .await?;
    for row in rows {
        let dimensions: &str = row.try_get(0)?;
        let latest_time: Option<i64> = row.try_get(4)?;
        let latest: Option<i64> = row.try_get(5)?;
        let latest = match latest_time.zip(latest) {
            Some((at, amount)) => Some((read_time("rollups", at)?, Milli(amount))),
            None => None,
        };
        let rollup = Rollup {
            count: row.try_get(1)?,
            sum: Milli(row.try_get(2)?),
            max: row.try_get::<Option<i64>, _>(3)?.map(Milli),
            latest,
        };
        summary.overflowed |= dimensions == OVERFLOW;
        let stated = Some(dimensions).filter(|text| !text.is_empty() && *text != OVERFLOW);
        summary.add(&read_labels("rollups", stated)?, rollup)?;
    }
    Ok(())
}

async fn events(
    conn: &mut PgConnection,
    query: &UsageQuery,
    range: TimeRange,
    summary: &mut Summary<'_>,
) -> Result<(), StoreError> {
    let part = query.subaccount.as_ref();
    visit(
        conn,
        &query.customer,
        Some(&query.meter.id),
        range,
        |seen| {
            if !seen.counts_for(part, &Filter::default())? {
                return Ok(());
            }
            let mut rollup = Rollup::of_event(seen.weighted()?, seen.count_time()?);
            let is_void = seen.kind()? == EventKind::Void;
            if is_void {
                rollup.count = -1;
            }
            if is_void || seen.voided()? {
                rollup.max = None;
                rollup.latest = None;
            }
            summary.add(&seen.dimensions()?, rollup)
        },
    )
    .await
}
