//! What bursar costs beside what it is made of: a bare tonic echo and a bare insert loop, in one run.
//!
//! `cargo bench` measures all, alternating, and takes the median of five; `-- --short` shows in a minute that it
//! works, with figures that mean little. Names given as arguments choose parts: check, decide, record, reserve,
//! memory. Results go to `target/bench/results-sqlite.json`.

mod check;
mod echo;
mod load;
mod memory;
mod record;
mod reserve;
mod results;
mod server;

use std::path::Path;

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
    if wanted("memory") {
        memory::per_customer(&runtime, &mut results);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/results-sqlite.json");
    results.finish(&file);
}
