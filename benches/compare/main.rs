//! What bursar costs beside what it is made of: a bare tonic echo and a bare insert loop, in one run.
//!
//! `cargo bench` measures all, alternating, and takes the median of five; `-- --short` shows in a minute that it
//! works, with figures that mean little. Names given as arguments choose parts: check, decide, record, reserve, wallet,
//! `usage_out`, memory. Results go to `target/bench/results-sqlite.json`. With `STORE=postgres` the parts record, reserve and wallet
//! are measured on PostgreSQL, with one server and with three, beside bare statements on the same cluster.

mod check;
#[path = "../../tests/postgres/cluster.rs"]
#[expect(dead_code, reason = "tests do more with a cluster than a benchmark")]
mod cluster;
mod echo;
mod load;
mod memory;
mod record;
mod reserve;
mod results;
mod server;
mod shared;
#[path = "../../tests/stripe/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the integration tests do more with the double, and run its own tests"
)]
mod stripe;
mod usage_out;
mod wallet;

use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use crate::cluster::Cluster;
use crate::results::Results;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each figure is taken.
const ROUNDS: usize = 5;

fn is_short() -> bool {
    std::env::args().any(|argument| argument == "--short")
}

/// Returns a size, made small for a run that only shows that it works.
fn scaled(size: usize) -> usize {
    if is_short() { size / 50 } else { size }
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo hands a benchmark no arguments that it does not share with the others"
)]
fn is_on_postgres() -> bool {
    std::env::var("STORE").is_ok_and(|store| store == "postgres")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench")
}

/// Measures what differs on PostgreSQL, in a cluster of its own.
fn on_postgres(runtime: &Runtime, wanted: impl Fn(&str) -> bool, results: &mut Results) {
    let cluster = Cluster::start();
    // What a database server of this size is given; the tests' few megabytes would measure reading and writing again.
    for setting in ["shared_buffers = '1GB'", "max_wal_size = '4GB'"] {
        runtime.block_on(cluster.execute(&format!("ALTER SYSTEM SET {setting}")));
    }
    cluster.stop_at_once();
    cluster.start_again();
    if wanted("record") {
        shared::record(runtime, &cluster, results);
    }
    if wanted("reserve") {
        shared::reserve(runtime, &cluster, results);
    }
    if wanted("wallet") {
        wallet::holds(runtime, &cluster, results);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, answer_bytes, ..] = &arguments[..]
        && role == "echo-server"
    {
        echo::serve(check::payload(
            answer_bytes.parse().expect("a number of bytes"),
        ));
    }
    let chosen: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|name| *name == part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let mut results = Results::default();
    if is_on_postgres() {
        on_postgres(&runtime, wanted, &mut results);
        return results.finish(&folder().join("results-postgres.json"));
    }
    if wanted("check") {
        check::beside_echo(&runtime, &mut results);
    }
    if wanted("decide") {
        check::decide(&runtime, &mut results);
    }
    if wanted("record") {
        record::beside_insert(&runtime, &mut results);
    }
    if wanted("reserve") {
        reserve::pairs(&runtime, &mut results);
    }
    if wanted("wallet") {
        wallet::draws(&runtime, &mut results);
    }
    if wanted("usage_out") {
        usage_out::beside_ingest(&runtime, &mut results);
    }
    if wanted("memory") {
        memory::per_customer(&runtime, &mut results);
    }
    results.finish(&folder().join("results-sqlite.json"));
}
