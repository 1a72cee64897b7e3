//! Short runs against the real server: as it is, and with each deliberate defect, which must be found.

use crate::checker::Kind;
use crate::report::Outcome;
use crate::run::{Plan, Schedule, run};

/// A run with every failpoint and some random kills.
pub fn good_run() {
    let outcome = short(10, Schedule::Mixed, None, (5_000, 500));
    assert!(outcome.is_good(), "seed {}", outcome.seed);
}

/// Each defect gets the schedule that lays it bare.
fn short(
    rounds: usize,
    schedule: Schedule,
    fault: Option<&'static str>,
    least: (usize, usize),
) -> Outcome {
    let seed = bursar::clock::wall_clock().as_micros().cast_unsigned();
    println!("crash: rounds={rounds} seed={seed} schedule={schedule:?} fault={fault:?}");
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_bursar").into(),
        rounds,
        seed,
        schedule,
        fault,
        least,
    };
    let outcome = run(&plan).unwrap_or_else(|error| panic!("{error}"));
    outcome.print();
    outcome
}

fn reveals(fault: &'static str, rounds: usize, schedule: Schedule, kind: Kind) {
    assert!(bursar::failpoint::FAULTS.contains(&fault));
    let outcome = short(rounds, schedule, Some(fault), (1_000, 800));
    assert!(
        outcome.findings.count(kind) > 0,
        "{fault} was not found, seed {}",
        outcome.seed
    );
}

pub fn ack_before_commit() {
    reveals(
        "ack_before_commit",
        3,
        Schedule::At("commit.before_commit"),
        Kind::Lost,
    );
}

pub fn dedupe_outside_transaction() {
    reveals(
        "dedupe_outside_transaction",
        3,
        Schedule::At("commit.after_commit"),
        Kind::Duplicated,
    );
}

pub fn counter_outside_transaction() {
    reveals(
        "counter_outside_transaction",
        3,
        Schedule::At("fault.between"),
        Kind::Counter,
    );
}

pub fn decision_outside_lock() {
    reveals(
        "decision_outside_lock",
        1,
        Schedule::Random,
        Kind::OverAdmitted,
    );
}
