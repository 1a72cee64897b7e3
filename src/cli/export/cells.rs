//! Rows of CSV (RFC 4180, UTF-8, lines end with a line feed).

use std::io::Write;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::storage::StoreError;
use crate::storage::archive::ArchiveError;

/// Writes rows.
pub(super) struct Csv {
    output: Box<dyn Write>,
    row: Vec<u8>,
    has_cell: bool,
}

impl Csv {
    pub(super) fn new(output: Box<dyn Write>) -> Self {
        Self {
            output,
            row: Vec::new(),
            has_cell: false,
        }
    }

    /// Adds a cell; one that holds a comma, a quote or a line end is quoted.
    pub(super) fn cell(&mut self, text: &str) -> &mut Self {
        if self.has_cell {
            self.row.push(b',');
        }
        self.has_cell = true;
        if text.contains([',', '"', '\n', '\r']) {
            self.row.push(b'"');
            self.row
                .extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.row.push(b'"');
        } else {
            self.row.extend_from_slice(text.as_bytes());
        }
        self
    }

    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        self.cell(&number.to_string())
    }

    /// Adds a number of thousandths as a decimal, and nothing for none.
    pub(super) fn milli(&mut self, thousandths: Option<i64>) -> &mut Self {
        self.cell(&thousandths.map(decimal).unwrap_or_default())
    }

    /// Adds an instant in UTC.
    pub(super) fn time(&mut self, micros: i64) -> &mut Self {
        self.cell(&Timestamp::from_micros_clamped(micros).to_string())
    }

    pub(super) fn end_row(&mut self) -> Result<(), ArchiveError> {
        self.row.push(b'\n');
        let done = self.output.write_all(&self.row).map_err(failed);
        self.row.clear();
        self.has_cell = false;
        done
    }

    pub(super) fn end(mut self) -> Result<(), ArchiveError> {
        self.output.flush().map_err(failed)
    }
}

fn failed(source: std::io::Error) -> ArchiveError {
    ArchiveError::File {
        path: PathBuf::from("the output"),
        source,
    }
}

/// Writes thousandths as a decimal number without zeros at its end.
fn decimal(thousandths: i64) -> String {
    let whole = thousandths.unsigned_abs() / 1_000;
    let rest = thousandths.unsigned_abs() % 1_000;
    let sign = if thousandths < 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{rest:03}")
        .trim_end_matches('0')
        .to_owned()
}

/// Reads JSON of a store.
pub(super) fn read<T: DeserializeOwned>(
    table: &'static str,
    text: &str,
) -> Result<T, ArchiveError> {
    serde_json::from_str(text).map_err(|error| {
        let detail = error.to_string();
        StoreError::Corrupt { table, detail }.into()
    })
}

/// Reads dimensions; those beyond the cap are none.
pub(super) fn labels(column: Option<&RawValue>) -> Result<Labels, ArchiveError> {
    match column.map(RawValue::get) {
        Some(text) if text.starts_with('{') => read("rollups", text),
        Some(_) | None => Ok(Labels::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_short() {
        for (thousandths, text) in [
            (0, "0"),
            (1, "0.001"),
            (-1_500, "-1.5"),
            (2_000, "2"),
            (1_230, "1.23"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(decimal(thousandths), text);
        }
    }
}
