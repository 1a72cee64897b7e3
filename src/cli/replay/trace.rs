//! The trace file: one row per request, with its time and what it read and wrote.
//!
//! The format is that of the public Azure LLM inference traces: a header `TIMESTAMP,ContextTokens,GeneratedTokens`,
//! times such as `2023-11-16 18:15:46.6805900` in UTC, lines that end with CRLF or LF.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::domain::quantity::QUANTITY_MAX;
use crate::domain::time::{Span, Timestamp};

/// The first line.
const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// When it was made; finer digits than microseconds are dropped.
    pub time: Timestamp,
    /// Tokens that it read and that it wrote, at least 0.
    pub tokens: [i64; 2],
}

/// A trace as it was read.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Name of the file, for people.
    pub name: String,
    /// SHA-256 of the file's bytes.
    pub digest: [u8; 32],
    /// Its requests in the order of the file; at least one.
    pub rows: Vec<Row>,
}

/// What is wrong with a trace.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TraceFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// At the first line that is not as it should be, and when there is no row.
    pub fn read(name: &str, text: &str) -> Result<Self, TraceFault> {
        let fault = |line: usize, message: String| TraceFault { line, message };
        let mut lines = text.lines().enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        if header.trim_start_matches('\u{feff}') != HEADER {
            return Err(fault(1, format!("must be {HEADER:?}, not {header:?}")));
        }
        let mut rows = Vec::new();
        for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
            rows.push(read_row(line).map_err(|message| fault(at + 1, message))?);
        }
        if rows.is_empty() {
            return Err(fault(2, "there is no row".to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            digest: Sha256::digest(text.as_bytes()).into(),
            rows,
        })
    }

    /// Returns the earliest time in it.
    #[must_use]
    pub fn first_time(&self) -> Timestamp {
        self.times().min().unwrap_or(Timestamp::MIN)
    }

    /// Returns the latest time in it: that of the last row, in a file that is in order.
    #[must_use]
    pub fn last_time(&self) -> Timestamp {
        self.times().max().unwrap_or(Timestamp::MIN)
    }

    /// Returns how much time it covers.
    #[must_use]
    pub fn length(&self) -> Span {
        self.last_time().since(self.first_time())
    }

    /// Returns the sums of its two columns.
    #[must_use]
    pub fn sums(&self) -> [i128; 2] {
        [0, 1].map(|column| {
            self.rows
                .iter()
                .map(|row| i128::from(row.tokens[column]))
                .sum()
        })
    }

    /// Returns what nine requests out of ten do not write more than; at least 1.
    #[must_use]
    pub fn usual_generated(&self) -> i64 {
        let mut written: Vec<i64> = self.rows.iter().map(|row| row.tokens[1]).collect();
        let at = (written.len() - 1) * 9 / 10;
        (*written.select_nth_unstable(at).1).max(1)
    }

    fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.rows.iter().map(|row| row.time)
    }
}

fn read_row(line: &str) -> Result<Row, String> {
    let mut fields = line.split(',');
    let (Some(time), Some(context), Some(generated), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(format!("must have three fields, not {line:?}"));
    };
    Ok(Row {
        time: read_time(time).ok_or_else(|| {
            format!("the time must be as in 2023-11-16 18:15:46.6805900, not {time:?}")
        })?,
        tokens: [read_tokens(context)?, read_tokens(generated)?],
    })
}

fn read_time(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Timestamp::from_micros(zoned.timestamp().as_microsecond())
}

fn read_tokens(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|tokens| (0..=QUANTITY_MAX).contains(tokens))
        .ok_or_else(|| {
            format!("tokens must be a whole number from 0 to {QUANTITY_MAX}, not {text:?}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n";

    #[test]
    fn lines_end_with_lf_or_crlf() {
        let lf = format!("{HEADER}\n{ROWS}");
        let crlf = lf.replace('\n', "\r\n") + "\r\n";
        let [lf, crlf] = [lf, crlf].map(|text| Trace::read("t", &text).expect("it is a trace"));
        assert_eq!(lf.rows, crlf.rows);
        assert_ne!(lf.digest, crlf.digest);
        assert_eq!(lf.sums(), [770, 153]);
        // The seventh digit is dropped.
        assert_eq!(lf.first_time().to_string(), "2023-11-16T18:15:46.68059Z");
        assert_eq!(lf.last_time().to_string(), "2023-11-16T18:15:50.995169Z");
        assert_eq!(lf.length().as_micros(), 4_314_579);
    }

    #[test]
    fn a_fault_names_its_line() {
        for (text, line) in [
            ("", 1),
            ("a,b,c\n", 1),
            ("TIMESTAMP,ContextTokens,GeneratedTokens\n", 2),
            (
                "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1\n",
                2,
            ),
            (
                "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2,3\n",
                2,
            ),
            (
                "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2\n16.11.2023,1,2\n",
                3,
            ),
            (
                "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,-1,2\n",
                2,
            ),
            (
                "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,2.5\n",
                2,
            ),
        ] {
            assert_eq!(Trace::read("t", text).expect_err(text).line, line, "{text}");
        }
    }

    #[test]
    fn the_shipped_sample_reads() {
        let trace = Trace::read("sample", super::super::SAMPLE).expect("it is ours");
        assert_eq!(trace.rows.len(), 500);
        assert!(trace.rows.is_sorted_by_key(|row| row.time));
        assert!(trace.sums().iter().all(|sum| *sum > 0));
    }
}
