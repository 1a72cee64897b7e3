//! Reads the database itself, past all replicas, as of one instant.

mod books;

use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::{EventColumns, Result, meter, place_of, take_chunk, unpack};
use crate::checker::{Stored, StoredCounter};
use crate::world::customer_no;

/// Set in `flags` of an event whose sender stated when it happened.
const STATED: i16 = 4;

/// Reads everything that the checker compares.
pub fn read(url: &str) -> Result<Stored> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut conn = begin(url).await?;
        let mut stored = Stored::default();
        events(&mut conn, &mut stored).await?;
        noted(&mut conn, &mut stored).await?;
        counters(&mut conn, &mut stored).await?;
        totals(&mut conn, &mut stored).await?;
        reservations(&mut conn, &mut stored).await?;
        seats(&mut conn, &mut stored).await?;
        books::read(&mut conn, &mut stored).await?;
        chunks(&mut conn, &mut stored).await?;
        stored.strange.extend(chain(&mut conn).await?);
        conn.close().await?;
        Ok(stored)
    })
}

/// Connects; all that is read shows the same instant.
pub async fn begin(url: &str) -> Result<PgConnection> {
    let mut conn = PgConnection::connect(url).await?;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut conn)
        .await?;
    Ok(conn)
}

async fn all(conn: &mut PgConnection, sql: &'static str) -> Result<Vec<PgRow>> {
    Ok(sqlx::query(sql).fetch_all(conn).await?)
}

async fn events(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(
        conn,
        "SELECT event_id, customer_id, meter, kind::int8, quantity, weighted, count_time, event_time, flags,
                dimensions, reservation, subaccount, charge FROM events",
    )
    .await?;
    for row in rows {
        let flags: i16 = row.try_get(8)?;
        let columns = EventColumns {
            id: row.try_get(0)?,
            customer: row.try_get(1)?,
            meter: row.try_get(2)?,
            kind: row.try_get(3)?,
            quantity: row.try_get(4)?,
            weighted: row.try_get(5)?,
            count_time: row.try_get(6)?,
            event_time: row.try_get(7)?,
            is_stated: flags & STATED != 0,
            dimensions: row.try_get(9)?,
            reservation: row.try_get(10)?,
            part: row.try_get(11)?,
            charge: row.try_get(12)?,
        };
        columns.take(stored);
    }
    Ok(())
}

/// Reads the keys of events, which lead to their rows: by day and count time, which must be those of the row.
async fn noted(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(
        conn,
        "SELECT k.event_id, k.customer_id, k.kind::int8, e.event_id IS NULL FROM event_keys k
         LEFT JOIN events e ON e.day = k.day AND e.customer_id = k.customer_id AND e.count_time = k.count_time
             AND e.event_id = k.event_id AND e.kind = k.kind",
    )
    .await?;
    for row in rows {
        let (id, customer): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (kind, is_astray): (i64, bool) = (row.try_get(2)?, row.try_get(3)?);
        match (customer_no(&customer), kind, is_astray) {
            (Some(customer), 0, false) => {
                *stored.noted.entry((customer, id)).or_default() += 1;
            }
            (Some(customer), 1, false) => {
                *stored.noted_voids.entry((customer, id)).or_default() += 1;
            }
            _ => stored.strange.push(format!(
                "the key of event {id} of {customer}, kind {kind}, leads nowhere: {is_astray}"
            )),
        }
    }
    Ok(())
}

async fn chunks(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(conn, "SELECT id, customer, state, body FROM chunks").await?;
    for row in rows {
        let customer: Option<String> = row.try_get(1)?;
        let body: String = row.try_get(3)?;
        take_chunk(stored, row.try_get(0)?, (customer, row.try_get(2)?), &body)?;
    }
    Ok(())
}

async fn counters(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(
        conn,
        "SELECT customer_id, subaccount, coalesce(long_spec, spec), start_time, used, reserved, ring FROM counters",
    )
    .await?;
    for row in rows {
        let (customer, subaccount): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let spec: String = row.try_get(2)?;
        let known = (customer_no(&customer), place_of(&spec), subaccount.as_str());
        let (Some(customer), Some(place), "") = known else {
            let text = format!("a counter of {customer}, subaccount {subaccount:?}, {spec}");
            stored.strange.push(text);
            continue;
        };
        let ring: Option<Vec<u8>> = row.try_get(6)?;
        let counter = StoredCounter {
            used: row.try_get(4)?,
            reserved: row.try_get(5)?,
            ring: ring.map_or_else(|| Ok([].into()), |bytes| unpack(&bytes))?,
        };
        stored
            .counters
            .insert((customer, place, row.try_get(3)?), counter);
    }
    Ok(())
}

async fn totals(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(
        conn,
        "SELECT customer_id, meter, sum(count)::int8, sum(sum)::int8 FROM rollups GROUP BY 1, 2",
    )
    .await?;
    for row in rows {
        let (customer, meter_id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match (customer_no(&customer), meter(&meter_id)) {
            (Some(customer), Some(meter)) => {
                let total = (row.try_get(2)?, row.try_get(3)?);
                stored.totals.insert((customer, meter), total);
            }
            _ => stored
                .strange
                .push(format!("a total of {customer}, {meter_id}")),
        }
    }
    Ok(())
}

async fn reservations(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(
        conn,
        "SELECT customer_id, id, state::int8 FROM reservations",
    )
    .await?;
    for row in rows {
        let (customer, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match (customer_no(&customer), super::state(row.try_get(2)?)) {
            (Some(customer), Some(state)) => {
                stored.reservations.insert(id, (customer, state));
            }
            _ => stored
                .strange
                .push(format!("reservation {id} of {customer}")),
        }
    }
    Ok(())
}

async fn seats(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let rows = all(conn, "SELECT customer_id, feature, id FROM allocations").await?;
    for row in rows {
        let (customer, feature): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let id: String = row.try_get(2)?;
        match (customer_no(&customer), feature.as_str()) {
            (Some(customer), "seats") => {
                stored.seats.insert((customer, id));
            }
            _ => stored
                .strange
                .push(format!("allocation {id} of {customer}, {feature}")),
        }
    }
    Ok(())
}

/// What is wrong with the marks of batches: each committer's numbers must be dense, and none beyond what the committer
/// itself has noted: who was fenced had noted its last.
pub async fn chain(conn: &mut PgConnection) -> Result<Vec<String>> {
    let rows = all(
        conn,
        "SELECT b.epoch, b.committer::int8, min(b.number), max(b.number), count(*), max(c.number), max(c.fenced::int)
         FROM batches b LEFT JOIN committers c ON c.epoch = b.epoch AND c.committer = b.committer
         GROUP BY b.epoch, b.committer",
    )
    .await?;
    let mut wrong = Vec::new();
    for row in rows {
        let (epoch, committer): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (first, last): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let count: i64 = row.try_get(4)?;
        let noted: Option<i64> = row.try_get(5)?;
        let is_fenced: Option<i32> = row.try_get(6)?;
        if last - first + 1 != count {
            wrong.push(format!(
                "epoch {epoch}, committer {committer}: {count} batches from {first} to {last}"
            ));
        }
        if noted.is_none_or(|noted| noted < last) {
            wrong.push(format!(
                "epoch {epoch}, committer {committer} (fenced: {is_fenced:?}): batch {last} stands, it has noted {noted:?}"
            ));
        }
    }
    Ok(wrong)
}
