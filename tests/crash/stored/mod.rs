//! Reads what is stored, past the server.

pub mod postgres;
pub mod sqlite;

use std::collections::BTreeMap;

use crate::billing::StoredChunk;
use crate::checker::{State, Stored, StoredEvent, StoredVoid};
use crate::journal::Content;
use crate::wallets::rows::charge;
use crate::world::{COUNTERS, Meter, customer_no, part_no};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn meter(id: &str) -> Option<Meter> {
    Meter::ALL.into_iter().find(|meter| meter.id() == id)
}

/// A row of an event, whatever database it is in.
struct EventColumns {
    id: String,
    customer: String,
    meter: String,
    /// 0: usage, 1: what takes usage back.
    kind: i64,
    quantity: i64,
    weighted: i64,
    count_time: i64,
    /// `None`: its count time.
    event_time: Option<i64>,
    is_stated: bool,
    dimensions: Option<String>,
    reservation: Option<String>,
    part: Option<String>,
    charge: Option<String>,
}

impl EventColumns {
    /// Takes the row; what is in it that nobody asked for is noted as strange.
    fn take(self, stored: &mut Stored) {
        let known = customer_no(&self.customer).zip(meter(&self.meter));
        let part = part_no(self.part.as_deref().unwrap_or_default());
        let charge = charge(self.charge.as_deref());
        let (Some((customer, meter)), Some(part), Ok(charge), 0..=1) =
            (known, part, &charge, self.kind)
        else {
            let Self {
                id,
                customer,
                meter,
                kind,
                part,
                ..
            } = self;
            stored.strange.push(format!(
                "event {id} of {customer}, part {part:?}, meter {meter}, kind {kind}, charge {charge:?}"
            ));
            return;
        };
        let (key, charge) = ((customer, self.id), charge.clone());
        if self.kind == 1 {
            stored.voids.entry(key).or_default().push(StoredVoid {
                quantity: self.quantity,
                weighted: self.weighted,
                count_time: self.count_time,
                charge,
            });
            return;
        }
        let is_large = |text: String| text == r#"{"model":"large"}"#;
        let event_time = self.event_time.unwrap_or(self.count_time);
        stored.events.entry(key).or_default().push(StoredEvent {
            content: Content {
                meter,
                quantity: self.quantity,
                large: self.dimensions.is_some_and(is_large),
                event_time: self.is_stated.then_some(event_time),
                reservation: self.reservation,
                part,
            },
            weighted: self.weighted,
            count_time: self.count_time,
            charge,
        });
    }
}

/// Takes the row of a chunk: its name, whose it is, where it stands, and what else it says.
fn take_chunk(
    stored: &mut Stored,
    name: String,
    (customer, state): (Option<String>, String),
    body: &str,
) -> Result<()> {
    let body: serde_json::Value = serde_json::from_str(body)?;
    let known = customer.as_deref().and_then(customer_no);
    let known = known
        .zip(body["identifier"].as_str())
        .zip(body["value"].as_i64());
    let Some(((customer, identifier), value)) = known else {
        stored
            .strange
            .push(format!("chunk {name} of {customer:?}: {body}"));
        return Ok(());
    };
    let chunk = StoredChunk {
        customer,
        identifier: identifier.to_owned(),
        value,
        state,
    };
    stored.chunks.insert(name, chunk);
    Ok(())
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
