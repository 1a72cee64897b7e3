//! Usage that Stripe bills: what is charged of the stored events, what was sealed of it and what Stripe counted must be the
//! same, and each sealed amount must have counted once.

pub mod office;

use std::collections::BTreeMap;

use crate::checker::{Findings, Kind, Stored};
use crate::world::Meter;

/// Customers, from the first on, whose tokens Stripe bills; only recorded usage is theirs.
pub const BILLED: u32 = 8;
/// What Stripe calls their usage.
pub const EVENT_NAME: &str = "crash_tokens";

/// A sealed amount as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChunk {
    pub customer: u32,
    /// Names it at Stripe.
    pub identifier: String,
    pub value: i64,
    pub state: String,
}

/// What Stripe counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// The sum of each customer.
    pub sums: BTreeMap<u32, i64>,
    /// How often each identifier counted that a chunk has.
    pub times: BTreeMap<String, u32>,
    /// How many events counted in all.
    pub events: usize,
}

/// Compares all three. `anchor` is where the billing period began.
pub fn check(stored: &Stored, counted: &Counted, anchor: i64, found: &mut Findings) {
    let charged = charged(stored, anchor);
    for customer in 0..BILLED {
        let own = stored.chunks.values();
        let own = own.filter(|chunk| chunk.customer == customer);
        let sealed: i64 = own.map(|chunk| chunk.value).sum();
        let at_stripe = counted.sums.get(&customer).copied().unwrap_or_default();
        let due = charged.get(&customer).copied().unwrap_or_default();
        if (sealed, at_stripe) != (due, due) {
            let text = format!(
                "customer {customer}: {due} units are charged, {sealed} sealed, {at_stripe} at Stripe"
            );
            found.add(Kind::Billing, text);
        }
    }
    for (name, chunk) in &stored.chunks {
        let times = counted.times.get(&chunk.identifier).copied();
        let times = times.unwrap_or_default();
        if times != 1 {
            let text = format!("chunk {name} counted {times} times: {chunk:?}");
            found.add(Kind::Billing, text);
        }
        if chunk.state != "delivered" {
            found.add(
                Kind::Billing,
                format!("chunk {name} is not settled: {chunk:?}"),
            );
        }
    }
    if counted.events != stored.chunks.len() {
        let text = format!(
            "{} events counted at Stripe, of {} chunks",
            counted.events,
            stored.chunks.len()
        );
        found.add(Kind::Billing, text);
    }
}

/// Returns what of the stored events is charged since a time, by customer, in whole units.
fn charged(stored: &Stored, since: i64) -> BTreeMap<u32, i64> {
    let mut sums: BTreeMap<u32, i64> = BTreeMap::new();
    for (key, rows) in &stored.events {
        let is_billed = |meter| key.0 < BILLED && meter == Meter::Tokens;
        let Some(row) = rows.first().filter(|row| is_billed(row.content.meter)) else {
            continue;
        };
        let voids = stored.voids.get(key).map_or(&[][..], Vec::as_slice);
        let rows = rows.iter().map(|row| (row.count_time, row.weighted));
        let voids = voids.iter().map(|void| (void.count_time, void.weighted));
        let all = rows.chain(voids).filter(|(time, _)| *time >= since);
        let sum = all.map(|(_, weighted)| weighted).sum::<i64>();
        debug_assert!(row.weighted >= 0);
        *sums.entry(key.0).or_default() += sum;
    }
    for sum in sums.values_mut() {
        *sum = sum.div_euclid(1_000);
    }
    sums
}
