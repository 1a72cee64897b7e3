//! Short runs against the real server: as it is, and with each deliberate defect, which must be found.

use crate::checker::Kind;
use crate::report::Outcome;
use crate::run::{Plan, Schedule, Store, run};
use crate::several::Trouble;

/// A run with every failpoint and some random kills.
pub fn good_run() {
    is_good(&plan(Store::Sqlite, 10, (5_000, 500)));
}

/// A run with three replicas, and with what is most revealing of what may happen to them.
pub fn good_run_of_several() {
    is_good(&plan(Store::Postgres, 4, (5_000, 500)));
}

fn plan(store: Store, rounds: usize, least: (usize, usize)) -> Plan {
    Plan {
        binary: env!("CARGO_BIN_EXE_bursar").into(),
        store,
        rounds,
        seed: bursar::clock::wall_clock().as_micros().cast_unsigned(),
        schedule: Schedule::Mixed,
        fault: None,
        troubles: Trouble::ALL,
        least,
    }
}

fn is_good(plan: &Plan) {
    let outcome = carry_out(plan);
    assert!(outcome.is_good(), "seed {}", outcome.seed);
}

fn carry_out(plan: &Plan) -> Outcome {
    let Plan {
        rounds,
        seed,
        schedule,
        fault,
        ..
    } = plan;
    println!("crash: rounds={rounds} seed={seed} schedule={schedule:?} fault={fault:?}");
    let outcome = run(plan).unwrap_or_else(|error| panic!("{error}"));
    outcome.print();
    outcome
}

/// Each defect gets the schedule that lays it bare.
fn reveals(fault: &'static str, rounds: usize, schedule: Schedule, kind: Kind) {
    let plan = Plan {
        schedule,
        ..plan(Store::Sqlite, rounds, (1_000, 800))
    };
    is_revealed(plan, fault, &[kind]);
}

/// As [`reveals`], with several replicas in the same trouble again and again.
fn reveals_of_several(
    fault: &'static str,
    rounds: usize,
    troubles: &'static [Trouble],
    kinds: &[Kind],
) {
    let plan = Plan {
        schedule: Schedule::Random,
        troubles,
        ..plan(Store::Postgres, rounds, (1_000, 800))
    };
    is_revealed(plan, fault, kinds);
}

/// Some defects show only when a kill or a cut falls into the right moment, which a run may miss.
const RUNS_MAX: usize = 3;

fn is_revealed(mut plan: Plan, fault: &'static str, kinds: &[Kind]) {
    assert!(bursar::failpoint::FAULTS.contains(&fault));
    plan.fault = Some(fault);
    let mut seeds = Vec::new();
    for _ in 0..RUNS_MAX {
        let outcome = carry_out(&plan);
        if kinds.iter().any(|kind| outcome.findings.count(*kind) > 0) {
            return;
        }
        seeds.push(outcome.seed);
        plan.seed = plan.seed.wrapping_add(1);
    }
    panic!("{fault} was not found, seeds {seeds:?}");
}

pub fn stale_epoch_writes() {
    reveals_of_several(
        "stale_epoch_writes",
        1,
        &[Trouble::IdleStandstill],
        &[Kind::Unexpected],
    );
}

pub fn unknown_commit_is_failure() {
    reveals_of_several(
        "unknown_commit_is_failure",
        2,
        &[Trouble::CutAfter],
        &[Kind::Unexpected, Kind::Lost],
    );
}

pub fn limit_from_memory() {
    reveals_of_several(
        "limit_from_memory",
        1,
        &[Trouble::Cut],
        &[Kind::OverAdmitted],
    );
}

pub fn feed_skips_late_commit() {
    reveals_of_several(
        "feed_skips_late_commit",
        6, // It shows in one round of two or so.
        &[Trouble::Slow],
        &[Kind::Unexpected],
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

pub fn debit_apart() {
    reveals(
        "debit_apart",
        3,
        Schedule::At("engine.answered"),
        Kind::CreditsMade,
    );
}

pub fn debit_apart_of_several() {
    reveals_of_several("debit_apart", 2, &[Trouble::Cut], &[Kind::CreditsMade]);
}

pub fn ledger_without_grants() {
    reveals("ledger_without_grants", 2, Schedule::Random, Kind::Ledger);
}

pub fn usage_named_by_attempt() {
    reveals(
        "usage_named_by_attempt",
        2,
        Schedule::At("usage_out.sent"),
        Kind::Billing,
    );
}

pub fn usage_named_by_attempt_of_several() {
    let plan = Plan {
        schedule: Schedule::At("usage_out.sent"),
        troubles: &[Trouble::Slow],
        ..plan(Store::Postgres, 1, (1_000, 800))
    };
    is_revealed(plan, "usage_named_by_attempt", &[Kind::Billing]);
}
