//! What is done at random. Holds, grants, reservations and events are named by any number, counted back from the latest
//! and wrapped around to what there is when the step is taken.

use proptest::prelude::*;

use super::caps::{DAY, day_end};
use super::market::period_end;
use super::purse::Pile;
use super::usage::Use;

/// When the test ends at the latest: before grants of which nothing is left are forgotten.
const END: i64 = 150 * DAY;

#[derive(Debug, Clone)]
pub enum Step {
    Do(usize, Op),
    /// Sends an earlier operation again.
    Again(usize),
    /// Sends an earlier request with other content.
    Other(usize),
    Wait(i64),
    Forget,
    Reopen,
}

/// An operation of one customer.
#[derive(Debug, Clone)]
pub enum Op {
    /// Until it is sent, its end is how long it lives.
    Grant(Pile),
    /// By whom, how much, and whether it may be owed.
    Debit(usize, i64, bool),
    /// By whom, and how much is left of what can be spent: a debit of the rest.
    DebitAllBut(usize, i64),
    /// By whom, how much, how long.
    Hold(usize, i64, i64),
    /// Which, how much, and whether it stays open.
    Capture(usize, Option<i64>, bool),
    Release(usize),
    /// From whom, to whom, how much.
    Transfer(usize, usize, i64),
    Expire(usize),
    ClawBack(usize, Option<i64>),
    /// Whose, how much, and whether for ever or each day.
    Cap(usize, Option<i64>, bool),
    Record(Vec<Use>),
    Consume(Use),
    /// By whom; feature, units and least units of each item; how long.
    Reserve(usize, Vec<(usize, i64, i64)>, i64),
    Commit(usize, Vec<Use>),
    Return(usize),
    Void(Vec<usize>),
}

fn grant() -> impl Strategy<Value = Op> {
    let life = prop_oneof![
        Just(None),
        (1..600_i64).prop_map(Some),
        (1..20 * DAY).prop_map(Some)
    ];
    let payment = prop_oneof![2 => Just(None), 1 => (0..12_u8).prop_map(Some)];
    let terms = (0..3_i32, prop::bool::weighted(0.7), payment, life);
    let amount = prop_oneof![1..500_i64, 200..3_000_i64];
    (0..3_usize, amount, terms).prop_map(|(owner, amount, (priority, paid, payment, end))| {
        Op::Grant(Pile {
            owner,
            amount,
            used: 0,
            moved: 0,
            settled: 0,
            held: 0,
            lapsed: 0,
            expired: 0,
            returned: 0,
            priority,
            paid,
            payment,
            made: 0,
            end,
            leg: String::new(),
            origin: None,
            serial: 0,
        })
    })
}

/// A use, of a reservation or not; until it is sent, its time is how far back it lies, below zero how far ahead.
fn usage(reservation: impl Strategy<Value = Option<usize>>) -> impl Strategy<Value = Use> {
    let back = prop_oneof![
        6 => Just(None),
        1 => (0..600_i64).prop_map(Some),
        1 => (0..2 * DAY).prop_map(Some),
        1 => (0..34 * DAY).prop_map(Some),
        1 => (-290..0_i64).prop_map(Some),
    ];
    (0..3_usize, 0..3_usize, 1..40_i64, back, reservation).prop_map(
        |(by, feature, quantity, time, reservation)| Use {
            id: 0,
            by,
            feature,
            quantity,
            time,
            reservation,
        },
    )
}

/// Which of what there is: most often one of the latest.
fn which() -> impl Strategy<Value = usize> {
    prop_oneof![2 => 0..3_usize, 1 => 0..64_usize]
}

/// How long credits are set aside.
fn life() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 1..400_i64, 1 => 1..2 * DAY]
}

fn op() -> impl Strategy<Value = Op> {
    let item = (0..3_usize, 1..40_i64, 1..40_i64)
        .prop_map(|(of, want, least)| (of, want, least.min(want)));
    let items = prop::collection::vec(item, 1..4);
    let some = || prop::option::weighted(0.7, 0..120_i64);
    let part = || prop::option::weighted(0.6, 1..300_i64);
    let cap = prop::option::weighted(0.6, 1..1_000_i64);
    let uses = prop::collection::vec(usage(prop::option::weighted(0.7, which())), 1..4);
    let last = prop::collection::vec(usage(which().prop_map(Some)), 0..3);
    prop_oneof![
        7 => grant(),
        2 => (0..3_usize, 1..150_i64, prop::bool::weighted(0.15)).prop_map(|(by, amount, owes)| Op::Debit(by, amount, owes)),
        1 => (0..3_usize, 0..40_i64).prop_map(|(by, left)| Op::DebitAllBut(by, left)),
        3 => (0..3_usize, 1..150_i64, life()).prop_map(|(by, amount, ttl)| Op::Hold(by, amount, ttl)),
        3 => (which(), some(), any::<bool>()).prop_map(|(hold, amount, keep)| Op::Capture(hold, amount, keep)),
        1 => which().prop_map(Op::Release),
        2 => (0..3_usize, 0..3_usize, 1..150_i64).prop_map(|(from, to, amount)| Op::Transfer(from, to, amount)),
        1 => which().prop_map(Op::Expire),
        1 => (which(), part()).prop_map(|(grant, amount)| Op::ClawBack(grant, amount)),
        2 => (0..3_usize, cap, any::<bool>()).prop_map(|(of, amount, lifetime)| Op::Cap(of, amount, lifetime)),
        4 => uses.prop_map(Op::Record),
        3 => usage(Just(None)).prop_map(Op::Consume),
        7 => (0..3_usize, items, life()).prop_map(|(by, items, ttl)| Op::Reserve(by, items, ttl)),
        2 => (which(), last).prop_map(|(id, uses)| Op::Commit(id, uses)),
        1 => which().prop_map(Op::Return),
        2 => prop::collection::btree_set(which(), 1..4).prop_map(|ids| Op::Void(ids.into_iter().collect())),
    ]
}

pub fn random(now: i64) -> BoxedStrategy<Step> {
    let longest = (END - now).max(1);
    // Windows end while reservations and holds are open that were made in them.
    let until = |end: i64| (-200..400_i64).prop_map(move |before| (end - now - before).max(1));
    let wait = prop_oneof![
        12 => 1..200_i64,
        1 => 1..DAY,
        1 => 1..20 * DAY,
        2 => until(day_end(now)),
        2 => until(period_end(now)),
    ];
    prop_oneof![
        30 => (prop::sample::select(vec![0_usize, 0, 1]), op()).prop_map(|(who, op)| Step::Do(who, op)),
        3 => which().prop_map(Step::Again),
        1 => which().prop_map(Step::Other),
        5 => wait.prop_map(move |wait| Step::Wait(wait.min(longest))),
        1 => Just(Step::Forget),
        1 => Just(Step::Reopen),
    ]
    .boxed()
}
