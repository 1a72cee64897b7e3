//! `bursar export`: usage, events and customers as CSV, for spreadsheets and whoever writes bills.
//!
//! Rows are read from one instant of the database and written as they come. Columns for dimensions are found by a first
//! reading of the same instant.

mod cells;
mod customers;
mod events;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use async_trait::async_trait;
use clap::{Args, Subcommand};

use self::cells::labels;
use super::connect::run_async;
use super::copying::open_source;
use super::failure::{Failure, finish};
use super::instant::parse_instant;
use super::new_file::NewFile;
use crate::config::Database;
use crate::domain::catalog::Catalog;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::rollup::Rollup;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::storage::archive::{ArchiveError, Record, Scope, Sink, Source, Table};

/// The command line of `bursar export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bursar export usage --from 2026-11-01 --to 2026-12-01 >usage.csv
  bursar export usage --from 2026-11-01 --to 2026-12-01 --by hour --customer acme --output acme.csv
  bursar export events --from 2026-11-21 --to 2026-11-22 --meter tokens
  bursar export customers --output customers.csv

Servers go on meanwhile. Times are UTC; a range takes its start and not its end. docs/operations.md explains the columns.

Exit codes:
  0  written
  1  it could not be read or written
  2  wrong arguments")]
pub struct ExportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What each customer used: by meter, subaccount and dimensions, per day or hour
    Usage {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        span: RangeArgs,
        /// How long the time is that one row sums up
        #[arg(long, value_enum, default_value_t)]
        by: Step,
    },
    /// Single events and voids, by the time at which they count
    Events {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        span: RangeArgs,
    },
    /// Customers with their plans; personal data is in it
    Customers {
        #[command(flatten)]
        place: Place,
    },
}

/// Where from and where to.
#[derive(Debug, Args)]
struct Place {
    /// The database: a file of SQLite, or `postgres://USER@HOST/NAME`
    #[arg(
        long,
        env = "BURSAR_DATABASE",
        hide_env_values = true,
        value_name = "DATABASE",
        default_value = "bursar.db"
    )]
    database: Database,
    /// The file, which is not there yet; `-` writes to standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Of which time, and of what.
#[derive(Debug, Args)]
struct RangeArgs {
    /// The first day, or an hour such as `2026-11-01T05:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Timestamp,
    /// The day, or the hour, before which it ends
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Timestamp,
    /// Only this customer
    #[arg(long, value_name = "ID", value_parser = parse_customer)]
    customer: Option<CustomerId>,
    /// Only this meter
    #[arg(long, value_name = "ID", value_parser = parse_meter)]
    meter: Option<MeterId>,
}

/// How long the time is that a row sums up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// A day (UTC)
    #[default]
    Day,
    /// An hour
    Hour,
}

impl Step {
    const fn span(self) -> Span {
        match self {
            Self::Day => Span::from_days(1),
            Self::Hour => Span::from_hours(1),
        }
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let at = parse_instant(text)?;
    if Rollup::hour_of(at) == at {
        Ok(at)
    } else {
        Err("totals are kept by the hour (UTC): name a whole one".to_owned())
    }
}

fn parse_customer(text: &str) -> Result<CustomerId, String> {
    CustomerId::new(text).map_err(|error| error.to_string())
}

fn parse_meter(text: &str) -> Result<MeterId, String> {
    MeterId::new(text).map_err(|error| error.to_string())
}

/// Runs `bursar export`.
#[must_use]
pub fn run(args: &ExportArgs) -> ExitCode {
    finish(run_async(export(args)))
}

async fn export(args: &ExportArgs) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Usage { place, span, by } => {
            let scope = span.scope(Table::Rollups)?;
            let mut source = open_source(&place.database).await?;
            let columns = columns(&mut *source, &scope, span.meter.as_ref()).await?;
            let file = NewFile::create(&place.output)?;
            let mut sheet = usage::Sheet::begin(file.output()?, columns, *by, span.range())?;
            source.send(&scope, &mut sheet).await?;
            sheet.end()?;
            file.keep()?;
        }
        What::Events { place, span } => {
            let scope = span.scope(Table::Events)?;
            let mut source = open_source(&place.database).await?;
            let columns = columns(&mut *source, &scope, span.meter.as_ref()).await?;
            let file = NewFile::create(&place.output)?;
            let mut sheet = events::Sheet::begin(file.output()?, columns)?;
            source.send(&scope, &mut sheet).await?;
            sheet.end()?;
            file.keep()?;
        }
        What::Customers { place } => {
            let mut source = open_source(&place.database).await?;
            let file = NewFile::create(&place.output)?;
            let mut sheet = customers::Sheet::begin(file.output()?)?;
            source
                .send(&Scope::of(&[Table::Customers]), &mut sheet)
                .await?;
            sheet.end()?;
            file.keep()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl RangeArgs {
    const fn range(&self) -> TimeRange {
        TimeRange {
            start: self.from,
            end: self.to,
        }
    }

    fn scope(&self, table: Table) -> Result<Scope, Failure> {
        if self.from >= self.to {
            let text = format!("--from {} is not before --to {}", self.from, self.to);
            return Err(Failure::Unusable(text));
        }
        Ok(Scope {
            tables: vec![table],
            range: self.range(),
            customer: self.customer.clone(),
        })
    }
}

/// What is known of the rows before they are written.
struct Columns {
    /// Only rows of this meter.
    meter: Option<String>,
    /// The dimensions that they have, each a column.
    dimensions: Vec<String>,
    /// Units by meter, as the newest catalog that knows the meter has them.
    units: BTreeMap<String, String>,
}

impl Columns {
    fn takes(&self, meter: &str) -> bool {
        self.meter.as_ref().is_none_or(|only| only == meter)
    }

    fn unit(&self, meter: &str) -> &str {
        self.units.get(meter).map_or("", String::as_str)
    }
}

/// Looks through what is going to be written.
async fn columns(
    source: &mut dyn Source,
    scope: &Scope,
    meter: Option<&MeterId>,
) -> Result<Columns, Failure> {
    let columns = Columns {
        meter: meter.map(ToString::to_string),
        dimensions: Vec::new(),
        units: BTreeMap::new(),
    };
    let mut search = Search {
        columns,
        dimensions: BTreeSet::new(),
    };
    source
        .send(&Scope::of(&[Table::Catalogs]), &mut search)
        .await?;
    source.send(scope, &mut search).await?;
    let Search {
        mut columns,
        dimensions,
    } = search;
    columns.dimensions = dimensions.into_iter().collect();
    Ok(columns)
}

/// Gathers the names of dimensions, and the units of meters.
struct Search {
    columns: Columns,
    dimensions: BTreeSet<String>,
}

#[async_trait(?Send)]
impl Sink for Search {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        for record in records {
            let (meter, dimensions) = match record {
                Record::Catalog(row) => {
                    // Catalogs come by version, so the newest has the last word.
                    let catalog: Catalog = cells::read("catalogs", row.catalog.get())?;
                    for (id, meter) in catalog.meters {
                        let unit = meter.unit.to_string();
                        self.columns.units.insert(id.into(), unit);
                    }
                    continue;
                }
                Record::Rollup(row) => (&row.meter, &row.dimensions),
                Record::Event(row) => (&row.meter, &row.dimensions),
                _ => continue,
            };
            if self.columns.takes(meter) {
                for name in labels(dimensions.as_deref())?.into_keys() {
                    if !self.dimensions.contains(&*name) {
                        self.dimensions.insert(name.into());
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_whole_hours() {
        let read = |text: &str| parse_time(text).map(|at| at.to_string());
        assert_eq!(read("2026-11-01").unwrap(), "2026-11-01T00:00:00Z");
        assert_eq!(
            read("2026-11-01T05:00:00Z").unwrap(),
            "2026-11-01T05:00:00Z"
        );
        assert_eq!(
            read("2026-11-01T05:00:00+02:00").unwrap(),
            "2026-11-01T03:00:00Z"
        );
        for wrong in [
            "",
            "today",
            "2026-13-01",
            "2026-11-01T05:30:00Z",
            "1969-01-01",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
