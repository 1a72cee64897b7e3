//! How values stand in columns that only SQLite has, and back.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::domain::id::EventId;
use crate::storage::StoreError;
pub(super) use crate::storage::columns::{
    corrupt, json, kind_column, labels_column, pack_ring, part_column, read_json, read_kind,
    read_labels, read_part, read_state, read_time, read_token, state_column, token, unpack_ring,
};

/// The condition that a column equals a parameter where that is given. It is written out, as one that holds for
/// both cases would keep what is asked for by its key from being found by it.
pub(super) fn equals(column: &str, parameter: &str, is_given: bool) -> String {
    if is_given {
        format!("{column} = {parameter}")
    } else {
        format!("{parameter} IS NULL")
    }
}

/// An event id as its column holds it. Ordered as SQLite orders the column: text before blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum IdColumn<'a> {
    /// Any other text.
    Text(&'a str),
    /// A canonical lower-case UUID.
    Uuid([u8; 16]),
}

impl<'a> IdColumn<'a> {
    pub(super) fn of(id: &'a EventId) -> Self {
        parse_uuid(id.as_str()).map_or(Self::Text(id.as_str()), Self::Uuid)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Uuid(bytes) => bytes,
        }
    }

    pub(super) fn to_id(self) -> Result<EventId, StoreError> {
        match self {
            Self::Text(text) => EventId::new(text),
            Self::Uuid(bytes) => EventId::new(
                &*uuid::Uuid::from_bytes(bytes)
                    .hyphenated()
                    .encode_lower(&mut [0; 36]),
            ),
        }
        .map_err(|error| corrupt("events", error))
    }

    pub(super) fn read(value: ValueRef<'a>) -> Result<Self, StoreError> {
        match value {
            ValueRef::Text(text) => std::str::from_utf8(text)
                .map(Self::Text)
                .map_err(|error| corrupt("events", error)),
            ValueRef::Blob(bytes) => bytes
                .try_into()
                .map(Self::Uuid)
                .map_err(|_| corrupt("events", "an id of another length than 16 bytes")),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {
                Err(corrupt("events", "an id that is neither text nor blob"))
            }
        }
    }
}

impl ToSql for IdColumn<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Uuid(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Reads a UUID only in the one spelling that it is written back in.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    const fn nibble(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 0xff,
        }
    }
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut at = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        let (high, low) = (nibble(text[at]), nibble(text[at + 1]));
        if high | low > 15 {
            return None;
        }
        *byte = high << 4 | low;
        at += 2;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_uuid() {
        let canonical = "01981f7e-9c4b-7d2a-8b10-00aa11bb22cc";
        for (text, blob) in [
            (canonical, true),
            ("01981F7E-9C4B-7D2A-8B10-00AA11BB22CC", false),
            ("01981f7e9c4b7d2a8b1000aa11bb22cc", false),
            ("01981f7e-9c4b-7d2a-8b10-00aa11bb22cg", false),
            ("01981f7e-9c4b-7d2a-8b10_00aa11bb22cc", false),
            ("order-42", false),
        ] {
            let id = EventId::new(text).unwrap();
            let column = IdColumn::of(&id);
            assert_eq!(matches!(column, IdColumn::Uuid(_)), blob, "{text}");
            assert_eq!(column.to_id().unwrap(), id);
        }
    }
}
