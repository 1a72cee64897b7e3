//! Random histories.

use proptest::prelude::*;

use super::CUSTOMERS;
use super::credits::{Credit, credits};

/// One event in few numbers.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    pub customer: usize,
    pub id: u8,
    pub subaccount: u8,
    pub dimensions: u8,
    pub calls: bool,
    pub quantity: i64,
    pub minutes_back: i64,
}

/// One step of a random history.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub minutes_on: i64,
    pub plain: Vec<Vec<Sketch>>,
    pub refused: Vec<(usize, usize)>,
    pub voids: Vec<(usize, u8)>,
    pub moves: Vec<(usize, Move)>,
    pub credits: Vec<(usize, Credit)>,
    pub trims: bool,
}

/// What else a batch writes for a customer.
#[derive(Debug, Clone)]
pub(super) enum Move {
    Reserve(u8, i64),
    End(u8),
    Allocate(u8),
    Free(u8),
    Override(bool),
    Unoverride(bool),
    Adjust(i64),
    Subaccount(u8),
    Rename(u8),
    Answer(u8),
    Deny(u8),
    /// Sets a counter to a value that events do not give.
    Plant(i64),
    /// Breaks the batch.
    Overflow,
}

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let sketch = (
        0..CUSTOMERS.len(),
        0..150_u8,
        0..3_u8,
        0..5_u8,
        any::<bool>(),
        -9..50_i64,
        0..4_000_i64,
    );
    let sketch = sketch.prop_map(
        |(customer, id, subaccount, dimensions, calls, quantity, minutes_back)| Sketch {
            customer,
            id,
            subaccount,
            dimensions,
            calls,
            quantity,
            minutes_back,
        },
    );
    prop::collection::vec(sketch, 0..12)
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0..20_u8, 1..9_i64).prop_map(|(id, quantity)| Move::Reserve(id, quantity)),
        4 => (0..20_u8).prop_map(Move::End),
        2 => (0..9_u8).prop_map(Move::Allocate),
        1 => (0..9_u8).prop_map(Move::Free),
        1 => any::<bool>().prop_map(Move::Override),
        1 => any::<bool>().prop_map(Move::Unoverride),
        1 => (-5..5_i64).prop_map(Move::Adjust),
        1 => (0..3_u8).prop_map(Move::Subaccount),
        1 => any::<u8>().prop_map(Move::Rename),
        2 => (0..40_u8).prop_map(Move::Answer),
        2 => (0..3_u8).prop_map(Move::Deny),
        1 => (-5..5_i64).prop_map(Move::Plant),
        1 => Just(Move::Overflow),
    ]
}

pub(super) fn turns() -> impl Strategy<Value = Turn> {
    let minutes = prop_oneof![9 => 0..400_i64, 1 => 20_000..60_000_i64];
    (
        minutes,
        prop::collection::vec(sketches(), 0..3),
        prop::collection::vec((0..2_usize, 0..12_usize), 0..3),
        prop::collection::vec((0..CUSTOMERS.len(), 0..150_u8), 0..6),
        prop::collection::vec((0..CUSTOMERS.len(), moves()), 0..4),
        prop::collection::vec((0..CUSTOMERS.len(), credits()), 0..6),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(minutes_on, plain, refused, voids, moves, credits, trims)| Turn {
                minutes_on,
                plain,
                refused,
                voids,
                moves,
                credits,
                trims,
            },
        )
}
