//! Reads what is stored, past the server.

pub mod postgres;
pub mod sqlite;

use std::collections::BTreeMap;

use crate::checker::State;
use crate::world::{COUNTERS, Meter};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn meter(id: &str) -> Option<Meter> {
    Meter::ALL.into_iter().find(|meter| meter.id() == id)
}

fn state(number: i64) -> Option<State> {
    match number {
        0 => Some(State::Open),
        1 => Some(State::Committed),
        2 => Some(State::Released),
        3 => Some(State::Expired),
        _ => None,
    }
}

/// Returns the place of a counter, which the store names by meter, filter and window.
pub fn place_of(spec: &str) -> Option<usize> {
    let spec: serde_json::Value = serde_json::from_str(spec).ok()?;
    let filter = spec.get("filter")?.as_object()?;
    let is_large = filter.get("model").is_some_and(|model| model == "large");
    if filter.len() > usize::from(is_large) {
        return None;
    }
    COUNTERS.iter().position(|counter| {
        spec["meter"] == counter.meter.id()
            && spec["window"] == counter.window_name
            && is_large == counter.large_only
    })
}

/// Unpacks a ring: steps between buckets and amounts, zigzag, seven bits to a byte.
pub fn unpack(bytes: &[u8]) -> Result<BTreeMap<i64, i64>> {
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0_u64, 0_u32);
    for byte in bytes {
        number |= u64::from(byte & 0x7f)
            .checked_shl(shift)
            .ok_or("a number of a ring is too long")?;
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
            (number, shift) = (0, 0);
        }
    }
    let mut bucket = 0_i64;
    let pairs = numbers.chunks_exact(2).map(|pair| {
        bucket = bucket.wrapping_add(pair[0]);
        (bucket, pair[1])
    });
    Ok(pairs.collect())
}
