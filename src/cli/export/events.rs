//! Single events as rows; a void is a row of its own that takes its event off again.

use std::io::Write;

use async_trait::async_trait;

use super::Columns;
use super::cells::{Csv, labels, read};
use crate::domain::wallet::UsageCharge;
use crate::storage::archive::{ArchiveError, EventRecord, Record, Sink};

/// Writes events as they come.
pub(super) struct Sheet {
    csv: Csv,
    columns: Columns,
}

impl Sheet {
    pub(super) fn begin(output: Box<dyn Write>, columns: Columns) -> Result<Self, ArchiveError> {
        let mut csv = Csv::new(output);
        for name in [
            "customer_id",
            "event_id",
            "kind",
            "meter_id",
            "unit",
            "subaccount_id",
            "count_time",
            "event_time",
            "record_time",
            "quantity",
            "weighted",
            "reservation_id",
            "charged_quantity",
            "charge_micros",
            "credit_unit",
            "payer_subaccount_id",
        ] {
            csv.cell(name);
        }
        for dimension in &columns.dimensions {
            csv.cell(&format!("dimension.{dimension}"));
        }
        csv.cell("metadata").end_row()?;
        Ok(Self { csv, columns })
    }

    pub(super) fn end(self) -> Result<(), ArchiveError> {
        self.csv.end()
    }

    fn write(&mut self, row: &EventRecord) -> Result<(), ArchiveError> {
        let dimensions = labels(row.dimensions.as_deref())?;
        self.csv
            .cell(&row.customer)
            .cell(&row.id)
            .cell(if row.kind == 0 { "usage" } else { "void" })
            .cell(&row.meter)
            .cell(self.columns.unit(&row.meter))
            .cell(row.subaccount.as_deref().unwrap_or(""))
            .time(row.count_time)
            .time(row.event_time.unwrap_or(row.count_time))
            .time(row.record_time.unwrap_or(row.count_time))
            .number(row.quantity)
            .milli(Some(row.weighted))
            .cell(row.reservation.as_deref().unwrap_or(""));
        self.write_charge(row)?;
        for name in &self.columns.dimensions {
            self.csv
                .cell(dimensions.get(&**name).map_or("", |value| value));
        }
        self.csv
            .cell(row.metadata.as_ref().map_or("", |json| json.get()))
            .end_row()
    }
}

impl Sheet {
    /// Writes what an event drew on a wallet: nothing when it drew nothing.
    fn write_charge(&mut self, row: &EventRecord) -> Result<(), ArchiveError> {
        let Some(json) = &row.charge else {
            self.csv.cell("").cell("").cell("").cell("");
            return Ok(());
        };
        let charge: UsageCharge = read("events", json.get())?;
        self.csv
            .milli(Some(charge.quantity.0))
            .number(charge.amount)
            .cell(&charge.wallet.unit)
            .cell(charge.wallet.owner.as_ref().map_or("", |id| id.as_str()));
        Ok(())
    }
}

#[async_trait(?Send)]
impl Sink for Sheet {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        for record in records {
            if let Record::Event(row) = record
                && self.columns.takes(&row.meter)
            {
                self.write(row)?;
            }
        }
        Ok(())
    }
}
