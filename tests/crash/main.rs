//! Kills the server, again and again, while clients use it, and then compares what they were promised with what is
//! stored. With PostgreSQL there are several servers on one database, and more goes wrong than kills.
//!
//! Some customers pay from wallets. Their ledgers must balance, and whatever was granted must be there, spent, expired or
//! taken back: no credit comes from nowhere, and none goes there.
//!
//! The usage of some customers is billed through Stripe, whose double lives through all kills: what it counted must be what
//! is charged.
//!
//! `cargo test` runs the tests of the checker; with the feature `faults` also short runs against the real server, good
//! and with each deliberate defect, which must be found. `make crash` makes a long run.

mod admission;
mod alone;
mod billing;
mod checker;
mod clients;
mod credits;
mod fold;
mod history;
mod journal;
mod live;
#[path = "../postgres/mod.rs"]
mod postgres;
#[path = "../process/mod.rs"]
mod process;
mod report;
mod run;
mod several;
mod stored;
#[path = "../stripe/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the integration tests do more with the double, and run its own tests"
)]
mod stripe;
mod tests;
mod voids;
mod wallets;
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;

use bursar::clock::wall_clock;

use crate::run::{Plan, Schedule, Store};
use crate::several::Trouble;

const HELP: &str = "usage: crash run [--rounds N] [--seed S] [--store sqlite|postgres]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == "run" => match long_run(rest) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("crash: {error}");
                ExitCode::FAILURE
            }
        },
        _ => run_tests(&args),
    }
}

fn long_run(args: &[String]) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    if !cfg!(feature = "failpoints") {
        return Err("built without the feature failpoints: use `make crash`".into());
    }
    let mut rounds = 30;
    let mut store = Store::Sqlite;
    let mut seed = wall_clock().as_micros().cast_unsigned();
    for pair in args.chunks(2) {
        match pair {
            [name, value] if name == "--rounds" => rounds = value.parse()?,
            [name, value] if name == "--seed" => seed = value.parse()?,
            [name, value] if name == "--store" && value == "sqlite" => store = Store::Sqlite,
            [name, value] if name == "--store" && value == "postgres" => store = Store::Postgres,
            _ => return Err(HELP.into()),
        }
    }
    println!("crash: rounds={rounds} seed={seed}; repeat with --seed {seed}");
    let outcome = run::run(&Plan {
        binary: env!("CARGO_BIN_EXE_bursar").into(),
        store,
        rounds,
        seed,
        schedule: Schedule::Mixed,
        fault: None,
        troubles: Trouble::ALL,
        least: if rounds >= 30 {
            (120_000, 5_000)
        } else {
            (0, 0)
        },
    })?;
    outcome.print();
    Ok(outcome.is_good())
}

/// Runs the tests whose names contain one of the words given, as `cargo test` does.
fn run_tests(args: &[String]) -> ExitCode {
    let filters: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |test: &&tests::Test| {
        filters.is_empty() || filters.iter().any(|word| test.name.contains(*word))
    };
    let wanted = || tests::ALL.iter().filter(is_wanted);
    if args.iter().any(|arg| arg == "--list") {
        wanted().for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed, mut ignored) = (0, Vec::new(), 0);
    for test in wanted() {
        if test.needs_faults && !cfg!(feature = "faults") {
            println!("test {} ... ignored, needs --features faults", test.name);
            ignored += 1;
        } else if catch_unwind(test.run).is_ok() {
            println!("test {} ... ok", test.name);
            passed += 1;
        } else {
            println!("test {} ... FAILED", test.name);
            failed.push(test.name);
        }
    }
    println!(
        "crash tests: {passed} passed; {} failed; {ignored} ignored",
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
