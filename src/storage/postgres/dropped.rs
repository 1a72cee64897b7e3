//! What counters keep of events that are no longer stored.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::account::counters;
use super::columns::indexed;
use super::names::Names;
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::window::TimeRange;
use crate::storage::columns::{json, part_column, read_labels, read_time};
use crate::storage::{CounterRow, StoreError, Use};

/// The columns of an event that was dropped, in the order in which [`keep`] takes them.
pub(super) const COLUMNS: &str = "customer_id, meter, count_time, weighted, subaccount, dimensions";

/// A fixed counter that dropped events may have been part of.
struct Target {
    row: CounterRow,
    /// What it keeps of dropped events.
    sum: i128,
    has_changed: bool,
}

impl Target {
    fn add(&mut self, event: &PgRow) -> Result<(), StoreError> {
        let row = &self.row;
        let (meter, part): (&str, Option<&str>) = (event.try_get(1)?, event.try_get(4)?);
        let at = read_time("events", event.try_get(2)?)?;
        let range = TimeRange {
            start: row.start,
            end: row.end,
        };
        let own = row.subaccount.as_ref().map(SubaccountId::as_str);
        let filter = &row.spec.filter;
        if range.contains(at)
            && row.spec.meter.as_str() == meter
            && (own.is_none() || own == part)
            && (filter.0.is_empty() || filter.accepts(&read_labels("events", event.try_get(5)?)?))
        {
            self.sum += i128::from(event.try_get::<i64, _>(3)?);
            self.has_changed = true;
        }
        Ok(())
    }

    /// Returns what is to be kept. It is a part of a sum that fits; what leaves 64 bits was not within it.
    fn kept(&self) -> i64 {
        let bound = if self.sum < 0 { i64::MIN } else { i64::MAX };
        i64::try_from(self.sum).unwrap_or(bound)
    }
}

/// Adds dropped events to what the fixed counters of their customers, which are locked, keep of such.
pub(super) async fn keep(
    conn: &mut PgConnection,
    names: &Names,
    customers: &BTreeSet<CustomerId>,
    gone: &[PgRow],
) -> Result<(), StoreError> {
    let ids: Vec<&str> = customers.iter().map(CustomerId::as_str).collect();
    let mut targets: BTreeMap<String, Vec<Target>> = BTreeMap::new();
    for (id, (row, dropped)) in counters(conn, names, &ids, None).await? {
        if matches!(row.used, Use::Fixed(_)) {
            targets.entry(id).or_default().push(Target {
                row,
                sum: i128::from(dropped.0),
                has_changed: false,
            });
        }
    }
    for event in gone {
        let targets = targets.get_mut(event.try_get::<&str, _>(0)?);
        for target in targets.into_iter().flatten() {
            target.add(event)?;
        }
    }
    let changed = targets.iter().flat_map(|(id, targets)| {
        let changed = targets.iter().filter(|target| target.has_changed);
        changed.map(move |target| (id.as_str(), target))
    });
    write(conn, &changed.collect::<Vec<_>>()).await
}

async fn write(conn: &mut PgConnection, rows: &[(&str, &Target)]) -> Result<(), StoreError> {
    let texts: Vec<String> = rows.iter().map(|(_, one)| json(&*one.row.spec)).collect();
    let parts = rows.iter().map(|(_, one)| one.row.subaccount.as_ref());
    let starts = rows.iter().map(|(_, one)| one.row.start.as_micros());
    sqlx::query(
        "UPDATE counters c SET dropped = w.dropped
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[])
             AS w (customer_id, subaccount, spec, start_time, dropped)
         WHERE c.customer_id = w.customer_id AND c.subaccount = w.subaccount AND c.spec = w.spec
           AND c.start_time = w.start_time",
    )
    .bind(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(parts.map(part_column).collect::<Vec<_>>())
    .bind(texts.iter().map(|text| indexed(text).0).collect::<Vec<_>>())
    .bind(starts.collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, one)| one.kept()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}
