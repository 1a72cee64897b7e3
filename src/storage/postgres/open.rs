//! Opening a database: connections, schema, settings, epoch.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::{Opened, Options, migrate};
use crate::domain::time::Span;
use crate::storage::StoreError;

/// Returns how connections are made: with limits on everything that the server could wait for.
pub(super) fn connecting(url: &str, options: &Options) -> Result<PgConnectOptions, StoreError> {
    let millis = |span: Span| (span.as_micros() / 1000).to_string();
    let parsed = PgConnectOptions::from_str(url).map_err(|error| {
        StoreError::Unavailable(format!(
            "this is no address of a PostgreSQL database: {error}"
        ))
    })?;
    Ok(parsed
        .application_name(&options.application_name)
        .statement_cache_capacity(256)
        .options([
            ("statement_timeout", millis(options.statement_timeout)),
            ("lock_timeout", millis(options.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                millis(options.idle_timeout),
            ),
        ]))
}

/// Makes a pool; connections are opened when they are first needed. Those that are tested cost a round trip for each
/// call; who does without finds a dead connection by its first statement and tries again.
pub(super) fn pool(
    connecting: &PgConnectOptions,
    options: &Options,
    connections: u32,
    are_tested: bool,
) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(duration(options.answer_timeout))
        .test_before_acquire(are_tested)
        .connect_lazy_with(connecting.clone())
}

pub(super) fn duration(span: Span) -> Duration {
    Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or_default())
}

/// Brings the schema up to date, checks that what is acknowledged is durable, and notes the start of a process.
pub(super) async fn begin(
    connecting: &PgConnectOptions,
    options: &Options,
) -> Result<Opened, StoreError> {
    let mut conn = PgConnection::connect_with(connecting).await?;
    let opened = prepare(&mut conn, options).await;
    // Closed first of all, so that a lock which migrations took is given up.
    let closed = conn.close().await;
    let opened = opened?;
    closed?;
    Ok(opened)
}

async fn prepare(conn: &mut PgConnection, options: &Options) -> Result<Opened, StoreError> {
    durable(conn, options).await?;
    migrate::run(conn, migrate::MIGRATIONS).await?;
    let (epoch, incarnation) =
        sqlx::query_as("UPDATE store SET epoch = epoch + 1 RETURNING epoch, incarnation")
            .fetch_one(conn)
            .await?;
    Ok(Opened { epoch, incarnation })
}

/// Reads back the settings on which it depends that what is acknowledged is not lost.
async fn durable(conn: &mut PgConnection, options: &Options) -> Result<(), StoreError> {
    let (fsync, pages, commit): (String, String, String) = sqlx::query_as(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'),
             current_setting('synchronous_commit')",
    )
    .fetch_one(conn)
    .await?;
    let is_strong = fsync == "on" && pages == "on" && matches!(&*commit, "on" | "remote_apply");
    if !is_strong && !options.allow_weak_durability {
        return Err(StoreError::Unavailable(format!(
            "the database runs with fsync={fsync} full_page_writes={pages} synchronous_commit={commit}; all of them \
             must be on so that what is acknowledged is durable, unless weak durability is allowed"
        )));
    }
    Ok(())
}
