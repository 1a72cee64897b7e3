//! What commands that copy databases do alike: open them, show how far they are, say what was copied.

use std::fmt::Write as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::print::grouped;
use crate::config::Database;
use crate::storage::archive::{ArchiveError, Source, Table, Tally, Target};
use crate::storage::postgres::{PostgresSnapshot, PostgresTarget};
use crate::storage::sqlite::{SqliteSnapshot, SqliteTarget};

/// Opens a database to be read as it is now.
pub async fn open_source(database: &Database) -> Result<Box<dyn Source>, Failure> {
    Ok(match database {
        Database::Memory => return Err(in_memory()),
        Database::Sqlite(path) => Box::new(SqliteSnapshot::open(path)?),
        Database::Postgres(address) => Box::new(PostgresSnapshot::open(address).await?),
    })
}

/// Begins a copy where there is no database yet.
pub async fn open_target(database: &Database) -> Result<Box<dyn Target>, Failure> {
    Ok(match database {
        Database::Memory => return Err(in_memory()),
        Database::Sqlite(path) => Box::new(SqliteTarget::create(path)?),
        Database::Postgres(address) => Box::new(PostgresTarget::create(address).await?),
    })
}

fn in_memory() -> Failure {
    Failure::Unusable(
        "memory: ends with its server, so there is nothing to copy; name a file or a postgres:// address".to_owned(),
    )
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// Shows how far a copy is, on a terminal only.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}")
            .expect("the template is fixed and was tried");
        Self(ProgressBar::no_length().with_style(style))
    }

    /// Returns what is to be told.
    pub fn watch(&mut self) -> impl FnMut(&'static str, Table, u64) {
        let bar = self.0.clone();
        move |doing, table, rows| {
            bar.set_message(format!(
                "{doing} {}: {}",
                table.name(),
                grouped(rows.into())
            ));
            bar.tick();
        }
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Says how many rows of each table were copied, with a digest that equal tables have in common.
pub fn report(tally: &Tally) -> String {
    let mut text = String::new();
    for table in Table::ALL {
        let sum = tally.of(table);
        let rows = grouped(sum.rows.into());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:12} {rows:>14}  {:032x}", table.name(), sum.digest);
    }
    text
}
