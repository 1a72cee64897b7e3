//! Reading a file in pieces.

use rusqlite::{Connection, Row};

use super::super::columns::{IdColumn, corrupt, kind_column};
use super::super::names::Reading;
use super::super::segments::unpack_key;
use super::rows::{ROLLUPS, Rows};
use crate::domain::id::CustomerId;
use crate::domain::window::TimeRange;
use crate::storage::archive::{
    self, ArchiveError, CustomerTotals, EventRecord, PIECE, Record, Scope, Sink, Table,
};
use crate::storage::{CustomerNo, EventKind, StoreError};

/// Reads an event by its key.
const EVENT: &str = "SELECT meter_no, quantity, weighted, count_time, event_time, record_time, flags, subaccount,
    dimensions, metadata, reservation, charge FROM events WHERE event_id = ?1 AND customer_no = ?2 AND kind = ?3";

/// Gathers records and passes them on.
struct Pieces<'a> {
    piece: Vec<Record>,
    sent: u64,
    sink: &'a mut dyn Sink,
}

impl Pieces<'_> {
    async fn push(&mut self, record: Record) -> Result<(), ArchiveError> {
        self.piece.push(record);
        if self.piece.len() == PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ArchiveError> {
        if !self.piece.is_empty() {
            self.sink.take(&self.piece).await?;
            self.sent += self.piece.len() as u64;
            self.piece.clear();
        }
        Ok(())
    }
}

/// Sends what is asked for.
pub(super) async fn send(
    reading: Reading<'_>,
    scope: &Scope,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let mut rows = Rows::new(reading);
    for table in &scope.tables {
        let mut pieces = Pieces {
            piece: Vec::with_capacity(PIECE),
            sent: 0,
            sink: &mut *sink,
        };
        match table {
            Table::Events => events(reading, scope, &mut pieces).await?,
            Table::Rollups => rollups(reading, scope, &mut rows, &mut pieces).await?,
            _ => plain(reading, *table, &mut rows, &mut pieces).await?,
        }
        pieces.flush().await?;
        let is_whole = scope.range == TimeRange::ALWAYS && scope.customer.is_none();
        if is_whole {
            complete(reading.conn, *table, pieces.sent)?;
        }
    }
    Ok(())
}

/// Refuses a table of which some rows belong to nobody, so that no copy could hold them.
fn complete(conn: &Connection, table: Table, sent: u64) -> Result<(), StoreError> {
    let name = table.name();
    let sql = format!("SELECT count(*) FROM {name}");
    let stored: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
    if u64::try_from(stored).ok() != Some(sent) {
        let detail = format!("{sent} of {stored} rows can be reached");
        return Err(corrupt(name, detail));
    }
    Ok(())
}

async fn plain(
    reading: Reading<'_>,
    table: Table,
    rows: &mut Rows<'_>,
    pieces: &mut Pieces<'_>,
) -> Result<(), ArchiveError> {
    let Some(sql) = Rows::statement(table) else {
        return Ok(());
    };
    let mut statement = reading.conn.prepare(sql).map_err(StoreError::from)?;
    let mut found = statement.query([]).map_err(StoreError::from)?;
    while let Some(row) = found.next().map_err(StoreError::from)? {
        pieces.push(rows.record(table, row)?).await?;
    }
    Ok(())
}

async fn rollups(
    reading: Reading<'_>,
    scope: &Scope,
    rows: &mut Rows<'_>,
    pieces: &mut Pieces<'_>,
) -> Result<(), ArchiveError> {
    let mut statement = reading.conn.prepare(ROLLUPS).map_err(StoreError::from)?;
    let (start, end) = scope.bounds();
    let asked = (start, end, scope.customer.as_ref().map(CustomerId::as_str));
    let mut found = statement.query(asked).map_err(StoreError::from)?;
    while let Some(row) = found.next().map_err(StoreError::from)? {
        pieces.push(rows.record(Table::Rollups, row)?).await?;
    }
    Ok(())
}

/// Sends events by segment, so that those of one time stay together.
async fn events(
    reading: Reading<'_>,
    scope: &Scope,
    pieces: &mut Pieces<'_>,
) -> Result<(), ArchiveError> {
    let mut only = None;
    if let Some(customer) = &scope.customer {
        only = reading.customer_no(customer)?;
        if only.is_none() {
            return Ok(());
        }
    }
    let (start, end) = scope.bounds();
    let segments: Vec<i64> = reading
        .conn
        .prepare("SELECT no FROM segments WHERE last_count >= ?1 AND first_count < ?2 ORDER BY no")
        .and_then(|mut statement| {
            statement
                .query_map((start, end), |row| row.get(0))?
                .collect()
        })
        .map_err(StoreError::from)?;
    let mut lookup = reading.conn.prepare(EVENT).map_err(StoreError::from)?;
    for segment in segments {
        for (no, keys) in parts(reading.conn, segment, only)? {
            let customer = reading.customer_id(no)?;
            let mut keys = &keys[..];
            while let Some((id, kind)) = unpack_key(&mut keys)? {
                let mut found = lookup
                    .query((id, no, kind_column(kind)))
                    .map_err(StoreError::from)?;
                let row = found.next().map_err(StoreError::from)?;
                let row =
                    row.ok_or_else(|| corrupt("segment_events", format!("no event {id:?}")))?;
                let record = event(reading, customer.as_str(), (id, kind), row)?;
                if (start..end).contains(&record.count_time) {
                    pieces.push(Record::Event(record)).await?;
                }
            }
        }
    }
    Ok(())
}

/// Returns the keys that a segment notes, by customer.
fn parts(
    conn: &Connection,
    segment: i64,
    only: Option<CustomerNo>,
) -> Result<Vec<(CustomerNo, Vec<u8>)>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT customer_no, keys FROM segment_events WHERE segment = ?1 AND (?2 IS NULL OR customer_no = ?2)
         ORDER BY customer_no, part",
    )?;
    let rows = statement.query_map((segment, only), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn event(
    reading: Reading<'_>,
    customer: &str,
    (id, kind): (IdColumn<'_>, EventKind),
    row: &Row<'_>,
) -> Result<EventRecord, StoreError> {
    Ok(EventRecord {
        customer: customer.to_owned(),
        id: id.to_id()?.into(),
        kind: kind_column(kind),
        meter: reading.meter(row.get(0)?)?.into(),
        quantity: row.get(1)?,
        weighted: row.get(2)?,
        count_time: row.get(3)?,
        event_time: row.get(4)?,
        record_time: row.get(5)?,
        flags: row.get(6)?,
        subaccount: row.get(7)?,
        dimensions: archive::json_or_none("events", row.get(8)?)?,
        metadata: archive::json_or_none("events", row.get(9)?)?,
        reservation: row.get(10)?,
        charge: archive::json_or_none("events", row.get(11)?)?,
    })
}

/// Adds up what customers have, by id. Sums are made of halves, since whole ones could leave 64 bits.
pub(super) fn totals(conn: &Connection, after: &str) -> Result<Vec<CustomerTotals>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT no, id FROM customers WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let limit = i64::try_from(PIECE).unwrap_or(i64::MAX);
    let mut rows = statement.query((after, limit))?;
    let mut totals = Vec::new();
    while let Some(row) = rows.next()? {
        let no: CustomerNo = row.get(0)?;
        totals.push(CustomerTotals {
            customer: row.get(1)?,
            used: sum(conn, no, "used", "counters")?,
            reserved: sum(conn, no, "reserved", "counters")?,
            events: sum(conn, no, "count", "rollups")?,
            weighted: sum(conn, no, "sum", "rollups")?,
            open: count(
                conn,
                no,
                "reservations INDEXED BY reservations_open",
                "state = 0",
            )?,
            allocations: count(conn, no, "allocations", "1")?,
            credits: sum(conn, no, "(amount - used - lapsed)", "grants")?,
            owed: sum(conn, no, "receivable", "wallets")?,
            holds: count(
                conn,
                no,
                "books INDEXED BY books_open",
                "kind = 2 AND state = 0",
            )?,
            transactions: transactions(conn, no)?,
        });
    }
    Ok(totals)
}

fn sum(conn: &Connection, no: CustomerNo, column: &str, table: &str) -> Result<i128, StoreError> {
    let sql = format!(
        "SELECT ifnull(sum({column} >> 32), 0), ifnull(sum({column} & 4294967295), 0)
         FROM {table} WHERE customer_no = ?1"
    );
    let (high, low): (i64, i64) = conn
        .prepare_cached(&sql)?
        .query_row([no], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((i128::from(high) << 32) + i128::from(low))
}

fn count(conn: &Connection, no: CustomerNo, table: &str, which: &str) -> Result<i64, StoreError> {
    let sql = format!("SELECT count(*) FROM {table} WHERE customer_no = ?1 AND {which}");
    Ok(conn
        .prepare_cached(&sql)?
        .query_row([no], |row| row.get(0))?)
}

/// Counts the transactions that the wallets of a customer find in the ledger.
fn transactions(conn: &Connection, no: CustomerNo) -> Result<i64, StoreError> {
    let sql =
        "SELECT ifnull(sum(json_extract(places, '$[0]')), 0) FROM wallets WHERE customer_no = ?1";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([no], |row| row.get(0))?)
}
