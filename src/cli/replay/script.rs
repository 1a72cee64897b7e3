//! What a replay sends: each row of the trace with its customer, its time and the ids of its events.
//!
//! All of it follows from the file and a few settings, so that a repeat sends the same again.

use std::collections::BTreeMap;

use rand_distr::{Distribution as _, Zipf};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::trace::Trace;
use crate::cli::print::hex;
use crate::domain::time::{Span, Timestamp};
use crate::grpc::pb::UsageEvent;

/// How uneven the customers are: the share of the one ranked `k` falls with `k` to this power.
const ZIPF_EXPONENT: f64 = 1.1;
/// The dimension by which a replay's usage is told from that of others.
pub const RUN_DIMENSION: &str = "run";

/// What to replay, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The trace.
    pub trace: Trace,
    /// How many customers share its requests; at least 1.
    pub customers: u32,
    /// What the drawing of customers and the ids of events start from.
    pub seed: u64,
    /// The time that the latest row is moved to.
    pub end_time: Timestamp,
    /// How many times faster than it happened; `None`: as fast as the server takes it.
    pub speed: Option<f64>,
    /// Whether each request reserves first and commits what it used.
    pub reserve: bool,
    /// The meters of context and generated tokens.
    pub meters: [String; 2],
}

/// What of the server's catalog a replay uses, per meter.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Whether the meter declares [`RUN_DIMENSION`]; without it, usage of others counts in the totals.
    pub marked: [bool; 2],
    /// The metered feature that is reserved; empty when nothing is.
    pub features: [String; 2],
}

/// A plan made ready to send.
#[derive(Debug)]
pub struct Script {
    /// What it was made of.
    pub plan: Plan,
    /// Names all that has the same ids: the file and every setting but time and speed.
    pub run: String,
    /// What it is sent to.
    pub target: Target,
    customers: Vec<u32>,
    first_time: Timestamp,
    last_time: Timestamp,
}

impl Script {
    /// Makes a plan ready.
    #[must_use]
    pub fn new(plan: Plan, target: Target) -> Self {
        let mut key = Sha256::new();
        key.update(plan.trace.digest);
        key.update(plan.seed.to_le_bytes());
        key.update(plan.customers.to_le_bytes());
        key.update([u8::from(plan.reserve)]);
        for name in &plan.meters {
            key.update(name);
            key.update([0]);
        }
        Self {
            run: hex(&key.finalize()[..8]),
            target,
            customers: draw_customers(plan.trace.rows.len(), plan.customers, plan.seed),
            first_time: plan.trace.first_time(),
            last_time: plan.trace.last_time(),
            plan,
        }
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.customers.len()
    }

    /// Returns the id of a row's customer.
    #[must_use]
    pub fn customer(&self, row: usize) -> String {
        customer_id(self.customers[row])
    }

    /// Returns the numbers of the customers that have a row, in order.
    #[must_use]
    pub fn customers(&self) -> Vec<u32> {
        let mut numbers = self.customers.clone();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns the time that a row is moved to.
    #[must_use]
    pub fn time(&self, row: usize) -> Timestamp {
        let before_end = self.last_time.since(self.plan.trace.rows[row].time);
        self.plan.end_time.minus(before_end)
    }

    /// Returns how long after the earliest row a row happened.
    #[must_use]
    pub fn after_start(&self, row: usize) -> Span {
        self.plan.trace.rows[row].time.since(self.first_time)
    }

    /// Returns the earliest and the latest time that rows are moved to.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let first = self.plan.end_time.minus(self.plan.trace.length());
        (first, self.plan.end_time)
    }

    /// Returns one event of a row: 0 for what it read, 1 for what it wrote.
    #[must_use]
    pub fn event(&self, row: usize, column: usize) -> UsageEvent {
        let mut dimensions = BTreeMap::new();
        if self.target.marked[column] {
            dimensions.insert(RUN_DIMENSION.to_owned(), self.run.clone());
        }
        UsageEvent {
            event_id: self.event_id(row, column),
            customer_id: self.customer(row),
            meter_id: self.plan.meters[column].clone(),
            quantity: self.plan.trace.rows[row].tokens[column],
            event_time: Some(to_proto(self.time(row))),
            dimensions,
            ..UsageEvent::default()
        }
    }

    /// Returns the id of an event: a `UUIDv8` that begins with the row's own time, so that ids rise as `UUIDv7` do, and goes
    /// on with a hash of run, row and column.
    #[must_use]
    pub fn event_id(&self, row: usize, column: usize) -> String {
        let hash = self.hash("event", row, column);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        let millis = self.plan.trace.rows[row].time.as_micros() / 1_000;
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        Uuid::new_v8(bytes).to_string()
    }

    /// Returns the key of a row's call; another end time is another request.
    #[must_use]
    pub fn request_id(&self, call: &str, row: usize) -> String {
        let time = self.plan.end_time.as_micros();
        format!(
            "replay-{call}-{time}-{}",
            hex(&self.hash(call, row, 0)[..12])
        )
    }

    fn hash(&self, what: &str, row: usize, column: usize) -> [u8; 32] {
        let mut key = Sha256::new();
        for part in [what, &self.run, &row.to_string(), &column.to_string()] {
            key.update(part);
            key.update([0]);
        }
        key.finalize().into()
    }
}

/// Returns the id of the customer with this number.
#[must_use]
pub fn customer_id(number: u32) -> String {
    format!("replay-{number}")
}

/// Writes a time as the protocol does.
#[must_use]
pub fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// Draws a customer for each row: a few have most of them.
fn draw_customers(rows: usize, customers: u32, seed: u64) -> Vec<u32> {
    let law = Zipf::new(f64::from(customers.max(1)), ZIPF_EXPONENT)
        .expect("there is at least one customer and the exponent is positive");
    let mut random = Pcg64::seed_from_u64(seed);
    (0..rows)
        .map(|_| {
            let rank: f64 = law.sample(&mut random);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rank is a whole number from 1 to the number of customers"
            )]
            let rank = rank as u32;
            rank.clamp(1, customers.max(1)) - 1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::sample_plan;
    use super::*;

    fn ids(plan: Plan) -> BTreeSet<String> {
        let script = Script::new(plan, Target::default());
        (0..script.rows())
            .flat_map(|row| [script.event_id(row, 0), script.event_id(row, 1)])
            .collect()
    }

    #[test]
    fn the_last_row_falls_on_the_end_and_the_others_keep_their_distance() {
        let script = Script::new(sample_plan(), Target::default());
        let last = script.rows() - 1;
        assert_eq!(script.time(last), script.plan.end_time);
        assert_eq!(script.span(), (script.time(0), script.time(last)));
        for row in 1..script.rows() {
            assert_eq!(
                script.time(row).since(script.time(0)),
                script.after_start(row)
            );
        }
    }

    #[test]
    fn ids_follow_from_file_and_settings_but_not_from_time_and_speed() {
        let first = ids(sample_plan());
        assert_eq!(first.len(), 1000, "each event has an id of its own");
        let moved = Plan {
            end_time: Timestamp::MAX,
            speed: Some(2.0),
            ..sample_plan()
        };
        assert_eq!(ids(moved), first);
        let mut other_file = sample_plan();
        other_file.trace.digest[0] ^= 1;
        for other in [
            Plan {
                seed: 2,
                ..sample_plan()
            },
            Plan {
                customers: 100,
                ..sample_plan()
            },
            Plan {
                reserve: true,
                ..sample_plan()
            },
            other_file,
        ] {
            assert!(ids(other).is_disjoint(&first));
        }
    }

    #[test]
    fn ids_are_canonical_and_rise_with_the_trace() {
        let script = Script::new(sample_plan(), Target::default());
        let id = script.event_id(0, 0);
        let uuid: Uuid = id.parse().expect("it is a UUID");
        assert_eq!((uuid.get_version_num(), uuid.to_string()), (8, id));
        let first: Vec<u128> = (0..script.rows())
            .map(|row| {
                let uuid: Uuid = script.event_id(row, 0).parse().expect("it is a UUID");
                uuid.as_u128() >> 80
            })
            .collect();
        assert!(first.is_sorted());
    }

    #[test]
    fn customers_are_drawn_by_seed_and_a_few_have_most_rows() {
        let drawn = draw_customers(20_000, 200, 7);
        assert_eq!(drawn, draw_customers(20_000, 200, 7));
        assert_ne!(drawn, draw_customers(20_000, 200, 8));
        assert!(drawn.iter().all(|customer| *customer < 200));
        let share = |number| drawn.iter().filter(|drawn| **drawn == number).count();
        assert!(share(0) > share(1) && share(1) > share(10) && share(10) > share(150));
        assert_eq!(draw_customers(10, 1, 7), [0; 10]);
    }
}
