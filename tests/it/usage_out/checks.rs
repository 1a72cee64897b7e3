//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use bursar::domain::billing::{ChunkState, DOUBT_AFTER, LEASE};
use bursar::engine::ChunkView;

use super::script::{CUSTOMERS, METERS};
use super::sender::{METER_EVENTS, identifier};
use super::world::{INCLUDED, event_name, meter_id};
use crate::stripe::{Double, Recorded};

/// How Stripe turns calls away that are too many.
const TOO_MANY: u16 = 429;

/// What kind of promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A chunk is not delivered although nothing goes wrong any more.
    Unsettled,
    /// Stripe counted another sum than was sealed, or another was sealed than was used.
    Sum,
    /// A chunk had no effect, or more than one.
    Effects,
    /// It was sent again when Stripe may have forgotten its identifier.
    Late,
    /// A call that nothing disturbed was answered with a failure: an old one.
    Replayed,
    /// Stripe was told an identifier that no chunk has.
    Foreign,
}

/// One broken promise.
#[derive(Debug)]
pub struct Broken {
    pub kind: Kind,
    pub text: String,
}

/// What a script came to.
#[derive(Debug)]
pub struct Verdict {
    pub broken: Vec<Broken>,
    /// How many chunks were ever in doubt.
    pub doubted: usize,
}

/// What was seen on the way.
#[derive(Debug, Default)]
pub struct Seen {
    /// The chunk of each identifier.
    pub chunks: BTreeMap<String, Box<str>>,
    /// Chunks that were in doubt.
    pub doubted: BTreeSet<Box<str>>,
    /// How many calls had come at which time, in seconds.
    pub calls: Vec<(u64, i64)>,
    /// What was used, by customer and meter.
    pub used: BTreeMap<(usize, usize), i64>,
}

impl Seen {
    /// Notes where chunks stand, and what was called until now.
    pub fn note(&mut self, chunks: &[ChunkView], double: &Double) {
        for view in chunks {
            let identifier = view.chunk.identifier.to_string();
            self.chunks.insert(identifier, view.id.clone());
            if view.chunk.state == ChunkState::InDoubt {
                self.doubted.insert(view.id.clone());
            }
        }
        self.calls.push((double.call_count(), double.now()));
    }

    fn time_of(&self, call: &Recorded) -> i64 {
        let at = self
            .calls
            .partition_point(|(count, _)| *count < call.number);
        self.calls.get(at).map_or(i64::MAX, |(_, time)| *time)
    }
}

/// Holds what Stripe counted against what was sealed and used.
pub fn check(
    seen: &Seen,
    chunks: &[ChunkView],
    payers: &[Box<str>],
    double: &Double,
) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut add = |kind, text| broken.push(Broken { kind, text });
    for (customer, payer) in payers.iter().enumerate().take(CUSTOMERS) {
        for meter in 0..METERS {
            let own = chunks
                .iter()
                .map(|view| &view.chunk)
                .filter(|chunk| chunk.payer == *payer && chunk.meter.as_str() == meter_id(meter));
            let sealed: i64 = own.map(|chunk| chunk.value).sum();
            let used = seen.used.get(&(customer, meter)).copied().unwrap_or(0);
            let charged = (used - INCLUDED).max(0);
            let name = event_name(meter);
            let counted = double.effective_sum(&name, payer, 0, i64::MAX);
            if sealed != charged || counted != sealed {
                let text = format!(
                    "customer {customer}, {name}: {charged} charged, {sealed} sealed, {counted} at Stripe"
                );
                add(Kind::Sum, text);
            }
        }
    }
    for meter in 0..METERS {
        let name = event_name(meter);
        let own = || {
            chunks
                .iter()
                .filter(|view| view.chunk.event_name.as_ref() == name)
        };
        let sealed: i64 = own().map(|view| view.chunk.value).sum();
        let counted = (double.effect_count(&name), double.effective_total(&name));
        if counted != (own().count(), sealed) {
            let text = format!("{name}: {sealed} sealed, {counted:?} at Stripe, whoever's");
            add(Kind::Sum, text);
        }
    }
    for view in chunks {
        if view.chunk.state != ChunkState::Delivered {
            add(Kind::Unsettled, format!("{view:?}"));
        }
        let names = seen.chunks.iter().filter(|(_, chunk)| **chunk == view.id);
        let effects: u32 = names.map(|(name, _)| double.effects_of(name)).sum();
        if effects != 1 {
            add(Kind::Effects, format!("{effects} effects of {view:?}"));
        }
    }
    for name in double.doubled_identifiers() {
        add(Kind::Effects, format!("{name} counted more than once"));
    }
    check_calls(seen, &double.calls(), &mut add);
    broken
}

fn check_calls(seen: &Seen, calls: &[Recorded], add: &mut impl FnMut(Kind, String)) {
    let most = (DOUBT_AFTER.as_micros() + LEASE.as_micros()) / 1_000_000;
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.path == METER_EVENTS) {
        let (name, at) = (identifier(&call.body), seen.time_of(call));
        if !seen.chunks.contains_key(&name) {
            add(Kind::Foreign, format!("{name} is no chunk's"));
        }
        // What was turned away without a look did nothing: nobody is in the dark about it.
        let was_turned_away = call.status == Some(TOO_MANY);
        let before = match first.get(&name) {
            Some(before) => *before,
            None if was_turned_away => continue,
            None => *first.entry(name.clone()).or_insert(at),
        };
        if at - before > most {
            let hours = (at - before) / 3_600;
            add(
                Kind::Late,
                format!("{name} was sent again after {hours} hours"),
            );
        }
        if call.fault.is_none() && call.status.is_some_and(|status| status >= 500) {
            add(
                Kind::Replayed,
                format!("{name} was answered {:?}", call.status),
            );
        }
    }
}
