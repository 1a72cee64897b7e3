//! An archive in a file: one line of JSON per record, between a line that says what it is and one that says what it
//! held.
//!
//! ```text
//! {"bursar_archive":3,"made_by":"0.1.0","made":"…","from":"sqlite","schema":1,"incarnation":"…","latest":…}
//! {"customer":{"id":"acme","body":{…},"tracked":[…]}}
//! {"end":{"tables":[{"table":"customers","rows":1,"digest":"…"},…],"checksum":"…"}}
//! ```
//!
//! The checksum is the SHA-256 of all bytes before the last line. Whatever reads an archive relies on nothing of it
//! before that line was reached and agreed.

use std::fmt::Write as _;
use std::io::{BufRead, Read as _, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tally::{TableSum, Tally};
use super::{ArchiveError, CustomerTotals, FORMAT, Header, PIECE, Record, Scope, Sink, Source};

/// Longest line, in bytes: what is longer is no record of ours, and is not read into memory.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How every archive begins.
const MARK: &[u8] = b"{\"bursar_archive\":";

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: Sums,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    tables: Vec<TableSum>,
    checksum: String,
}

fn hex(hash: Sha256) -> String {
    let digest = hash.finalize();
    let mut text = String::with_capacity(64);
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Writes an archive.
pub struct ArchiveWriter {
    /// What the file is called in errors.
    path: PathBuf,
    output: Box<dyn Write>,
    hash: Sha256,
    tally: Tally,
    line: Vec<u8>,
}

impl ArchiveWriter {
    /// Writes to an output; the path is what errors call it.
    #[must_use]
    pub fn new(path: &Path, output: Box<dyn Write>) -> Self {
        Self {
            path: path.to_owned(),
            output,
            hash: Sha256::new(),
            tally: Tally::default(),
            line: Vec::new(),
        }
    }

    fn failed(&self, source: std::io::Error) -> ArchiveError {
        ArchiveError::File {
            path: self.path.clone(),
            source,
        }
    }

    fn end_line(&mut self) -> Result<(), ArchiveError> {
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.output
            .write_all(&self.line)
            .map_err(|error| self.failed(error))
    }

    pub(super) fn begin(&mut self, header: &Header) -> Result<(), ArchiveError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, header).map_err(|error| self.failed(error.into()))?;
        self.end_line()
    }

    /// Writes the last line.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        let end = End {
            end: Sums {
                tables: self.tally.tables(),
                checksum: hex(self.hash.clone()),
            },
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &end).map_err(|error| self.failed(error.into()))?;
        self.end_line()?;
        self.output.flush().map_err(|error| self.failed(error))
    }
}

#[async_trait(?Send)]
impl Sink for ArchiveWriter {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        for record in records {
            record.write(&mut self.line)?;
            self.tally.add(record.table(), &self.line);
            self.end_line()?;
        }
        Ok(())
    }
}

/// Reads an archive, once.
pub struct ArchiveReader {
    path: PathBuf,
    input: Box<dyn BufRead>,
    header: Header,
    hash: Sha256,
    line: Vec<u8>,
}

impl ArchiveReader {
    /// Reads the first line of an archive; the path is what errors call it.
    ///
    /// # Errors
    /// When it cannot be read, is none, or was made by a binary that is too new.
    pub fn open(path: &Path, input: Box<dyn BufRead>) -> Result<Self, ArchiveError> {
        #[derive(Deserialize)]
        struct Version {
            bursar_archive: u32,
        }
        let none = || {
            ArchiveError::Foreign(format!(
                "{} is no archive of bursar: its first line does not say so",
                path.display()
            ))
        };
        let mut reader = Self {
            path: path.to_owned(),
            input,
            header: Header {
                bursar_archive: FORMAT,
                made_by: String::new(),
                made: String::new(),
                from: String::new(),
                schema: 0,
                incarnation: String::new(),
                latest: 0,
            },
            hash: Sha256::new(),
            line: Vec::new(),
        };
        if !reader.next_line()? {
            return Err(none());
        }
        let line = reader.line.strip_suffix(b"\n").unwrap_or(&reader.line);
        if !line.starts_with(MARK) {
            return Err(none());
        }
        let version: Version = serde_json::from_slice(line).map_err(|_| none())?;
        if version.bursar_archive > FORMAT {
            return Err(ArchiveError::Foreign(format!(
                "{} is an archive of format {}, and this binary reads {FORMAT} or less: restore it with a newer one",
                path.display(),
                version.bursar_archive
            )));
        }
        reader.header = serde_json::from_slice(line)
            .map_err(|error| ArchiveError::Damaged(format!("its first line: {error}")))?;
        reader.hash.update(&reader.line);
        Ok(reader)
    }

    /// Reads one line with its end; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, ArchiveError> {
        self.line.clear();
        let failed = |source| ArchiveError::File {
            path: self.path.clone(),
            source,
        };
        let mut input = (&mut self.input).take(LINE_BYTES_MAX);
        input.read_until(b'\n', &mut self.line).map_err(failed)?;
        if self.line.len() as u64 == LINE_BYTES_MAX {
            return Err(ArchiveError::Damaged("a line without end".to_owned()));
        }
        Ok(!self.line.is_empty())
    }

    /// Compares what was read with what the last line says.
    fn check_end(&mut self, tally: &Tally) -> Result<(), ArchiveError> {
        let damaged = |why: &str| Err(ArchiveError::Damaged(why.to_owned()));
        let Ok(End { end }) = serde_json::from_slice(&self.line) else {
            return damaged("a line that is no record");
        };
        if !self.line.ends_with(b"}}\n") {
            return damaged("its last line is cut");
        }
        if end.checksum != hex(self.hash.clone()) {
            return damaged("its checksum is that of other contents");
        }
        if !tally.agrees(&end.tables) {
            return damaged("it holds other rows than its last line says");
        }
        if self.next_line()? {
            return damaged("something follows its last line");
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Source for ArchiveReader {
    fn header(&self) -> &Header {
        &self.header
    }

    async fn send(&mut self, scope: &Scope, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        let mut tally = Tally::default();
        let mut piece: Vec<Record> = Vec::with_capacity(PIECE);
        while self.next_line()? {
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let Ok(record) = serde_json::from_slice::<Record>(line) else {
                if !piece.is_empty() {
                    sink.take(&piece).await?;
                }
                return self.check_end(&tally);
            };
            let table = record.table();
            tally.add(table, line);
            self.hash.update(&self.line);
            let is_other = piece.last().is_some_and(|last| last.table() != table);
            if piece.len() == PIECE || is_other {
                sink.take(&piece).await?;
                piece.clear();
            }
            if scope.tables.contains(&table) {
                piece.push(record);
            }
        }
        Err(ArchiveError::Damaged(
            "it ends before its last line: it was cut".to_owned(),
        ))
    }

    async fn totals(&mut self, _after: &str) -> Result<Option<Vec<CustomerTotals>>, ArchiveError> {
        Ok(None)
    }
}
