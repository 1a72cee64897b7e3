//! What an operator can set: each a flag of `bursar serve` and a `BURSAR_*` variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

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

    /// The SQLite file, created when there is none; or `memory:`, which forgets everything at the end.
    #[arg(
        long,
        env = "BURSAR_DATABASE",
        value_name = "PATH",
        default_value = "bursar.db"
    )]
    pub database: String,

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
}
