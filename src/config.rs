//! What an operator can set: each a flag of `bursar serve` and a `BURSAR_*` variable.

mod stripe;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

pub use self::stripe::{BillingConfig, Secret, StripeAccess, price_variables};

/// Where a server keeps what it remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// In memory: it forgets everything at its end.
    Memory,
    /// In a file of SQLite.
    Sqlite(PathBuf),
    /// In a database of PostgreSQL, by its address.
    Postgres(String),
}

/// A database that is none of those there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a file, sqlite:FILE, memory:, or postgres://USER@HOST/NAME")]
pub struct UnknownDatabase;

impl FromStr for Database {
    type Err = UnknownDatabase;

    fn from_str(text: &str) -> Result<Self, UnknownDatabase> {
        // Where both kinds are named side by side, a file may be named like the other.
        if let Some(file) = text.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(file.into()));
        }
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            // A file may have a colon in its name.
            Some(("postgres" | "postgresql" | "memory", _)) => Err(UnknownDatabase),
            Some((_, rest)) if rest.starts_with("//") => Err(UnknownDatabase),
            _ => Ok(Self::Sqlite(text.into())),
        }
    }
}

/// As it is given, save that no password is shown.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(address) => f.write_str(&without_secrets(address)),
        }
    }
}

/// Returns an address without what stands between user and host, and without its parameters, which may say it too.
fn without_secrets(address: &str) -> String {
    let address = address.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else {
        return String::from("postgres:");
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => address.to_owned(),
    }
}

/// Settings of a server.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Config {
    /// Where gRPC is served. Port 0 takes a free one, which is printed.
    #[arg(
        long,
        env = "BURSAR_GRPC_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:50051"
    )]
    pub grpc_addr: SocketAddr,

    /// Where /healthz, /readyz and /metrics are served over HTTP.
    #[arg(
        long,
        env = "BURSAR_HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub http_addr: SocketAddr,

    /// The SQLite file, created when there is none; `postgres://USER@HOST/NAME`, which any number of servers may share;
    /// or `memory:`, which forgets everything at the end.
    #[arg(
        long,
        env = "BURSAR_DATABASE",
        hide_env_values = true,
        value_name = "DATABASE",
        default_value = "bursar.db"
    )]
    pub database: Database,

    /// The catalog that an empty database starts with. Default: a small embedded one.
    #[arg(long, env = "BURSAR_CATALOG", value_name = "FILE")]
    pub catalog: Option<PathBuf>,

    /// Serve on addresses that other machines reach, although nobody is asked for a key and nothing is encrypted.
    #[arg(long, env = "BURSAR_INSECURE")]
    pub insecure: bool,

    /// Start although the database's settings may lose acknowledged events in a power cut.
    #[arg(long, env = "BURSAR_ALLOW_WEAK_DURABILITY")]
    pub allow_weak_durability: bool,

    /// Threads that serve gRPC; 0: one for each core.
    #[arg(long, env = "BURSAR_THREADS", value_name = "COUNT", default_value_t = 0,
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    pub threads: usize,

    /// Customers kept in memory before idle ones are let go.
    #[arg(
        long,
        env = "BURSAR_MAX_MEMORY_CUSTOMERS",
        value_name = "COUNT",
        default_value_t = 1_000_000
    )]
    pub max_memory_customers: usize,

    /// Days that single events are kept; hourly totals stay.
    #[arg(long, env = "BURSAR_KEEP_EVENTS_DAYS", value_name = "DAYS", default_value_t = 400,
        value_parser = clap::value_parser!(u32).range(36..=36_500))]
    pub keep_events_days: u32,

    /// Events of one `RecordUsage` stream that may wait for their acknowledgement: its credits.
    #[arg(long, env = "BURSAR_STREAM_WINDOW", value_name = "EVENTS", default_value_t = 32_768,
        value_parser = RangedU64ValueParser::<usize>::new().range(1_000..=1_000_000))]
    pub stream_window: usize,

    /// Events that may wait to be committed, of all callers together; beyond it calls are refused as OVERLOADED.
    #[arg(long, env = "BURSAR_QUEUE_EVENTS", value_name = "EVENTS", default_value_t = 262_144,
        value_parser = RangedU64ValueParser::<usize>::new().range(4_096..=16_777_216))]
    pub queue_events: usize,

    /// Transactions that may run at a time, each for a range of the customers; 0: as many as suit the database, which is
    /// 1 in SQLite and in PostgreSQL one per core, at least 2 and at most 4.
    #[arg(long, env = "BURSAR_COMMITTERS", value_name = "COUNT", default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(0..=64))]
    pub committers: u16,

    /// Milliseconds that answers of checks may be behind what other servers on the same database did.
    #[arg(long, env = "BURSAR_REFRESH_MS", value_name = "MILLISECONDS", default_value_t = 250,
        value_parser = clap::value_parser!(u32).range(20..=10_000))]
    pub refresh_ms: u32,

    /// Milliseconds that a statement in PostgreSQL may take. A lock is waited for a third as long, a connection a
    /// fifteenth; a transaction may stand still as long, but no longer than ten times `--refresh-ms`.
    #[arg(long, env = "BURSAR_DATABASE_TIMEOUT_MS", value_name = "MILLISECONDS", default_value_t = 15_000,
        value_parser = clap::value_parser!(u32).range(100..=600_000))]
    pub database_timeout_ms: u32,

    /// How to reach Stripe.
    #[command(flatten)]
    pub stripe: StripeAccess,

    /// What the server does with Stripe.
    #[command(flatten)]
    pub billing: BillingConfig,

    /// Seconds that calls and streams get to end when the server is told to stop.
    #[arg(long, env = "BURSAR_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub drain_seconds: u32,
}

impl Config {
    /// Returns how long calls and streams get to end.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(u64::from(self.drain_seconds))
    }

    /// Returns how far checks may be behind other servers.
    #[must_use]
    pub fn refresh(&self) -> Duration {
        Duration::from_millis(u64::from(self.refresh_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_told_apart_and_shown_without_a_password() {
        let shown = |text: &str| {
            let database: Database = text.parse().unwrap_or(Database::Memory);
            (format!("{database}"), database)
        };
        assert_eq!(shown("memory:").1, Database::Memory);
        assert_eq!(shown("bursar.db").1, Database::Sqlite("bursar.db".into()));
        assert_eq!(shown("sqlite:/a/b").1, Database::Sqlite("/a/b".into()));
        let (text, database) = shown("postgres://me:s3:cr@et@db:5432/bursar?password=other");
        assert_eq!(text, "postgres://me@db:5432/bursar");
        assert!(matches!(database, Database::Postgres(_)));
        assert_eq!(shown("postgresql://db/x").0, "postgresql://db/x");
        assert_eq!(shown("a:b.db").1, Database::Sqlite("a:b.db".into()));
        for unknown in ["mysql://x/y", "postgres:", "postgres:/x", "memory:x"] {
            assert_eq!(
                unknown.parse::<Database>(),
                Err(UnknownDatabase),
                "{unknown}"
            );
        }
    }
}
