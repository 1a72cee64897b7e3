//! Usage as rows: hourly totals, summed up by day where that is asked for.

use std::collections::BTreeMap;
use std::io::Write;

use async_trait::async_trait;

use super::cells::{Csv, labels};
use super::{Columns, Step};
use crate::domain::quantity::Milli;
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::storage::StoreError;
use crate::storage::archive::{ArchiveError, Record, RollupRecord, Sink};

/// Names the rows that are being summed up: customer, meter, and the start of their step.
type Group = (String, String, i64);

/// Writes usage. Totals come by customer, meter and hour, so one step of one of them is in memory.
pub(super) struct Sheet {
    csv: Csv,
    columns: Columns,
    step: Step,
    range: TimeRange,
    group: Option<Group>,
    /// By subaccount and dimensions as they are stored.
    rows: BTreeMap<(String, String), (Option<RollupRecord>, Rollup)>,
}

impl Sheet {
    pub(super) fn begin(
        output: Box<dyn Write>,
        columns: Columns,
        step: Step,
        range: TimeRange,
    ) -> Result<Self, ArchiveError> {
        let mut csv = Csv::new(output);
        for name in [
            "customer_id",
            "meter_id",
            "unit",
            "start_time",
            "end_time",
            "subaccount_id",
        ] {
            csv.cell(name);
        }
        for dimension in &columns.dimensions {
            csv.cell(&format!("dimension.{dimension}"));
        }
        for name in ["dimensions_cut", "event_count", "sum", "max", "latest"] {
            csv.cell(name);
        }
        csv.end_row()?;
        Ok(Self {
            csv,
            columns,
            step,
            range,
            group: None,
            rows: BTreeMap::new(),
        })
    }

    pub(super) fn end(mut self) -> Result<(), ArchiveError> {
        self.flush()?;
        self.csv.end()
    }

    fn add(&mut self, row: &RollupRecord) -> Result<(), ArchiveError> {
        let step = self.step.span().as_micros();
        let start = row.hour.div_euclid(step) * step;
        let group = (row.customer.clone(), row.meter.clone(), start);
        if self.group.as_ref() != Some(&group) {
            self.flush()?;
            self.group = Some(group);
        }
        let dimensions = row.dimensions.as_ref().map_or("", |json| json.get());
        let key = (row.subaccount.clone(), dimensions.to_owned());
        let (first, sums) = self.rows.entry(key).or_default();
        let latest = row.latest_time.zip(row.latest);
        let add = Rollup {
            count: row.count,
            sum: Milli(row.sum),
            max: row.max.map(Milli),
            latest: latest.map(|(at, amount)| (Timestamp::from_micros_clamped(at), Milli(amount))),
        };
        *sums = sums.merge(add).map_err(|_| {
            StoreError::Constraint(format!(
                "the {} of {} on one day leave 64 bits; export them by the hour",
                row.meter, row.customer
            ))
        })?;
        first.get_or_insert_with(|| row.clone());
        Ok(())
    }

    /// Writes the rows of a step.
    fn flush(&mut self) -> Result<(), ArchiveError> {
        let Some((customer, meter, start)) = self.group.take() else {
            return Ok(());
        };
        // The first and the last day may be cut by the range.
        let end = start.saturating_add(self.step.span().as_micros());
        let start = start.max(self.range.start.as_micros());
        let end = end.min(self.range.end.as_micros());
        for ((subaccount, _), (row, sums)) in std::mem::take(&mut self.rows) {
            // All of it was taken back.
            if sums.count == 0 && sums.sum == Milli::ZERO {
                continue;
            }
            let dimensions = row.as_ref().and_then(|row| row.dimensions.as_deref());
            let is_cut = dimensions.is_some_and(|json| !json.get().starts_with('{'));
            let dimensions = labels(dimensions)?;
            self.csv
                .cell(&customer)
                .cell(&meter)
                .cell(self.columns.unit(&meter))
                .time(start)
                .time(end)
                .cell(&subaccount);
            for name in &self.columns.dimensions {
                self.csv
                    .cell(dimensions.get(&**name).map_or("", |value| value));
            }
            self.csv
                .cell(if is_cut { "true" } else { "false" })
                .number(sums.count)
                .milli(Some(sums.sum.0))
                .milli(sums.max.map(|max| max.0))
                .milli(sums.latest.map(|latest| latest.1.0))
                .end_row()?;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Sink for Sheet {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        for record in records {
            if let Record::Rollup(row) = record
                && self.columns.takes(&row.meter)
            {
                self.add(row)?;
            }
        }
        Ok(())
    }
}
