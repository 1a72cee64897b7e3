//! Generated types to those of the domain, and back.
//!
//! Every rule that the protocol states about a field is held here; errors name the field by its path. What only the
//! catalog or the account can tell is left to the engine.

pub(super) mod customer;
pub(super) mod decision;
pub(super) mod grant;
pub(super) mod ledger;
pub(super) mod limit;
pub(super) mod page;
pub(super) mod payment;
pub(super) mod plan;
pub(super) mod price;
pub(super) mod reconciliation;
pub(super) mod reservation;
pub(super) mod subscription;
pub(super) mod usage;
pub(super) mod wallet;

use std::collections::BTreeMap;

use prost_types::{Duration as PbDuration, Timestamp as PbTimestamp};

use crate::domain::id::{InvalidId, RequestId};
use crate::domain::quantity::QUANTITY_MAX;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{DIMENSIONS_MAX, LABEL_BYTES_MAX, Labels, METADATA_MAX};
use crate::engine::{Error, Rule};

/// Seconds of 0001-01-01T00:00:00Z, the first instant of a protobuf timestamp.
const SECONDS_MIN: i64 = -62_135_596_800;
const MICROS: i64 = 1_000_000;

/// Returns an error about a field that breaks a rule with a reason of its own.
pub(super) fn invalid(field: &str, rule: Rule) -> Error {
    Error::Invalid {
        field: field.to_owned(),
        rule,
    }
}

/// Puts a path in front of the field that an error names.
pub(super) fn within(prefix: &str, error: Error) -> Error {
    error.below(prefix)
}

/// As [`within`], for an element of a list.
pub(super) fn at(list: &str, index: usize, error: Error) -> Error {
    error.below(&format!("{list}[{index}]"))
}

/// Reads a required id.
pub(super) fn id<T>(field: &str, text: String) -> Result<T, Error>
where
    T: TryFrom<String, Error = InvalidId>,
{
    T::try_from(text).map_err(|wrong| Error::invalid(field, wrong.to_string()))
}

/// Reads an id that may be left out by an empty text.
pub(super) fn optional_id<T>(field: &str, text: String) -> Result<Option<T>, Error>
where
    T: TryFrom<String, Error = InvalidId>,
{
    if text.is_empty() {
        return Ok(None);
    }
    id(field, text).map(Some)
}

/// Reads the key of a mutation.
pub(super) fn request_id(text: String) -> Result<RequestId, Error> {
    id("request_id", text)
}

/// Reads a message that must be given.
pub(super) fn required<T>(field: &str, message: Option<T>) -> Result<T, Error> {
    message.ok_or_else(|| Error::invalid(field, "must be given"))
}

/// Reads a choice; one that this version does not know is refused.
pub(super) fn known<T: TryFrom<i32>>(field: &str, number: i32) -> Result<T, Error> {
    T::try_from(number).map_err(|_| Error::invalid(field, "must be one of the known values"))
}

/// Reads a text for people, of at most this many bytes.
pub(super) fn text(field: &str, text: String, bytes_max: usize) -> Result<Box<str>, Error> {
    if text.len() > bytes_max {
        let rule = format!("must be at most {bytes_max} bytes");
        return Err(Error::invalid(field, rule));
    }
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain NUL"));
    }
    Ok(text.into())
}

/// Reads free notes.
pub(super) fn metadata(map: BTreeMap<String, String>) -> Result<Labels, Error> {
    if map.len() > METADATA_MAX {
        let rule = format!("must be at most {METADATA_MAX} entries");
        return Err(Error::invalid("metadata", rule));
    }
    labels("metadata", map)
}

/// Reads what usage is broken down by, or filtered for.
pub(super) fn dimensions(field: &str, map: BTreeMap<String, String>) -> Result<Labels, Error> {
    if map.len() > DIMENSIONS_MAX {
        return Err(invalid(field, Rule::TooManyDimensions));
    }
    labels(field, map)
}

fn labels(field: &str, map: BTreeMap<String, String>) -> Result<Labels, Error> {
    if map.is_empty() {
        return Ok(Labels::new());
    }
    for (key, value) in &map {
        let wrong = if key.is_empty() {
            "keys must not be empty"
        } else if key.len() > LABEL_BYTES_MAX {
            "keys must be at most 256 bytes"
        } else if value.len() > LABEL_BYTES_MAX {
            "must be at most 256 bytes"
        } else if key.contains('\0') || value.contains('\0') {
            "must not contain NUL"
        } else {
            continue;
        };
        let mut end = key.len().min(64);
        while !key.is_char_boundary(end) {
            end -= 1;
        }
        let path = format!("{field}[{:?}]", &key[..end]);
        return Err(Error::invalid(path, wrong));
    }
    let entries = map.into_iter();
    Ok(entries
        .map(|(key, value)| (key.into(), value.into()))
        .collect())
}

/// Writes labels.
pub(super) fn to_map(labels: Labels) -> BTreeMap<String, String> {
    let entries = labels.into_iter();
    entries
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// Reads an instant as whole microseconds: what is finer is cut off. Before 1970 becomes 1970, which is before
/// everything that is kept.
pub(super) fn timestamp(field: &str, stamp: PbTimestamp) -> Result<Timestamp, Error> {
    let micros = stamp
        .seconds
        .checked_mul(MICROS)
        .map(|micros| micros.saturating_add(i64::from(stamp.nanos) / 1000));
    let is_known = stamp.seconds >= SECONDS_MIN && (0..1_000_000_000).contains(&stamp.nanos);
    match micros {
        Some(micros) if is_known && micros <= Timestamp::MAX.as_micros() => {
            Ok(Timestamp::from_micros_clamped(micros))
        }
        Some(_) | None => {
            let rule = "must lie in the years 1 to 9999, with nanos from 0 to 999999999";
            Err(Error::invalid(field, rule))
        }
    }
}

/// As [`timestamp`], for one that may be absent.
pub(super) fn optional_timestamp(
    field: &str,
    stamp: Option<PbTimestamp>,
) -> Result<Option<Timestamp>, Error> {
    stamp.map(|stamp| timestamp(field, stamp)).transpose()
}

/// Writes an instant.
pub(super) fn to_timestamp(time: Timestamp) -> PbTimestamp {
    let micros = time.as_micros();
    PbTimestamp {
        seconds: micros.div_euclid(MICROS),
        nanos: i32::try_from(micros.rem_euclid(MICROS) * 1000).unwrap_or_default(),
    }
}

/// Reads a length of time between two bounds; what is finer than a microsecond is cut off.
pub(super) fn span(
    field: &str,
    length: Option<PbDuration>,
    default: Span,
    (min, max): (Span, Span),
) -> Result<Span, Error> {
    let Some(length) = length else {
        return Ok(default);
    };
    let micros = length
        .seconds
        .checked_mul(MICROS)
        .and_then(|micros| micros.checked_add(i64::from(length.nanos) / 1000));
    let within = |micros: &i64| (min.as_micros()..=max.as_micros()).contains(micros);
    if let Some(micros) = micros.filter(within) {
        return Ok(Span::from_micros_clamped(micros));
    }
    let (min, max) = (min.as_micros() / MICROS, max.as_micros() / MICROS);
    let rule = format!("must be {min} s to {max} s");
    Err(Error::invalid(field, rule))
}

/// Writes a length of time.
pub(super) fn to_duration(span: Span) -> PbDuration {
    let micros = span.as_micros();
    PbDuration {
        seconds: micros / MICROS,
        nanos: i32::try_from(micros % MICROS * 1000).unwrap_or_default(),
    }
}

/// Reads a number of units, `least` to 10^12.
pub(super) fn units(
    field: &str,
    given: Option<i64>,
    default: i64,
    least: i64,
) -> Result<i64, Error> {
    let units = given.unwrap_or(default);
    if !(-QUANTITY_MAX..=QUANTITY_MAX).contains(&units) {
        return Err(invalid(field, Rule::QuantityRange));
    }
    if units < least {
        return Err(Error::invalid(field, format!("must be at least {least}")));
    }
    Ok(units)
}

/// Checks that a list has `least` to `most` elements.
pub(super) fn count(field: &str, actual: usize, least: usize, most: usize) -> Result<(), Error> {
    if actual > most {
        return Err(invalid(field, Rule::TooLong(most)));
    }
    if actual < least {
        let rule = format!("must have {least} or more elements");
        return Err(Error::invalid(field, rule));
    }
    Ok(())
}

/// Writes an id that may be absent.
pub(super) fn or_empty<T: Into<String>>(id: Option<T>) -> String {
    id.map_or_else(String::new, Into::into)
}
