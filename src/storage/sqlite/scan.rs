//! Reading events: one by its key, or a customer's by time.

use rusqlite::{CachedStatement, Row};

use super::columns::{
    IdColumn, corrupt, kind_column, read_json, read_kind, read_labels, read_part, read_time,
};
use super::names::Reading;
use super::segments::unpack_key;
use crate::domain::catalog::Filter;
use crate::domain::id::{CustomerId, EventId, ReservationId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Labels, UsageEvent};
use crate::domain::window::TimeRange;
use crate::storage::columns::STATED;
use crate::storage::{CustomerNo, EventFlags, EventKind, EventRow, StoreError, StoredEvent};

/// Reads one event by its key; [`Seen`] knows the columns by position.
const BY_KEY: &str =
    "SELECT event_id, kind, meter_no, quantity, weighted, count_time, event_time, record_time,
    flags, subaccount, dimensions, metadata, reservation,
    kind = 0 AND EXISTS (SELECT 1 FROM events v
        WHERE v.event_id = e.event_id AND v.customer_no = e.customer_no AND v.kind = 1),
    charge FROM events e WHERE event_id = ?1 AND customer_no = ?2 AND kind = ?3";

/// An event under the cursor: what folds need is cheap, the rest is decoded on demand.
pub(super) struct Seen<'r, 's> {
    row: &'r Row<'s>,
}

impl Seen<'_, '_> {
    pub(super) fn kind(&self) -> Result<EventKind, StoreError> {
        read_kind(self.row.get(1)?)
    }

    pub(super) fn meter_no(&self) -> Result<i64, StoreError> {
        Ok(self.row.get(2)?)
    }

    pub(super) fn weighted(&self) -> Result<Milli, StoreError> {
        Ok(Milli(self.row.get(4)?))
    }

    pub(super) fn count_time(&self) -> Result<Timestamp, StoreError> {
        read_time("events", self.row.get(5)?)
    }

    pub(super) fn record_time(&self) -> Result<Timestamp, StoreError> {
        let stated: Option<i64> = self.row.get(7)?;
        stated.map_or_else(|| self.count_time(), |micros| read_time("events", micros))
    }

    /// The subaccount's column; `None`: none.
    pub(super) fn part(&self) -> Result<Option<&str>, StoreError> {
        let value = self.row.get_ref(9)?;
        value
            .as_str_or_null()
            .map_err(|error| corrupt("events", error))
    }

    pub(super) fn dimensions(&self) -> Result<Labels, StoreError> {
        let value = self.row.get_ref(10)?;
        read_labels(
            "events",
            value
                .as_str_or_null()
                .map_err(|error| corrupt("events", error))?,
        )
    }

    /// The column of the dimensions as it stands; empty: none.
    pub(super) fn dimensions_column(&self) -> Result<&str, StoreError> {
        let value = self.row.get_ref(10)?;
        Ok(value
            .as_str_or_null()
            .map_err(|error| corrupt("events", error))?
            .unwrap_or(""))
    }

    /// Whether a counter of this meter, part and filter counts it.
    pub(super) fn counts_for(
        &self,
        meter: i64,
        part: Option<&SubaccountId>,
        filter: &Filter,
    ) -> Result<bool, StoreError> {
        Ok(self.meter_no()? == meter
            && (part.is_none() || self.part()? == part.map(SubaccountId::as_str))
            && (filter.0.is_empty() || filter.accepts(&self.dimensions()?)))
    }

    /// The column of the reservation that it names.
    pub(super) fn reservation(&self) -> Result<Option<&str>, StoreError> {
        let value = self.row.get_ref(12)?;
        value
            .as_str_or_null()
            .map_err(|error| corrupt("events", error))
    }

    /// Whether a void took it back.
    pub(super) fn voided(&self) -> Result<bool, StoreError> {
        Ok(self.row.get(13)?)
    }

    pub(super) fn id(&self) -> Result<EventId, StoreError> {
        IdColumn::read(self.row.get_ref(0)?)?.to_id()
    }

    /// Decodes all of it.
    pub(super) fn decode(
        &self,
        reading: Reading<'_>,
        customer: CustomerNo,
        customer_id: &CustomerId,
    ) -> Result<StoredEvent, StoreError> {
        let flags: i64 = self.row.get(8)?;
        let count_time = self.count_time()?;
        let stated: Option<i64> = self.row.get(6)?;
        let event_time =
            stated.map_or(Ok(count_time), |micros: i64| read_time("events", micros))?;
        let metadata: Option<String> = self.row.get(11)?;
        let reservation: Option<String> = self.row.get(12)?;
        let charge: Option<String> = self.row.get(14)?;
        Ok(StoredEvent {
            row: EventRow {
                customer,
                event: UsageEvent {
                    event_id: self.id()?,
                    customer_id: customer_id.clone(),
                    subaccount_id: read_part("events", self.part()?.unwrap_or(""))?,
                    meter_id: reading.meter(self.meter_no()?)?,
                    quantity: self.row.get(3)?,
                    event_time: (flags & STATED != 0).then_some(event_time),
                    dimensions: self.dimensions()?,
                    metadata: read_labels("events", metadata.as_deref())?,
                    reservation_id: reservation
                        .map(ReservationId::new)
                        .transpose()
                        .map_err(|error| corrupt("events", error))?,
                },
                kind: self.kind()?,
                weighted: self.weighted()?,
                event_time,
                count_time,
                record_time: self.record_time()?,
                flags: EventFlags::from_bits(flags),
                charge: charge.map(|text| read_json("events", &text)).transpose()?,
            },
            voided: self.voided()?,
        })
    }
}

/// Looks up events by key.
pub(super) struct Lookup<'a> {
    statement: CachedStatement<'a>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(reading: Reading<'a>) -> Result<Self, StoreError> {
        Ok(Self {
            statement: reading.conn.prepare_cached(BY_KEY)?,
        })
    }

    /// Shows an event if it is stored.
    pub(super) fn event<T>(
        &mut self,
        customer: CustomerNo,
        id: IdColumn<'_>,
        kind: EventKind,
        see: impl FnOnce(&Seen<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut rows = self.statement.query((id, customer, kind_column(kind)))?;
        match rows.next()? {
            Some(row) => see(&Seen { row }).map(Some),
            None => Ok(None),
        }
    }
}

/// Returns the segments that may hold events of a range, latest first, with their latest count time.
pub(super) fn segments(
    reading: Reading<'_>,
    range: TimeRange,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT no, last_count FROM segments WHERE last_count >= ?1 AND first_count < ?2
         ORDER BY last_count DESC",
    )?;
    let rows = statement.query_map((range.start.as_micros(), range.end.as_micros()), |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Shows a customer's events in one segment.
pub(super) fn visit_segment(
    reading: Reading<'_>,
    lookup: &mut Lookup<'_>,
    segment: i64,
    customer: CustomerNo,
    see: &mut dyn FnMut(&Seen<'_, '_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT keys FROM segment_events WHERE segment = ?1 AND customer_no = ?2",
    )?;
    let mut rows = statement.query((segment, customer))?;
    while let Some(row) = rows.next()? {
        let mut keys = row
            .get_ref(0)?
            .as_blob()
            .map_err(|error| corrupt("segment_events", error))?;
        while let Some((id, kind)) = unpack_key(&mut keys)? {
            lookup
                .event(customer, id, kind, &mut *see)?
                .ok_or_else(|| corrupt("segment_events", format!("no event {id:?}")))?;
        }
    }
    Ok(())
}

/// Shows a customer's events whose count time lies in a range, in no particular order.
pub(super) fn visit(
    reading: Reading<'_>,
    customer: CustomerNo,
    range: TimeRange,
    see: &mut dyn FnMut(&Seen<'_, '_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut lookup = Lookup::new(reading)?;
    for (segment, _) in segments(reading, range)? {
        visit_segment(reading, &mut lookup, segment, customer, &mut |seen| {
            if range.contains(seen.count_time()?) {
                see(seen)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
