//! Rows of an archive as they are copied into tables.

use super::credits;
use crate::domain::counter::Ring;
use crate::domain::customer::Allocation;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::storage::StoreError;
use crate::storage::archive::{
    CounterRecord, EventRecord, Record, ReservationRecord, RollupRecord, Table,
};
use crate::storage::columns::{pack_ring, read_json};
use crate::storage::postgres::columns::indexed;
use crate::storage::postgres::copy::CopyText;

/// Where events go, with their columns.
pub(super) const EVENTS: &str =
    "events (day, customer_id, event_id, kind, meter, quantity, weighted, count_time, event_time,
         record_time, flags, subaccount, dimensions, metadata, reservation, charge)";

/// Returns where rows of a table go, with their columns.
pub(super) const fn columns(table: Table) -> &'static str {
    match table {
        Table::Catalogs => "catalogs (version, catalog, source, apply_time)",
        Table::Customers => "customers (customer_id, version, body, subscription, tracked, deleted)",
        Table::Subaccounts => "subaccounts (customer_id, id, body, tracked)",
        Table::Overrides => "overrides (customer_id, feature, subaccount, body)",
        Table::Adjustments => "adjustments (customer_id, body)",
        Table::Allocations => "allocations (customer_id, feature, id, subaccount, body)",
        Table::Reservations => {
            "reservations (customer_id, id, subaccount, holder, metadata, items, reserve_time, expire_time, state,
                 end_time)"
        }
        Table::Wallets => "wallets (customer_id, subaccount, unit, number, receivable, terms, due_time)",
        Table::Grants => {
            "grants (customer_id, id, subaccount, unit, amount, used, held, lapsed, change_time, expire_time, body,
                 payment)"
        }
        Table::Holds => "holds (customer_id, id, subaccount, unit, state, expire_time, end_time, body)",
        Table::Ledger => {
            "ledger (customer_id, subaccount, unit, number, time, cause, body, available, held, receivable)"
        }
        Table::Draws => "draws (customer_id, feature, period_start, period_end, body)",
        Table::Counters => {
            "counters (customer_id, subaccount, spec, long_spec, start_time, end_time, used, reserved, ring, dropped)"
        }
        Table::Rollups => {
            "rollups (customer_id, meter, hour, subaccount, dimensions, long_dimensions, count, sum, max, latest_time,
                 latest)"
        }
        Table::Denials => "denials (customer_id, minute, feature, reason, count, sample)",
        Table::Answers => "answers (caller, method, request, content, answer, time)",
        Table::Billing => "billing (kind, id, customer, state, due_time, create_time, body)",
        Table::Events => EVENTS,
    }
}

/// Writes a row in the order of [`columns`].
pub(super) fn write(rows: &mut CopyText, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Catalog(row) => rows
            .number(row.version)
            .text(row.catalog.get())
            .text(&row.source)
            .number(row.apply_time),
        Record::Customer(row) => rows
            .text(&row.id)
            .number(1)
            .text(row.body.get())
            .text_or_none(row.subscription.as_ref().map(|json| json.get()))
            .text(row.tracked.get())
            .truth(row.deleted),
        Record::Subaccount(row) => rows
            .text(&row.customer)
            .text(&row.id)
            .text(row.body.get())
            .text(row.tracked.get()),
        Record::Override(row) => rows
            .text(&row.customer)
            .text(&row.feature)
            .text(&row.subaccount)
            .text(row.body.get()),
        Record::Adjustment(row) => rows.text(&row.customer).text(row.body.get()),
        Record::Allocation(row) => {
            let allocation: Allocation = read_json("allocations", row.body.get())?;
            let part = allocation.subaccount.as_ref().map(SubaccountId::as_str);
            rows.text(&row.customer)
                .text(&row.feature)
                .text(&row.id)
                .text_or_none(part)
                .text(row.body.get())
        }
        Record::Reservation(row) => reservation(rows, row),
        Record::Wallet(row) => credits::wallet(rows, row)?,
        Record::Grant(row) => credits::grant(rows, row)?,
        Record::Hold(row) => credits::hold(rows, row),
        Record::Posted(row) => credits::posted(rows, row),
        Record::Draw(row) => credits::draw(rows, row),
        Record::Counter(row) => counter(rows, row),
        Record::Rollup(row) => rollup(rows, row),
        Record::Denial(row) => rows
            .text(&row.customer)
            .number(row.minute)
            .text(&row.feature)
            .text(&row.reason)
            .number(row.count)
            .text(&row.sample),
        Record::Answer(row) => rows
            .text(&row.caller)
            .text(&row.method)
            .text(&row.request)
            .bytes(&row.content)
            .text(&row.answer)
            .number(row.time),
        Record::Billing(row) => rows
            .text(&row.kind)
            .text(&row.id)
            .text_or_none(row.customer.as_deref())
            .text(&row.state)
            .number_or_none(row.due_time)
            .number(row.create_time)
            .text(row.body.get()),
        // Written by their own way, which makes their partitions.
        Record::Event(_) => return Ok(()),
    }
    .end();
    Ok(())
}

fn reservation<'a>(rows: &'a mut CopyText, row: &ReservationRecord) -> &'a mut CopyText {
    rows.text(&row.customer)
        .text(&row.id)
        .text_or_none(row.subaccount.as_deref())
        .text(&row.holder)
        .text_or_none(row.metadata.as_ref().map(|json| json.get()))
        .text(row.items.get())
        .number(row.reserve_time)
        .number(row.expire_time)
        .number(row.state)
        .number_or_none(row.end_time)
}

fn counter<'a>(rows: &'a mut CopyText, row: &CounterRecord) -> &'a mut CopyText {
    let (spec, long) = indexed(row.spec.get());
    rows.text(&row.customer)
        .text(&row.subaccount)
        .text(&spec)
        .text_or_none(long)
        .number(row.start)
        .number(row.end)
        .number(row.used)
        .number(row.reserved);
    match &row.ring {
        Some(ring) => {
            let buckets = ring.iter().map(|(at, used)| (*at, Milli(*used)));
            rows.bytes(&pack_ring(&Ring(buckets.collect())))
        }
        None => rows.none(),
    }
    .number(row.dropped)
}

fn rollup<'a>(rows: &'a mut CopyText, row: &RollupRecord) -> &'a mut CopyText {
    let (dimensions, long) = indexed(row.dimensions_column());
    rows.text(&row.customer)
        .text(&row.meter)
        .number(row.hour)
        .text(&row.subaccount)
        .text(&dimensions)
        .text_or_none(long)
        .number(row.count)
        .number(row.sum)
        .number_or_none(row.max)
        .number_or_none(row.latest_time)
        .number_or_none(row.latest)
}

/// Writes an event in the order of [`EVENTS`].
pub(super) fn event(rows: &mut CopyText, day: i32, row: &EventRecord) {
    rows.number(day.into())
        .text(&row.customer)
        .text(&row.id)
        .number(row.kind)
        .text(&row.meter)
        .number(row.quantity)
        .number(row.weighted)
        .number(row.count_time)
        .number_or_none(row.event_time)
        .number_or_none(row.record_time)
        .number(row.flags)
        .text_or_none(row.subaccount.as_deref())
        .text_or_none(row.dimensions.as_ref().map(|json| json.get()))
        .text_or_none(row.metadata.as_ref().map(|json| json.get()))
        .text_or_none(row.reservation.as_deref())
        .text_or_none(row.charge.as_ref().map(|json| json.get()))
        .end();
}
