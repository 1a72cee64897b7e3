//! Writing hourly rollups: adding, capping combinations, reading maxima again. The customers are locked, so that what
//! is read here holds until it is written.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, Row};

use super::columns::{first_day, indexed, labels};
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rollup::{COMBINATIONS_MAX, Rollup};
use crate::domain::time::{Span, Timestamp};
use crate::storage::columns::{OVERFLOW, part_column, read_time};
use crate::storage::{CustomerNo, RollupShift, StoreError};

/// Rows that one statement writes.
const ROWS_A_STATEMENT: usize = 1_000;

/// Names the rollups of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Hour<'a> {
    customer: &'a CustomerId,
    meter: &'a MeterId,
    start: Timestamp,
    part: &'a str,
}

/// One row that is to be changed or made.
struct Change<'a> {
    hour: Hour<'a>,
    /// The column `dimensions`, and the text where that is its hash.
    dimensions: String,
    long: Option<String>,
    add: Rollup,
    recount: bool,
}

/// A row whose maxima are read again.
type Recount<'a> = (Hour<'a>, String);
/// Hours with their combinations.
type Rows<'a> = HashMap<Hour<'a>, BTreeSet<String>>;

/// Adds to rollups.
pub(super) async fn write(
    conn: &mut PgConnection,
    customers: &BTreeMap<CustomerNo, CustomerId>,
    shifts: &[RollupShift],
) -> Result<(), StoreError> {
    let changes = merged(customers, shifts)?;
    if changes.is_empty() {
        return Ok(());
    }
    let missing = add(conn, &changes).await?;
    let changes = capped(conn, changes, &missing).await?;
    let mut recounts: Vec<Recount<'_>> = Vec::new();
    for change in &changes {
        if change.recount {
            recounts.push((change.hour, change.dimensions.clone()));
        }
    }
    recounts.sort_unstable();
    recounts.dedup();
    recount(conn, &recounts).await
}

/// Puts shifts of one row together, in order of arrival.
fn merged<'a>(
    customers: &'a BTreeMap<CustomerNo, CustomerId>,
    shifts: &'a [RollupShift],
) -> Result<Vec<Change<'a>>, StoreError> {
    let mut changes: Vec<Change<'a>> = Vec::with_capacity(shifts.len());
    let mut places: HashMap<(Hour<'a>, String), usize> = HashMap::with_capacity(shifts.len());
    for shift in shifts {
        let customer = customers.get(&shift.customer).ok_or_else(|| {
            StoreError::Constraint("a row names a customer number that was never given".to_owned())
        })?;
        let hour = Hour {
            customer,
            meter: &shift.meter,
            start: shift.hour,
            part: part_column(shift.subaccount.as_ref()),
        };
        let text = labels(&shift.dimensions).unwrap_or_default();
        let (dimensions, long) = match indexed(&text) {
            (Cow::Borrowed(_), _) => (text, None),
            (Cow::Owned(hash), _) => (hash, Some(text)),
        };
        if let Some(place) = places.get(&(hour, dimensions.clone())) {
            let change = &mut changes[*place];
            change.add = change.add.merge(shift.add).map_err(too_large)?;
            change.recount |= shift.recount;
            continue;
        }
        places.insert((hour, dimensions.clone()), changes.len());
        changes.push(Change {
            hour,
            dimensions,
            long,
            add: shift.add,
            recount: shift.recount,
        });
    }
    Ok(changes)
}

fn too_large(_: Overflow) -> StoreError {
    StoreError::Constraint("a rollup leaves the range of 64 bits".to_owned())
}

/// Adds to the rows that are there. Returns which are not, by position.
async fn add(conn: &mut PgConnection, changes: &[Change<'_>]) -> Result<Vec<usize>, StoreError> {
    let mut missing = Vec::new();
    for (chunk, changes) in changes.chunks(ROWS_A_STATEMENT).enumerate() {
        // The row is found by its key alone, whatever the planner expects of the others.
        let there: Vec<i64> = bind(
            "WITH w AS (
                 SELECT * FROM UNNEST($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::int8[],
                     $7::int8[], $8::int8[], $9::int8[], $10::int8[]) WITH ORDINALITY
                     AS w (customer_id, meter, hour, subaccount, dimensions, count, sum, max, latest_time, latest,
                         position)
             )
             UPDATE rollups r SET count = r.count + w.count, sum = r.sum + w.sum,
                 max = greatest(r.max, w.max),
                 latest = CASE WHEN w.latest IS NULL OR (r.latest_time, r.latest) >= (w.latest_time, w.latest)
                     THEN r.latest ELSE w.latest END,
                 latest_time = greatest(r.latest_time, w.latest_time)
             FROM w WHERE r.customer_id = w.customer_id AND r.meter = w.meter AND r.hour = w.hour
                 AND r.subaccount = w.subaccount AND r.dimensions = w.dimensions
             RETURNING w.position",
            changes,
        )
        .fetch_all(&mut *conn)
        .await?
        .into_iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
        let mut is_there = vec![false; changes.len()];
        for position in there {
            let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
            if let Some(there) = is_there.get_mut(index) {
                *there = true;
            }
        }
        let absent = is_there.iter().enumerate().filter(|(_, there)| !**there);
        missing.extend(absent.map(|(index, _)| chunk * ROWS_A_STATEMENT + index));
    }
    Ok(missing)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Binds the columns of changes, in the order of the table without `long_dimensions`.
fn bind<'q>(sql: &'static str, changes: &[Change<'_>]) -> Query<'q> {
    let numbers = |of: fn(&Rollup) -> Option<i64>| -> Vec<Option<i64>> {
        changes.iter().map(|change| of(&change.add)).collect()
    };
    let texts = |of: fn(&Change<'_>) -> String| -> Vec<String> { changes.iter().map(of).collect() };
    sqlx::query(sql)
        .bind(texts(|change| change.hour.customer.to_string()))
        .bind(texts(|change| change.hour.meter.to_string()))
        .bind(
            changes
                .iter()
                .map(|change| change.hour.start.as_micros())
                .collect::<Vec<_>>(),
        )
        .bind(texts(|change| change.hour.part.to_owned()))
        .bind(texts(|change| change.dimensions.clone()))
        .bind(numbers(|add| Some(add.count)))
        .bind(numbers(|add| Some(add.sum.0)))
        .bind(numbers(|add| add.max.map(|max| max.0)))
        .bind(numbers(|add| add.latest.map(|latest| latest.0.as_micros())))
        .bind(numbers(|add| add.latest.map(|latest| latest.1.0)))
}

/// Makes the rows that were missing, those of combinations beyond the cap put together in one row of their hour.
/// Returns all changes by the row that took them.
async fn capped<'a>(
    conn: &mut PgConnection,
    changes: Vec<Change<'a>>,
    missing: &[usize],
) -> Result<Vec<Change<'a>>, StoreError> {
    if missing.is_empty() {
        return Ok(changes);
    }
    let missing: BTreeSet<usize> = missing.iter().copied().collect();
    let with_labels = missing
        .iter()
        .filter(|index| !changes[**index].dimensions.is_empty());
    let hours: BTreeSet<Hour<'a>> = with_labels.map(|index| changes[*index].hour).collect();
    let mut counts = combinations(conn, &hours).await?;
    let mut made: BTreeMap<(Hour<'a>, String), Change<'a>> = BTreeMap::new();
    let mut all = Vec::with_capacity(changes.len());
    for (index, mut change) in changes.into_iter().enumerate() {
        if !missing.contains(&index) {
            all.push(change);
            continue;
        }
        if !change.dimensions.is_empty() {
            let count = counts.entry(change.hour).or_default();
            if *count >= COMBINATIONS_MAX {
                OVERFLOW.clone_into(&mut change.dimensions);
                change.long = None;
            } else {
                *count += 1;
            }
        }
        match made.entry((change.hour, change.dimensions.clone())) {
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let other = entry.get_mut();
                other.add = other.add.merge(change.add).map_err(too_large)?;
                other.recount |= change.recount;
            }
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(change)),
        }
    }
    let made: Vec<Change<'a>> = made.into_values().collect();
    for rows in made.chunks(ROWS_A_STATEMENT) {
        bind(
            "INSERT INTO rollups AS r (customer_id, meter, hour, subaccount, dimensions, count, sum, max, latest_time,
                 latest, long_dimensions)
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::int8[],
                 $8::int8[], $9::int8[], $10::int8[], $11::text[])
             ON CONFLICT (customer_id, meter, hour, subaccount, dimensions)
             DO UPDATE SET count = r.count + excluded.count, sum = r.sum + excluded.sum,
                 max = greatest(r.max, excluded.max),
                 latest = CASE WHEN excluded.latest IS NULL
                         OR (r.latest_time, r.latest) >= (excluded.latest_time, excluded.latest)
                     THEN r.latest ELSE excluded.latest END,
                 latest_time = greatest(r.latest_time, excluded.latest_time)",
            rows,
        )
        .bind(rows.iter().map(|row| row.long.clone()).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    all.extend(made);
    Ok(all)
}

/// Counts the combinations with dimensions that hours have.
async fn combinations<'a>(
    conn: &mut PgConnection,
    hours: &BTreeSet<Hour<'a>>,
) -> Result<HashMap<Hour<'a>, i64>, StoreError> {
    let hours: Vec<Hour<'a>> = hours.iter().copied().collect();
    let mut counts = HashMap::with_capacity(hours.len());
    for hours in hours.chunks(ROWS_A_STATEMENT) {
        let rows = bind_hours(
            "SELECT k.position, r.count
             FROM UNNEST($1::text[], $2::text[], $3::int8[], $4::text[]) WITH ORDINALITY
                 AS k (customer_id, meter, hour, subaccount, position)
             CROSS JOIN LATERAL (SELECT count(*) FROM rollups r WHERE r.customer_id = k.customer_id
                 AND r.meter = k.meter AND r.hour = k.hour AND r.subaccount = k.subaccount
                 AND r.dimensions NOT IN ('', '*')) r",
            hours,
        )
        .fetch_all(&mut *conn)
        .await?;
        for row in rows {
            let index = usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(usize::MAX);
            if let Some(hour) = hours.get(index) {
                counts.insert(*hour, row.try_get(1)?);
            }
        }
    }
    Ok(counts)
}

fn bind_hours<'q>(sql: &'static str, hours: &[Hour<'_>]) -> Query<'q> {
    let texts = |of: fn(&Hour<'_>) -> String| -> Vec<String> { hours.iter().map(of).collect() };
    sqlx::query(sql)
        .bind(texts(|hour| hour.customer.to_string()))
        .bind(texts(|hour| hour.meter.to_string()))
        .bind(
            hours
                .iter()
                .map(|hour| hour.start.as_micros())
                .collect::<Vec<_>>(),
        )
        .bind(texts(|hour| hour.part.to_owned()))
}

/// Reads the largest and the latest event of rows again.
async fn recount(conn: &mut PgConnection, recounts: &[Recount<'_>]) -> Result<(), StoreError> {
    if recounts.is_empty() {
        return Ok(());
    }
    let mut hours: Vec<Hour<'_>> = recounts.iter().map(|(hour, _)| *hour).collect();
    hours.dedup();
    let rows = dimensions_of(conn, &hours).await?;
    let mut found: HashMap<Recount<'_>, Rollup> = HashMap::new();
    for hour in &hours {
        let events: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT DISTINCT ON (dimensions) coalesce(e.dimensions, '') AS dimensions,
                 max(e.weighted) OVER (PARTITION BY e.dimensions), e.count_time, e.weighted
             FROM events e WHERE e.customer_id = $1 AND e.meter = $2 AND e.day >= $3
               AND e.count_time >= $4 AND e.count_time < $5 AND coalesce(e.subaccount, '') = $6 AND e.kind = 0
               AND NOT EXISTS (SELECT 1 FROM event_keys v WHERE v.event_id = e.event_id
                   AND v.customer_id = e.customer_id AND v.kind = 1)
             ORDER BY dimensions, e.count_time DESC, e.weighted DESC",
        )
        .bind(hour.customer.as_str())
        .bind(hour.meter.as_str())
        .bind(first_day(hour.start))
        .bind(hour.start.as_micros())
        .bind(hour.start.plus(Span::from_hours(1)).as_micros())
        .bind(hour.part)
        .fetch_all(&mut *conn)
        .await?;
        let known = rows.get(hour);
        for (dimensions, max, at, weighted) in events {
            let key = indexed(&dimensions).0.into_owned();
            let has_row = known.is_some_and(|known| known.contains(&key));
            let row = if has_row { key } else { OVERFLOW.to_owned() };
            let sums = found.entry((*hour, row)).or_default();
            let latest = (read_time("events", at)?, Milli(weighted));
            sums.max = sums.max.max(Some(Milli(max)));
            sums.latest = sums.latest.max(Some(latest));
        }
    }
    let changes: Vec<Change<'_>> = recounts
        .iter()
        .map(|recount| Change {
            hour: recount.0,
            dimensions: recount.1.clone(),
            long: None,
            add: found.get(recount).copied().unwrap_or_default(),
            recount: false,
        })
        .collect();
    for rows in changes.chunks(ROWS_A_STATEMENT) {
        bind(
            "UPDATE rollups r SET max = w.max, latest_time = w.latest_time, latest = w.latest
             FROM UNNEST($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::int8[],
                 $8::int8[], $9::int8[], $10::int8[])
                 AS w (customer_id, meter, hour, subaccount, dimensions, count, sum, max, latest_time, latest)
             WHERE r.customer_id = w.customer_id AND r.meter = w.meter AND r.hour = w.hour
                 AND r.subaccount = w.subaccount AND r.dimensions = w.dimensions",
            rows,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Reads which combinations hours have a row for.
async fn dimensions_of<'a>(
    conn: &mut PgConnection,
    hours: &[Hour<'a>],
) -> Result<Rows<'a>, StoreError> {
    let mut rows = Rows::new();
    for hours in hours.chunks(ROWS_A_STATEMENT) {
        let found = bind_hours(
            "SELECT k.position, r.dimensions
             FROM UNNEST($1::text[], $2::text[], $3::int8[], $4::text[]) WITH ORDINALITY
                 AS k (customer_id, meter, hour, subaccount, position)
             JOIN rollups r ON r.customer_id = k.customer_id AND r.meter = k.meter AND r.hour = k.hour
                 AND r.subaccount = k.subaccount",
            hours,
        )
        .fetch_all(&mut *conn)
        .await?;
        for row in found {
            let index = usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(usize::MAX);
            if let Some(hour) = hours.get(index) {
                rows.entry(*hour).or_default().insert(row.try_get(1)?);
            }
        }
    }
    Ok(rows)
}
