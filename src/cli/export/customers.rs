//! Customers as rows, so that usage can be put beside names and plans.

use std::io::Write;

use async_trait::async_trait;

use super::cells::{Csv, read};
use crate::domain::customer::Customer;
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::storage::archive::{ArchiveError, CustomerRecord, Record, Sink};

/// Writes customers as they come.
pub(super) struct Sheet {
    csv: Csv,
}

impl Sheet {
    pub(super) fn begin(output: Box<dyn Write>) -> Result<Self, ArchiveError> {
        let mut csv = Csv::new(output);
        for name in [
            "customer_id",
            "display_name",
            "email",
            "plan_id",
            "status",
            "create_time",
            "delete_time",
        ] {
            csv.cell(name);
        }
        csv.end_row()?;
        Ok(Self { csv })
    }

    pub(super) fn end(self) -> Result<(), ArchiveError> {
        self.csv.end()
    }

    fn write(&mut self, row: &CustomerRecord) -> Result<(), ArchiveError> {
        let customer: Customer = read("customers", row.body.get())?;
        let held: Option<Subscription> = match &row.subscription {
            Some(json) => Some(read("customers", json.get())?),
            None => None,
        };
        let (plan, status) = match &held {
            Some(held) => (held.plan.as_str(), serde_json::to_value(held.status).ok()),
            None => ("", None),
        };
        let status = status.as_ref().and_then(serde_json::Value::as_str);
        let gone = customer.delete_time.map(|at| at.to_string());
        self.csv
            .cell(customer.id.as_str())
            .cell(&customer.display_name)
            .cell(&customer.email)
            .cell(plan)
            .cell(status.unwrap_or(""))
            .time(Timestamp::as_micros(customer.create_time))
            .cell(gone.as_deref().unwrap_or(""))
            .end_row()
    }
}

#[async_trait(?Send)]
impl Sink for Sheet {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        for record in records {
            if let Record::Customer(row) = record {
                self.write(row)?;
            }
        }
        Ok(())
    }
}
