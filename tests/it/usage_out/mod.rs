//! L7 as a property: whatever goes wrong on the way to Stripe, each sealed chunk has one effect there, and sums agree.
//!
//! The engine, its store and the sender are the real ones; Stripe is its double behind HTTP. A script of usage, time, faults,
//! ends of the process at any point, a long outage and restored backups is played, then everything is let settle, and what
//! Stripe counted is held against what was sealed and what was used. Senders with a deliberate defect play the same scripts
//! and are found out.

mod checks;
mod dropped;
mod script;
mod sender;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::checks::{Kind, Verdict};
use self::script::{Act, scripts};
use self::sender::Sender;
use self::world::World;

/// Chunks that must have been in doubt in a run, so that it says something.
const DOUBTED_MIN: usize = 10;
/// Scripts that a defect may need to show.
const TRIES: usize = 12;

fn play(script: &[Act], sender: Sender) -> Verdict {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::begin(sender).await;
        for act in script {
            world.act(act).await;
        }
        world.settle().await;
        world.verdict().await
    })
}

#[test]
fn each_chunk_has_one_effect_whatever_goes_wrong() {
    let doubted = AtomicUsize::new(0);
    let config = Config {
        cases: 6,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&scripts(), |script| {
        let verdict = play(&script, Sender::Right);
        doubted.fetch_add(verdict.doubted, Ordering::Relaxed);
        if verdict.broken.is_empty() {
            return Ok(());
        }
        let broken = verdict.broken.iter();
        let broken: Vec<_> = broken
            .map(|one| format!("{:?}: {}", one.kind, one.text))
            .collect();
        Err(TestCaseError::fail(broken.join("\n")))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let doubted = doubted.into_inner();
    println!("{doubted} chunks were in doubt");
    assert!(doubted >= DOUBTED_MIN, "only {doubted} were ever in doubt");
}

/// Plays scripts until a sender is found out; it must be found out by all of these.
fn is_found_out(sender: Sender, wanted: &[Kind]) {
    let mut runner = TestRunner::deterministic();
    let mut missing = wanted.to_vec();
    for _ in 0..TRIES {
        let script = scripts().new_tree(&mut runner).unwrap().current();
        let verdict = play(&script, sender);
        missing.retain(|kind| verdict.broken.iter().all(|broken| broken.kind != *kind));
        if missing.is_empty() {
            return;
        }
    }
    panic!("{sender:?} is not found out by {missing:?}");
}

#[test]
fn a_sender_that_names_each_attempt_anew_is_found_out() {
    is_found_out(Sender::NamesEachAttempt, &[Kind::Sum]);
}

#[test]
fn a_sender_whose_failures_are_kept_under_a_key_is_found_out() {
    is_found_out(Sender::Keyed, &[Kind::Replayed]);
}

#[test]
fn a_sender_that_sends_again_what_is_in_doubt_is_found_out() {
    is_found_out(Sender::SendsWhatIsInDoubt, &[Kind::Sum, Kind::Effects]);
}

#[test]
fn a_sender_that_tries_for_too_long_is_found_out() {
    is_found_out(Sender::Persistent, &[Kind::Late, Kind::Effects]);
}
