//! Random batches, given to a store and to the reference store: both must show the same afterwards.

mod credits;
mod decide;
mod side;
mod turn;

use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::side::Side;
use self::turn::{Turn, turns};
use super::fixture::{START, minute};
use crate::domain::catalog::Interval;
use crate::domain::id::FeatureId;
use crate::domain::time::Span;
use crate::domain::window::Anchor;
use crate::storage::Store;
use crate::storage::memory::MemoryStore;

const CUSTOMERS: [&str; 3] = ["acme", "bolt", "c/3"];

/// Half of the ids are UUIDs, half are not.
fn event_id(id: u8) -> String {
    if id.is_multiple_of(2) {
        format!("0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c{id:04x}")
    } else {
        format!("e/{id}")
    }
}

fn feature() -> FeatureId {
    FeatureId::new("chat").unwrap()
}

fn anchor() -> Anchor {
    Anchor {
        start: START,
        interval: Interval::Month,
    }
}

/// Gives the same random batches to an empty store and to the reference store and compares what both show.
pub async fn same_as_model(store: &dyn Store, seed: u64) {
    let model = MemoryStore::new(Arc::new(|| START));
    let mut sides = [Side::open(&model).await, Side::open(store).await];
    let history = history(seed);
    let mut now = minute(10_000);
    for (step, turn) in history.iter().enumerate() {
        now = now.plus(Span::from_minutes(u32::try_from(turn.minutes_on).unwrap()));
        let [model, other] = &mut sides;
        let expected = model.play(turn, now).await;
        let got = other.play(turn, now).await;
        assert_same(&expected, &got, seed, step, turn);
        if step % 10 == 9 {
            let expected = model.show(now).await;
            let got = other.show(now).await;
            assert_same(&expected, &got, seed, step, turn);
        }
    }
}

/// Plays a random history on a store, has it copied while it is open, and compares what both show then and what they
/// say to more of the same history.
pub async fn same_after_a_copy(
    store: &dyn Store,
    seed: u64,
    copy: impl AsyncFnOnce() -> Box<dyn Store>,
) {
    let history = history(seed);
    let (before, after) = history.split_at(history.len() / 2);
    let mut original = Side::open(store).await;
    let mut now = minute(10_000);
    for turn in before {
        now = now.plus(Span::from_minutes(u32::try_from(turn.minutes_on).unwrap()));
        original.play(turn, now).await;
    }
    let copied = copy().await;
    let mut copied = Side::reopen(&*copied, now).await;
    for (step, turn) in after.iter().enumerate() {
        if step % 10 == 0 {
            let expected = original.show(now).await;
            assert_same(&expected, &copied.show(now).await, seed, step, turn);
        }
        now = now.plus(Span::from_minutes(u32::try_from(turn.minutes_on).unwrap()));
        let expected = original.play(turn, now).await;
        assert_same(&expected, &copied.play(turn, now).await, seed, step, turn);
    }
}

/// Returns the random history of a number.
fn history(seed: u64) -> Vec<Turn> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let history = proptest::collection::vec(turns(), 60);
    history.new_tree(&mut runner).unwrap().current()
}

/// Compares line by line, so that a failure shows the first difference with what stands before it.
fn assert_same(expected: &str, got: &str, seed: u64, step: usize, turn: &Turn) {
    if expected == got {
        return;
    }
    let differ = |pair: &(&str, &str)| pair.0 != pair.1;
    let same = expected
        .lines()
        .zip(got.lines())
        .take_while(|pair| !differ(pair))
        .count();
    let part = |text: &str| {
        let lines = text.lines().skip(same.saturating_sub(30)).take(40);
        lines.collect::<Vec<_>>().join("\n")
    };
    panic!(
        "seed {seed}, step {step}: {turn:#?}\nreference:\n{}\n\nstore:\n{}",
        part(expected),
        part(got)
    );
}

pub async fn random_batches_agree_with_the_reference(store: &dyn Store) {
    same_as_model(store, 1).await;
}
