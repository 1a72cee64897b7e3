//! Storing events: each key once, duplicates found by the key of the table itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection};

use super::columns::{IdColumn, corrupt, json, kind_column, labels_column};
use super::names::{Numbers, Reading};
use super::scan::Lookup;
use super::segments::Noted;
use crate::domain::id::{MeterId, ReservationId, SubaccountId};
use crate::failpoint;
use crate::storage::columns::STATED;
use crate::storage::{CustomerNo, Duplicate, EventRow, StoreError};

const INSERT: &str =
    "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT DO NOTHING";
/// What the injected defect does instead: it forgets what was stored.
const INSERT_BLINDLY: &str = "INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

/// Where a plain event of the batch stands, in the order of the table's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<'a> {
    id: IdColumn<'a>,
    customer: CustomerNo,
    kind: i64,
    chunk: usize,
    index: usize,
}

/// The plain events of a batch that were inserted.
pub(super) struct Inserted<'a> {
    plain: &'a [Arc<Vec<EventRow>>],
    fresh: Vec<Entry<'a>>,
    repeated: Vec<Entry<'a>>,
}

/// The keys that the injected defect goes by: they are lost with the process.
#[derive(Default)]
pub(super) struct ForgetfulKeys(HashSet<(Vec<u8>, CustomerNo, i64)>);

/// Writes events into their table.
struct EventInsert<'a> {
    statement: CachedStatement<'a>,
    labels: Vec<u8>,
    /// The meter of the row before: events mostly come in runs of one.
    meter: Option<(MeterId, i64)>,
}

impl<'a> EventInsert<'a> {
    fn new(conn: &'a Connection, sql: &str) -> Result<Self, StoreError> {
        Ok(Self {
            statement: conn.prepare_cached(sql)?,
            labels: Vec::with_capacity(256),
            meter: None,
        })
    }

    /// Inserts one row; false when its key is already stored.
    fn insert(
        &mut self,
        conn: &Connection,
        numbers: &mut Numbers,
        id: IdColumn<'_>,
        row: &EventRow,
    ) -> Result<bool, StoreError> {
        let meter_no = match &self.meter {
            Some((meter, no)) if *meter == row.event.meter_id => *no,
            Some(_) | None => {
                let no = numbers.meter(conn, &row.event.meter_id)?;
                self.meter = Some((row.event.meter_id.clone(), no));
                no
            }
        };
        let stated = if row.event.event_time.is_some() {
            STATED
        } else {
            0
        };
        let apart = |time: crate::domain::time::Timestamp| {
            (time != row.count_time).then_some(time.as_micros())
        };
        let statement = &mut self.statement;
        statement.raw_bind_parameter(1, id)?;
        statement.raw_bind_parameter(2, row.customer)?;
        statement.raw_bind_parameter(3, kind_column(row.kind))?;
        statement.raw_bind_parameter(4, meter_no)?;
        statement.raw_bind_parameter(5, row.event.quantity)?;
        statement.raw_bind_parameter(6, row.weighted.0)?;
        statement.raw_bind_parameter(7, row.count_time.as_micros())?;
        statement.raw_bind_parameter(8, apart(row.event_time))?;
        statement.raw_bind_parameter(9, apart(row.record_time))?;
        statement.raw_bind_parameter(10, row.flags.bits() | stated)?;
        let subaccount = row.event.subaccount_id.as_ref();
        statement.raw_bind_parameter(11, subaccount.map(SubaccountId::as_str))?;
        statement.raw_bind_parameter(12, labels_column(&row.event.dimensions, &mut self.labels))?;
        statement.raw_bind_parameter(13, labels_column(&row.event.metadata, &mut self.labels))?;
        let reservation = row.event.reservation_id.as_ref();
        statement.raw_bind_parameter(14, reservation.map(ReservationId::as_str))?;
        statement.raw_bind_parameter(15, row.charge.as_deref().map(json))?;
        Ok(statement.raw_execute()? > 0)
    }
}

/// Inserts the plain events that are new.
pub(super) fn insert_plain<'a>(
    conn: &Connection,
    numbers: &mut Numbers,
    forgetful: &mut ForgetfulKeys,
    plain: &'a [Arc<Vec<EventRow>>],
) -> Result<Inserted<'a>, StoreError> {
    let total = plain.iter().map(|chunk| chunk.len()).sum();
    let mut entries = Vec::with_capacity(total);
    for (chunk, rows) in plain.iter().enumerate() {
        entries.extend(rows.iter().enumerate().map(|(index, row)| Entry {
            id: IdColumn::of(&row.event.event_id),
            customer: row.customer,
            kind: kind_column(row.kind),
            chunk,
            index,
        }));
    }
    // In key order each page of the table is visited once; of equal keys the first to arrive comes first.
    entries.sort_unstable();
    let blindly = failpoint::fault("dedupe_outside_transaction");
    let mut insert = EventInsert::new(conn, if blindly { INSERT_BLINDLY } else { INSERT })?;
    let mut repeated = Vec::new();
    let mut failure = None;
    entries.retain(|entry| {
        if failure.is_some() {
            return false;
        }
        let known = blindly
            && !forgetful
                .0
                .insert((entry.id.as_bytes().to_vec(), entry.customer, entry.kind));
        let row = &plain[entry.chunk][entry.index];
        match if known {
            Ok(false)
        } else {
            insert.insert(conn, numbers, entry.id, row)
        } {
            Ok(true) => return true,
            Ok(false) => repeated.push(*entry),
            Err(error) => failure = Some(error),
        }
        false
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(Inserted {
            plain,
            fresh: entries,
            repeated,
        }),
    }
}

impl<'a> Inserted<'a> {
    /// Reads what is stored under the keys that were not new, in order of arrival.
    pub(super) fn duplicates(&self, reading: Reading<'_>) -> Result<Vec<Duplicate>, StoreError> {
        let mut repeated = self.repeated.clone();
        repeated.sort_unstable_by_key(|entry| (entry.chunk, entry.index));
        let mut lookup = Lookup::new(reading)?;
        repeated
            .into_iter()
            .map(|entry| {
                let row = &self.plain[entry.chunk][entry.index];
                let stored = lookup.event(row.customer, entry.id, row.kind, |seen| {
                    seen.decode(reading, row.customer, &row.event.customer_id)
                })?;
                Ok(Duplicate {
                    chunk: entry.chunk,
                    index: entry.index,
                    stored: stored
                        .ok_or_else(|| corrupt("events", "a key that conflicts with nothing"))?,
                })
            })
            .collect()
    }

    /// Shows the inserted events of one customer.
    pub(super) fn of_customer(&self, customer: CustomerNo) -> impl Iterator<Item = &'a EventRow> {
        self.fresh
            .iter()
            .filter(move |entry| entry.customer == customer)
            .map(|entry| &self.plain[entry.chunk][entry.index])
    }

    /// Takes out again what the decision refused.
    pub(super) fn take_out(
        &mut self,
        conn: &Connection,
        refused: &[(usize, usize)],
    ) -> Result<(), StoreError> {
        if refused.is_empty() {
            return Ok(());
        }
        let exists = |(chunk, index): &(usize, usize)| {
            self.plain
                .get(*chunk)
                .is_some_and(|rows| *index < rows.len())
        };
        if !refused.iter().all(exists) {
            return Err(StoreError::Constraint(
                "a refused event is not in the batch".to_owned(),
            ));
        }
        let refused: HashSet<(usize, usize)> = refused.iter().copied().collect();
        let mut delete = conn.prepare_cached(
            "DELETE FROM events WHERE event_id = ?1 AND customer_no = ?2 AND kind = ?3",
        )?;
        for entry in &self.fresh {
            if refused.contains(&(entry.chunk, entry.index)) {
                delete.execute((entry.id, entry.customer, entry.kind))?;
            }
        }
        self.fresh
            .retain(|entry| !refused.contains(&(entry.chunk, entry.index)));
        Ok(())
    }

    /// Returns the inserted events in key order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (IdColumn<'a>, &'a EventRow)> {
        self.fresh
            .iter()
            .map(|entry| (entry.id, &self.plain[entry.chunk][entry.index]))
    }
}

/// Inserts events that the decision knows to be new.
pub(super) fn insert_decided(
    conn: &Connection,
    numbers: &mut Numbers,
    events: &[EventRow],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut insert = EventInsert::new(conn, INSERT)?;
    for row in events {
        if !insert.insert(conn, numbers, IdColumn::of(&row.event.event_id), row)? {
            return Err(StoreError::Constraint(format!(
                "event {} is already stored",
                row.event.event_id
            )));
        }
    }
    Ok(())
}

/// Returns how the events are to be noted in the current segment.
pub(super) fn noted<'a>(inserted: &Inserted<'a>, decided: &'a [EventRow]) -> Vec<Noted<'a>> {
    let decided = decided
        .iter()
        .map(|row| (IdColumn::of(&row.event.event_id), row));
    inserted
        .rows()
        .chain(decided)
        .map(|(id, row)| Noted {
            customer: row.customer,
            id,
            kind: row.kind,
            count_time: row.count_time,
        })
        .collect()
}

/// Groups events by customer, for reads that concern a few of them.
pub(super) fn by_customer<'a>(
    inserted: &Inserted<'a>,
    customers: &HashSet<CustomerNo>,
) -> HashMap<CustomerNo, Vec<&'a EventRow>> {
    customers
        .iter()
        .map(|customer| (*customer, inserted.of_customer(*customer).collect()))
        .collect()
}
