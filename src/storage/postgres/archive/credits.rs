//! Rows of wallets, read and written in the order in which statements name their columns.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::storage::StoreError;
use crate::storage::archive::{
    self, DrawRecord, GrantRecord, HoldRecord, Json, PostedRecord, Record, WalletRecord,
};
use crate::storage::postgres::columns::indexed;
use crate::storage::postgres::copy::CopyText;
use crate::storage::wallets::{due_time_of_terms, payment_of_body};

fn json(table: &'static str, row: &PgRow, at: usize) -> Result<Json, StoreError> {
    archive::json(table, row.try_get::<String, _>(at)?)
}

pub(super) fn read_wallet(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Wallet(WalletRecord {
        customer: row.try_get(0)?,
        subaccount: row.try_get(1)?,
        unit: row.try_get(2)?,
        number: row.try_get(3)?,
        receivable: row.try_get(4)?,
        terms: json("wallets", row, 5)?,
    }))
}

pub(super) fn read_grant(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Grant(GrantRecord {
        customer: row.try_get(0)?,
        id: row.try_get(1)?,
        subaccount: row.try_get(2)?,
        unit: row.try_get(3)?,
        amount: row.try_get(4)?,
        used: row.try_get(5)?,
        held: row.try_get(6)?,
        lapsed: row.try_get(7)?,
        change_time: row.try_get(8)?,
        expire_time: row.try_get(9)?,
        body: json("grants", row, 10)?,
    }))
}

pub(super) fn read_hold(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Hold(HoldRecord {
        customer: row.try_get(0)?,
        id: row.try_get(1)?,
        subaccount: row.try_get(2)?,
        unit: row.try_get(3)?,
        state: row.try_get::<i16, _>(4)?.into(),
        expire_time: row.try_get(5)?,
        end_time: row.try_get(6)?,
        body: json("holds", row, 7)?,
    }))
}

pub(super) fn read_posted(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Posted(PostedRecord {
        customer: row.try_get(0)?,
        subaccount: row.try_get(1)?,
        unit: row.try_get(2)?,
        number: row.try_get(3)?,
        time: row.try_get(4)?,
        cause: row.try_get(5)?,
        body: json("ledger", row, 6)?,
        available: row.try_get(7)?,
        held: row.try_get(8)?,
        receivable: row.try_get(9)?,
    }))
}

pub(super) fn read_draw(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Draw(DrawRecord {
        customer: row.try_get(0)?,
        feature: row.try_get(1)?,
        period_start: row.try_get(2)?,
        period_end: row.try_get(3)?,
        body: json("draws", row, 4)?,
    }))
}

pub(super) fn wallet<'a>(
    rows: &'a mut CopyText,
    row: &WalletRecord,
) -> Result<&'a mut CopyText, StoreError> {
    Ok(rows
        .text(&row.customer)
        .text(&row.subaccount)
        .text(&row.unit)
        .number(row.number)
        .number(row.receivable)
        .text(row.terms.get())
        .number_or_none(due_time_of_terms(row.terms.get())?))
}

pub(super) fn grant<'a>(
    rows: &'a mut CopyText,
    row: &GrantRecord,
) -> Result<&'a mut CopyText, StoreError> {
    let payment = payment_of_body(row.body.get())?;
    let payment = payment.as_deref().map(|text| indexed(text).0);
    Ok(rows
        .text(&row.customer)
        .text(&row.id)
        .text(&row.subaccount)
        .text(&row.unit)
        .number(row.amount)
        .number(row.used)
        .number(row.held)
        .number(row.lapsed)
        .number(row.change_time)
        .number_or_none(row.expire_time)
        .text(row.body.get())
        .text_or_none(payment.as_deref()))
}

pub(super) fn hold<'a>(rows: &'a mut CopyText, row: &HoldRecord) -> &'a mut CopyText {
    rows.text(&row.customer)
        .text(&row.id)
        .text(&row.subaccount)
        .text(&row.unit)
        .number(row.state)
        .number(row.expire_time)
        .number_or_none(row.end_time)
        .text(row.body.get())
}

pub(super) fn posted<'a>(rows: &'a mut CopyText, row: &PostedRecord) -> &'a mut CopyText {
    rows.text(&row.customer)
        .text(&row.subaccount)
        .text(&row.unit)
        .number(row.number)
        .number(row.time)
        .text(&row.cause)
        .text(row.body.get())
        .number(row.available)
        .number(row.held)
        .number(row.receivable)
}

pub(super) fn draw<'a>(rows: &'a mut CopyText, row: &DrawRecord) -> &'a mut CopyText {
    rows.text(&row.customer)
        .text(&row.feature)
        .number(row.period_start)
        .number(row.period_end)
        .text(row.body.get())
}
