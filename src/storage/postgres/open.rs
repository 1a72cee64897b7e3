//! Opening a database: connections, schema, settings, epoch.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::{Opened, archive, migrate};
use crate::domain::time::{Span, Timestamp};
use crate::storage::StoreError;

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the connections are called in the server's own lists.
    pub application_name: String,
    /// Connections that write at the same time; at least 1.
    pub writers: u32,
    /// Connections that load customers at the same time, and as many again for reports; at least 1.
    pub readers: u32,
    /// How long the server works on one statement.
    pub statement_timeout: Span,
    /// How long the server waits for a lock.
    pub lock_timeout: Span,
    /// How long the server keeps a transaction in which nothing happens, and so its locks.
    pub idle_timeout: Span,
    /// How long this process waits for a connection, to be made or to be free.
    pub connect_timeout: Span,
    /// How long this process waits for the server, which may be cut off: for one read, and for each half of a commit.
    pub answer_timeout: Span,
    /// How long others wait for a sign of life of this process before they end its epochs.
    pub lease: Span,
    /// Whether to run although what is acknowledged may be lost in a power cut.
    pub allow_weak_durability: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            application_name: String::from("bursar"),
            writers: 4,
            readers: 4,
            statement_timeout: Span::from_secs(15),
            lock_timeout: Span::from_secs(5),
            idle_timeout: Span::from_secs(15),
            connect_timeout: Span::from_secs(1),
            answer_timeout: Span::from_secs(16),
            lease: Span::from_secs(5),
            allow_weak_durability: false,
        }
    }
}

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
            ("client_min_messages", "warning".to_owned()),
            ("statement_timeout", millis(options.statement_timeout)),
            ("lock_timeout", millis(options.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                millis(options.idle_timeout),
            ),
        ]))
}

/// Makes a pool; connections are opened when they are first needed. Those that are tested cost a round trip for each
/// call; who does without finds a dead connection by its first statement and tries again. `patience`: so many times as
/// long as for one that only has to be made is waited for a connection.
pub(super) fn pool(
    connecting: &PgConnectOptions,
    options: &Options,
    (connections, patience): (u32, u32),
    are_tested: bool,
) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(duration(options.connect_timeout) * patience)
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
    check(conn, options).await?;
    migrate::run(conn, migrate::MIGRATIONS).await?;
    let incarnation: String = sqlx::query_scalar("SELECT incarnation FROM store")
        .fetch_one(conn)
        .await?;
    archive::refuse_unfinished(&incarnation)?;
    Ok(Opened { incarnation })
}

/// What money a database deals in: its mark, or the sandbox when that did something.
const MONEY: &str = "SELECT coalesce(
    (SELECT state FROM billing WHERE kind = 'account' AND id = 'mode'),
    (SELECT 'sandbox' FROM billing WHERE kind = 'sandbox' LIMIT 1),
    '')";

/// What a database is, seen without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The server's version, as it says it.
    pub version: String,
    /// Whether this version can be worked with.
    pub is_known: bool,
    /// Settings under which what is acknowledged may be lost in a power cut; empty: none.
    pub weak: String,
    /// Whether it can only be read: it is a standby, or set so.
    pub is_read_only: bool,
    /// The database's own time.
    pub now: Timestamp,
    /// How long it took to ask for the time.
    pub round_trip: Duration,
    /// What money it deals in, as its mark says; empty: in none so far.
    pub money: String,
}

/// Looks at a database and changes nothing. `elapsed` tells how long ago something was.
pub(super) async fn look(
    connecting: &PgConnectOptions,
    elapsed: impl Fn() -> Duration,
) -> Result<Seen, StoreError> {
    let mut conn = PgConnection::connect_with(connecting).await?;
    let version: String = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut conn)
        .await?;
    let weak = weak(&mut conn).await?.unwrap_or_default();
    let is_read_only: bool = sqlx::query_scalar(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'",
    )
    .fetch_one(&mut conn)
    .await?;
    // The first of a kind is prepared.
    super::now(&mut conn).await?;
    let before = elapsed();
    let now = super::now(&mut conn).await?;
    let round_trip = elapsed().saturating_sub(before);
    let is_known = version_number(&mut conn).await? >= VERSION_MIN;
    // One that no server used has no such table.
    let money = sqlx::query_scalar(MONEY).fetch_one(&mut conn).await;
    let money = money.unwrap_or_default();
    conn.close().await?;
    Ok(Seen {
        version,
        is_known,
        weak,
        is_read_only,
        now,
        round_trip,
        money,
    })
}

/// The oldest version that is worked with: 15.
const VERSION_MIN: i32 = 150_000;

async fn version_number(conn: &mut PgConnection) -> Result<i32, StoreError> {
    let number = sqlx::query_scalar("SELECT current_setting('server_version_num')::int4");
    Ok(number.fetch_one(conn).await?)
}

/// Returns the settings under which what is acknowledged may be lost; `None`: all are as they must be.
async fn weak(conn: &mut PgConnection) -> Result<Option<String>, StoreError> {
    let (fsync, pages, commit): (String, String, String) = sqlx::query_as(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'),
             current_setting('synchronous_commit')",
    )
    .fetch_one(conn)
    .await?;
    let is_strong = fsync == "on" && pages == "on" && matches!(&*commit, "on" | "remote_apply");
    let text = format!("fsync={fsync} full_page_writes={pages} synchronous_commit={commit}");
    Ok((!is_strong).then_some(text))
}

/// Refuses a server that is too old.
pub(super) async fn check_version(conn: &mut PgConnection) -> Result<(), StoreError> {
    let number = version_number(conn).await?;
    if number < VERSION_MIN {
        return Err(StoreError::Unavailable(format!(
            "the database is PostgreSQL {}; 15 or later is needed",
            number / 10_000
        )));
    }
    Ok(())
}

/// Refuses a server that is too old, and settings under which what is acknowledged may be lost.
async fn check(conn: &mut PgConnection, options: &Options) -> Result<(), StoreError> {
    check_version(conn).await?;
    match weak(conn).await? {
        Some(weak) if !options.allow_weak_durability => Err(StoreError::Unavailable(format!(
            "the database runs with {weak}; all of them must be on so that what is acknowledged is durable, unless \
             weak durability is allowed"
        ))),
        Some(_) | None => Ok(()),
    }
}
