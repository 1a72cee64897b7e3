//! Comparisons of what was used with what is billed, on the wire and as CSV.

use super::to_timestamp;
use crate::domain::time::Timestamp;
use crate::engine::{Error, Reconciled};
use crate::grpc::pb;

/// The columns of the CSV, in the order of the fields of a row.
const COLUMNS: [&str; 14] = [
    "customer_id",
    "meter_id",
    "period_start",
    "period_end",
    "stored_milli",
    "charged_milli",
    "sealed",
    "delivered",
    "pending",
    "in_doubt",
    "failed",
    "stripe_sum",
    "invoiced",
    "difference",
];

/// Writes a row.
pub(in crate::grpc) fn reconciliation_row(row: Reconciled) -> pb::ReconciliationRow {
    let difference = row.difference();
    let bill = row.bill;
    pb::ReconciliationRow {
        customer_id: bill.customer.into(),
        meter_id: bill.meter.into(),
        period_start: Some(to_timestamp(bill.period.start)),
        period_end: Some(to_timestamp(bill.period.end)),
        stored_milli: bill.stored.0,
        charged_milli: bill.charged.0,
        sealed: bill.sealed,
        delivered: bill.delivered,
        pending: bill.pending,
        in_doubt: bill.in_doubt,
        failed: bill.failed,
        stripe_sum: row.stripe_sum,
        invoiced: row.invoiced,
        difference,
    }
}

/// Writes rows as CSV, as RFC 4180 has it, with its headings if it is the first part.
///
/// # Errors
/// Never: memory takes all that is written.
pub(in crate::grpc) fn csv(
    rows: &[pb::ReconciliationRow],
    is_first: bool,
) -> Result<String, Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    if is_first {
        writer.write_record(COLUMNS).map_err(|_| Error::Internal)?;
    }
    for row in rows {
        writer
            .write_record(fields(row))
            .map_err(|_| Error::Internal)?;
    }
    let written = writer.into_inner().map_err(|_| Error::Internal)?;
    String::from_utf8(written).map_err(|_| Error::Internal)
}

/// Returns the fields of a row in the order of the columns; what is not known is empty.
fn fields(row: &pb::ReconciliationRow) -> Vec<String> {
    let times = [row.period_start, row.period_end];
    let times = times.map(|time| time.map(instant).unwrap_or_default());
    let numbers = [
        row.stored_milli,
        row.charged_milli,
        row.sealed,
        row.delivered,
        row.pending,
        row.in_doubt,
        row.failed,
    ];
    let known = [row.stripe_sum, row.invoiced, row.difference];
    let numbers = numbers.map(Some).into_iter().chain(known);
    let mut fields = vec![row.customer_id.clone(), row.meter_id.clone()];
    fields.extend(times);
    fields.extend(numbers.map(|number| number.map(|of| of.to_string()).unwrap_or_default()));
    fields
}

fn instant(stamp: prost_types::Timestamp) -> String {
    let micros = stamp.seconds.saturating_mul(1_000_000) + i64::from(stamp.nanos / 1_000);
    Timestamp::from_micros_clamped(micros).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_lines_and_what_is_not_known_stays_empty() {
        let row = pb::ReconciliationRow {
            customer_id: "a,\"cme".to_owned(),
            meter_id: "calls".to_owned(),
            period_start: Some(prost_types::Timestamp::default()),
            stored_milli: 5_000,
            charged_milli: 4_500,
            sealed: 4,
            delivered: 4,
            stripe_sum: Some(4),
            difference: Some(0),
            ..pb::ReconciliationRow::default()
        };
        assert_eq!(fields(&row).len(), COLUMNS.len());
        let text = csv(std::slice::from_ref(&row), true).unwrap();
        let line = r#""a,""cme",calls,1970-01-01T00:00:00Z,,5000,4500,4,4,0,0,0,4,,0"#;
        assert_eq!(text, format!("{}\r\n{line}\r\n", COLUMNS.join(",")));
        assert_eq!(csv(&[row], false).unwrap(), format!("{line}\r\n"));
    }
}
