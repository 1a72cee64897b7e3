//! Reads the database file itself, while no server runs.

mod books;

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::{EventColumns, Result, meter, place_of, take_chunk, unpack};
use crate::checker::{Stored, StoredCounter};
use crate::world::customer_no;

/// Set in `flags` of an event whose sender stated when it happened.
const STATED: i64 = 4;

/// Reads everything that the checker compares.
pub fn read(path: &Path) -> Result<Stored> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut stored = Stored::default();
    integrity(&conn, &mut stored)?;
    events(&conn, &mut stored)?;
    noted(&conn, &mut stored)?;
    counters(&conn, &mut stored)?;
    totals(&conn, &mut stored)?;
    reservations(&conn, &mut stored)?;
    seats(&conn, &mut stored)?;
    books::read(&conn, &mut stored)?;
    chunks(&conn, &mut stored)?;
    Ok(stored)
}

fn integrity(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if said != "ok" {
        stored.strange.push(format!("the file is damaged: {said}"));
    }
    Ok(())
}

/// Returns an event id: a UUID is stored as its 16 bytes.
fn event_id(column: ValueRef<'_>) -> Result<String> {
    Ok(match column {
        ValueRef::Text(text) => std::str::from_utf8(text)?.to_owned(),
        ValueRef::Blob(bytes) => uuid::Uuid::from_slice(bytes)?.to_string(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => "of no type for ids".into(),
    })
}

fn events(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT event_id, customers.id, meters.id, kind, quantity, weighted, count_time, event_time, flags,
                dimensions, reservation, subaccount, charge
         FROM events LEFT JOIN customers ON customers.no = customer_no LEFT JOIN meters ON meters.no = meter_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, meter): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
        let flags: i64 = row.get(8)?;
        let columns = EventColumns {
            id: event_id(row.get_ref(0)?)?,
            customer: customer.unwrap_or_default(),
            meter: meter.unwrap_or_default(),
            kind: row.get(3)?,
            quantity: row.get(4)?,
            weighted: row.get(5)?,
            count_time: row.get(6)?,
            event_time: row.get(7)?,
            is_stated: flags & STATED != 0,
            dimensions: row.get(9)?,
            reservation: row.get(10)?,
            part: row.get(11)?,
            charge: row.get(12)?,
        };
        columns.take(stored);
    }
    Ok(())
}

/// Reads the index by time: for each event a head of kind and length (0: a UUID), then its id.
fn noted(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT customers.id, keys FROM segment_events JOIN customers ON customers.no = customer_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, keys): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let Some(customer) = customer_no(&customer) else {
            continue;
        };
        let mut rest = keys.as_slice();
        while let [kind, length, after @ ..] = rest {
            let noted = match kind {
                0 => &mut stored.noted,
                _ => &mut stored.noted_voids,
            };
            let length = if *length == 0 {
                16
            } else {
                usize::from(*length)
            };
            let (id, after) = after
                .split_at_checked(length)
                .ok_or("a key of the index ends early")?;
            let column = if rest[1] == 0 {
                ValueRef::Blob(id)
            } else {
                ValueRef::Text(id)
            };
            *noted.entry((customer, event_id(column)?)).or_default() += 1;
            rest = after;
        }
    }
    Ok(())
}

fn counters(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT customers.id, subaccount, spec, start, used, reserved, ring FROM counters
         LEFT JOIN customers ON customers.no = customer_no LEFT JOIN counter_specs ON counter_specs.no = spec_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, subaccount): (Option<String>, String) = (row.get(0)?, row.get(1)?);
        let spec: Option<String> = row.get(2)?;
        let known = customer.as_deref().and_then(customer_no);
        let place = spec.as_deref().and_then(place_of);
        let (Some(customer), Some(place), "") = (known, place, subaccount.as_str()) else {
            let text = format!("a counter of {customer:?}, subaccount {subaccount:?}, {spec:?}");
            stored.strange.push(text);
            continue;
        };
        let ring: Option<Vec<u8>> = row.get(6)?;
        let counter = StoredCounter {
            used: row.get(4)?,
            reserved: row.get(5)?,
            ring: ring.map_or_else(|| Ok([].into()), |bytes| unpack(&bytes))?,
        };
        stored
            .counters
            .insert((customer, place, row.get(3)?), counter);
    }
    Ok(())
}

fn totals(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT customers.id, meters.id, sum(count), sum(sum) FROM rollups
         LEFT JOIN customers ON customers.no = customer_no LEFT JOIN meters ON meters.no = meter_no
         GROUP BY customer_no, meter_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, meter_id): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        let known = customer.as_deref().and_then(customer_no);
        match (known, meter_id.as_deref().and_then(meter)) {
            (Some(customer), Some(meter)) => {
                let total = (row.get(2)?, row.get(3)?);
                stored.totals.insert((customer, meter), total);
            }
            _ => stored
                .strange
                .push(format!("a total of {customer:?}, {meter_id:?}")),
        }
    }
    Ok(())
}

fn reservations(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT customers.id, reservations.id, state FROM reservations
         LEFT JOIN customers ON customers.no = customer_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, id): (Option<String>, String) = (row.get(0)?, row.get(1)?);
        let state: i64 = row.get(2)?;
        let state = super::state(state);
        match (customer.as_deref().and_then(customer_no), state) {
            (Some(customer), Some(state)) => {
                stored.reservations.insert(id, (customer, state));
            }
            _ => stored
                .strange
                .push(format!("reservation {id} of {customer:?}")),
        }
    }
    Ok(())
}

fn chunks(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare("SELECT id, customer, state, body FROM chunks")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, body): (Option<String>, String) = (row.get(1)?, row.get(3)?);
        take_chunk(stored, row.get(0)?, (customer, row.get(2)?), &body)?;
    }
    Ok(())
}

fn seats(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT customers.id, feature, allocations.id FROM allocations
         LEFT JOIN customers ON customers.no = customer_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (customer, feature): (Option<String>, String) = (row.get(0)?, row.get(1)?);
        let id: String = row.get(2)?;
        match (customer.as_deref().and_then(customer_no), feature.as_str()) {
            (Some(customer), "seats") => {
                stored.seats.insert((customer, id));
            }
            _ => stored
                .strange
                .push(format!("allocation {id} of {customer:?}, {feature}")),
        }
    }
    Ok(())
}
