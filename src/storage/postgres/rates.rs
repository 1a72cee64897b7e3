//! Shares of rates: who is there, and who holds how much of what. One process looks and takes at a time.

use std::collections::HashMap;

use sqlx::{Connection as _, PgConnection};

use super::locks;
use crate::domain::id::{CustomerId, FeatureId};
use crate::domain::rate_share::Want;
use crate::domain::time::Span;
use crate::storage::columns::corrupt;
use crate::storage::{ClaimRates, RateClaims, RateKey, RateShare, RateTable, StoreError};

/// Lets a process look at who holds what, and writes down what it takes.
pub(super) async fn share(
    conn: &mut PgConnection,
    process: &str,
    lease: Span,
    claim: ClaimRates,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(locks::RATES)
        .execute(&mut *transaction)
        .await?;
    appear(&mut transaction, process, lease).await?;
    let table = read(&mut transaction, process).await?;
    let claims = claim(&table);
    write(&mut transaction, process, &claims).await?;
    transaction.commit().await?;
    Ok(())
}

/// Forgets a process that ends, so that others get its shares at once.
pub(super) async fn leave(conn: &mut PgConnection, process: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM processes WHERE process = $1")
        .bind(process)
        .execute(conn)
        .await?;
    Ok(())
}

/// Says that a process is there, and forgets those that were not heard of in time: their own clocks have told them that
/// their shares are over.
async fn appear(conn: &mut PgConnection, process: &str, lease: Span) -> Result<(), StoreError> {
    let now = super::now(conn).await?;
    sqlx::query("DELETE FROM processes WHERE alive_till < $1")
        .bind(now.as_micros())
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "DELETE FROM rate_shares s WHERE NOT EXISTS (SELECT FROM processes p WHERE p.process = s.process)",
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "INSERT INTO processes (process, parts, alive_till) VALUES ($1, 0, $2)
         ON CONFLICT (process) DO UPDATE SET alive_till = excluded.alive_till",
    )
    .bind(process)
    .bind(now.plus(lease).as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

async fn read(conn: &mut PgConnection, process: &str) -> Result<RateTable, StoreError> {
    let processes: Vec<(String, i32)> =
        sqlx::query_as("SELECT process, parts FROM processes ORDER BY process")
            .fetch_all(&mut *conn)
            .await?;
    let places: HashMap<&str, usize> = processes
        .iter()
        .enumerate()
        .map(|(place, (name, _))| (&**name, place))
        .collect();
    let own = places.get(process).copied();
    let own = own.ok_or_else(|| corrupt("processes", "the row that was just written is gone"))?;
    let rows: Vec<(String, String, String, i32, i32, i32)> = sqlx::query_as(
        "SELECT customer_id, feature, process, parts, want, least FROM rate_shares ORDER BY customer_id, feature",
    )
    .fetch_all(conn)
    .await?;
    let mut shares = Vec::with_capacity(rows.len());
    for (customer, feature, process, parts, want, least) in rows {
        let Some(process) = places.get(&*process).copied() else {
            continue;
        };
        let wrong = |error| corrupt("rate_shares", error);
        shares.push(RateShare {
            key: RateKey {
                customer: CustomerId::new(customer).map_err(wrong)?,
                feature: FeatureId::new(feature).map_err(wrong)?,
            },
            process,
            parts: parts.unsigned_abs(),
            want: Want {
                parts: want.unsigned_abs(),
                least: least.unsigned_abs(),
            },
        });
    }
    let defaults = processes
        .iter()
        .map(|(_, parts)| parts.unsigned_abs())
        .collect();
    Ok(RateTable {
        defaults,
        own,
        shares,
    })
}

async fn write(
    conn: &mut PgConnection,
    process: &str,
    claims: &RateClaims,
) -> Result<(), StoreError> {
    let column = |parts: u32| i32::try_from(parts).unwrap_or(i32::MAX);
    sqlx::query("UPDATE processes SET parts = $2 WHERE process = $1 AND parts <> $2")
        .bind(process)
        .bind(column(claims.default))
        .execute(&mut *conn)
        .await?;
    let of = |pick: fn(&RateKey) -> &str| {
        let shares = claims.shares.iter();
        shares.map(|(key, ..)| pick(key)).collect::<Vec<_>>()
    };
    let customers = of(|key| key.customer.as_str());
    let features = of(|key| key.feature.as_str());
    sqlx::query(
        "DELETE FROM rate_shares s WHERE process = $1 AND NOT EXISTS (
             SELECT FROM UNNEST($2::text[], $3::text[]) AS k (customer_id, feature)
             WHERE k.customer_id = s.customer_id AND k.feature = s.feature)",
    )
    .bind(process)
    .bind(&customers)
    .bind(&features)
    .execute(&mut *conn)
    .await?;
    if claims.shares.is_empty() {
        return Ok(());
    }
    let number = |pick: fn(&(RateKey, u32, Want)) -> u32| {
        let shares = claims.shares.iter();
        shares.map(|share| column(pick(share))).collect::<Vec<_>>()
    };
    sqlx::query(
        "INSERT INTO rate_shares (customer_id, feature, process, parts, want, least)
         SELECT c, f, $1, p, w, l
         FROM UNNEST($2::text[], $3::text[], $4::int4[], $5::int4[], $6::int4[]) AS n (c, f, p, w, l)
         ON CONFLICT (customer_id, feature, process)
         DO UPDATE SET parts = excluded.parts, want = excluded.want, least = excluded.least",
    )
    .bind(process)
    .bind(&customers)
    .bind(&features)
    .bind(number(|share| share.1))
    .bind(number(|share| share.2.parts))
    .bind(number(|share| share.2.least))
    .execute(conn)
    .await?;
    Ok(())
}
