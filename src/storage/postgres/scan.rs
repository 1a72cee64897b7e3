//! Reading events: some by their keys, or a customer's by time.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio_stream::StreamExt as _;

use super::columns::first_day;
use crate::domain::catalog::Filter;
use crate::domain::id::{CustomerId, EventId, MeterId, ReservationId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Labels, UsageEvent};
use crate::domain::window::TimeRange;
use crate::storage::columns::{
    STATED, corrupt, kind_column, read_json, read_kind, read_labels, read_part, read_time,
};
use crate::storage::{CustomerNo, EventFlags, EventKind, EventRow, StoreError, StoredEvent};

/// The columns of an event `e`, in the order in which [`Seen`] knows them.
pub(super) const COLUMNS: &str =
    "e.event_id, e.kind, e.meter, e.quantity, e.weighted, e.count_time,
    e.event_time, e.record_time, e.flags, e.subaccount, e.dimensions, e.metadata, e.reservation,
    e.kind = 0 AND EXISTS (SELECT 1 FROM event_keys v WHERE v.event_id = e.event_id
        AND v.customer_id = e.customer_id AND v.kind = 1), e.charge";

/// Most keys that one statement looks up.
const KEYS_A_STATEMENT: usize = 1_000;

/// The key of an event with the id of its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    pub(super) event: &'a EventId,
    pub(super) customer: &'a CustomerId,
    pub(super) kind: EventKind,
}

impl<'a> Key<'a> {
    pub(super) fn of(row: &'a EventRow) -> Self {
        Self {
            event: &row.event.event_id,
            customer: &row.event.customer_id,
            kind: row.kind,
        }
    }

    pub(super) fn kind_column(self) -> i16 {
        i16::from(kind_column(self.kind) != 0)
    }
}

/// An event under the cursor: what folds need is cheap, the rest is decoded on demand.
pub(super) struct Seen(PgRow);

impl Seen {
    /// Takes a row that begins with [`COLUMNS`].
    pub(super) const fn new(row: PgRow) -> Self {
        Self(row)
    }

    pub(super) fn kind(&self) -> Result<EventKind, StoreError> {
        read_kind(i64::from(self.0.try_get::<i16, _>(1)?))
    }

    pub(super) fn meter(&self) -> Result<&str, StoreError> {
        Ok(self.0.try_get(2)?)
    }

    pub(super) fn weighted(&self) -> Result<Milli, StoreError> {
        Ok(Milli(self.0.try_get(4)?))
    }

    pub(super) fn count_time(&self) -> Result<Timestamp, StoreError> {
        read_time("events", self.0.try_get(5)?)
    }

    /// The subaccount's column; `None`: none.
    pub(super) fn part(&self) -> Result<Option<&str>, StoreError> {
        Ok(self.0.try_get(9)?)
    }

    pub(super) fn dimensions(&self) -> Result<Labels, StoreError> {
        read_labels("events", self.0.try_get(10)?)
    }

    /// Whether a void took it back.
    pub(super) fn voided(&self) -> Result<bool, StoreError> {
        Ok(self.0.try_get(13)?)
    }

    /// Whether a counter of its meter with this part and filter counts it.
    pub(super) fn counts_for(
        &self,
        part: Option<&SubaccountId>,
        filter: &Filter,
    ) -> Result<bool, StoreError> {
        Ok(
            (part.is_none() || self.part()? == part.map(SubaccountId::as_str))
                && (filter.0.is_empty() || filter.accepts(&self.dimensions()?)),
        )
    }

    /// Decodes all of it.
    pub(super) fn decode(
        &self,
        customer: CustomerNo,
        customer_id: &CustomerId,
    ) -> Result<StoredEvent, StoreError> {
        let row = &self.0;
        let flags = i64::from(row.try_get::<i16, _>(8)?);
        let count_time = self.count_time()?;
        let apart = |column: usize| -> Result<Timestamp, StoreError> {
            let stated: Option<i64> = row.try_get(column)?;
            stated.map_or(Ok(count_time), |micros| read_time("events", micros))
        };
        let event_time = apart(6)?;
        let reservation: Option<String> = row.try_get(12)?;
        let charge: Option<&str> = row.try_get(14)?;
        let event_id: String = row.try_get(0)?;
        let meter = MeterId::new(self.meter()?).map_err(|error| corrupt("events", error))?;
        Ok(StoredEvent {
            row: EventRow {
                customer,
                event: UsageEvent {
                    event_id: EventId::new(event_id).map_err(|error| corrupt("events", error))?,
                    customer_id: customer_id.clone(),
                    subaccount_id: read_part("events", self.part()?.unwrap_or(""))?,
                    meter_id: meter,
                    quantity: row.try_get(3)?,
                    event_time: (flags & STATED != 0).then_some(event_time),
                    dimensions: self.dimensions()?,
                    metadata: read_labels("events", row.try_get(11)?)?,
                    reservation_id: reservation
                        .map(ReservationId::new)
                        .transpose()
                        .map_err(|error| corrupt("events", error))?,
                },
                kind: self.kind()?,
                weighted: self.weighted()?,
                event_time,
                count_time,
                record_time: apart(7)?,
                flags: EventFlags::from_bits(flags),
                charge: charge.map(|text| read_json("events", text)).transpose()?,
            },
            voided: self.voided()?,
        })
    }
}

/// Looks up events by key and shows those that are stored, with the position of the key.
pub(super) async fn look_up(
    conn: &mut PgConnection,
    keys: &[Key<'_>],
    mut see: impl FnMut(usize, Seen) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // Each key leads to one row by an index, however the planner guesses at their number: LIMIT keeps the joins
    // what they are.
    let sql = format!(
        "SELECT {COLUMNS}, k.position
         FROM UNNEST($1::text[], $2::text[], $3::int2[]) WITH ORDINALITY
             AS k (event_id, customer_id, kind, position)
         CROSS JOIN LATERAL (SELECT p.day, p.count_time FROM event_keys p
             WHERE p.event_id = k.event_id AND p.customer_id = k.customer_id AND p.kind = k.kind LIMIT 1) p
         CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.day = p.day AND e.customer_id = k.customer_id
             AND e.count_time = p.count_time AND e.event_id = k.event_id AND e.kind = k.kind LIMIT 1) e"
    );
    for (chunk, keys) in keys.chunks(KEYS_A_STATEMENT).enumerate() {
        let events: Vec<&str> = keys.iter().map(|key| key.event.as_str()).collect();
        let customers: Vec<&str> = keys.iter().map(|key| key.customer.as_str()).collect();
        let kinds: Vec<i16> = keys.iter().map(|key| key.kind_column()).collect();
        let rows = sqlx::query(AssertSqlSafe(&*sql))
            .bind(events)
            .bind(customers)
            .bind(kinds)
            .fetch_all(&mut *conn)
            .await?;
        for row in rows {
            let position: i64 = row.try_get(15)?;
            let index = usize::try_from(position - 1).map_err(|error| corrupt("events", error))?;
            see(chunk * KEYS_A_STATEMENT + index, Seen(row))?;
        }
    }
    Ok(())
}

/// Looks up events by key, with the numbers of their customers.
pub(super) async fn find(
    conn: &mut PgConnection,
    keys: &[(Key<'_>, CustomerNo)],
) -> Result<Vec<Option<StoredEvent>>, StoreError> {
    let asked: Vec<Key<'_>> = keys.iter().map(|(key, _)| *key).collect();
    let mut found: HashMap<usize, StoredEvent> = HashMap::new();
    look_up(conn, &asked, |index, seen| {
        let (key, no) = &keys[index];
        found.insert(index, seen.decode(*no, key.customer)?);
        Ok(())
    })
    .await?;
    Ok((0..keys.len()).map(|index| found.remove(&index)).collect())
}

/// Shows a customer's events whose count time lies in a range, of one meter or of all, in no particular order.
pub(super) async fn visit(
    conn: &mut PgConnection,
    customer: &CustomerId,
    meter: Option<&MeterId>,
    range: TimeRange,
    mut see: impl FnMut(&Seen) -> Result<(), StoreError> + Send,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events e WHERE e.customer_id = $1 AND e.day >= $2
         AND e.count_time >= $3 AND e.count_time < $4 AND ($5::text IS NULL OR e.meter = $5)"
    );
    let mut rows = sqlx::query(AssertSqlSafe(&*sql))
        .bind(customer.as_str())
        .bind(first_day(range.start))
        .bind(range.start.as_micros())
        .bind(range.end.as_micros())
        .bind(meter.map(MeterId::as_str))
        .fetch(conn);
    while let Some(row) = rows.next().await {
        see(&Seen(row?))?;
    }
    Ok(())
}
