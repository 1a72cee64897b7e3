//! Rows of a copy as they are inserted.

use super::super::columns::{IdColumn, pack_ring, read_json, read_kind, read_time};
use super::super::names::{Numbers, Reading};
use super::super::wallets::{Appending, draw_id, places};
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::id::{CustomerId, EventId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::storage::archive::{
    AnswerRecord, BillingRecord, CounterRecord, CustomerRecord, DrawRecord, EventRecord,
    GrantRecord, HoldRecord, Json, PostedRecord, ReservationRecord, RollupRecord, SubaccountRecord,
    WalletRecord,
};
use crate::storage::columns::corrupt;
use crate::storage::wallets::{PostedColumns, due_time_of_terms, payment_of_body};
use crate::storage::{CustomerNo, EventKind, StoreError};

/// Writes rows that may belong to a customer.
pub(super) struct Inserts<'a> {
    pub(super) reading: Reading<'a>,
    pub(super) numbers: &'a mut Numbers,
}

impl Inserts<'_> {
    pub(super) fn insert(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<(), StoreError> {
        self.reading.conn.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    pub(super) fn customer(&mut self, id: &str) -> Result<CustomerNo, StoreError> {
        let id = CustomerId::new(id).map_err(|error| corrupt("customers", error))?;
        self.numbers.customer(self.reading, &id)
    }

    pub(super) fn meter(&mut self, id: &str) -> Result<i64, StoreError> {
        let id = MeterId::new(id).map_err(|error| corrupt("meters", error))?;
        self.numbers.meter(self.reading.conn, &id)
    }

    /// Returns the column that lists counters.
    pub(super) fn list(&mut self, tracked: &Json) -> Result<String, StoreError> {
        let specs: Vec<std::sync::Arc<CounterSpec>> = read_json("customers", tracked.get())?;
        self.numbers.specs(self.reading.conn, &specs)
    }

    pub(super) fn customer_row(&mut self, row: &CustomerRecord) -> Result<(), StoreError> {
        let tracked = self.list(&row.tracked)?;
        let subscription = row.subscription.as_ref().map(|json| json.get());
        self.insert(
            "INSERT INTO customers (id, body, subscription, tracked, deleted) VALUES (?1, ?2, ?3, ?4, ?5)",
            (&row.id, row.body.get(), subscription, tracked, row.deleted),
        )
    }

    pub(super) fn subaccount(&mut self, row: &SubaccountRecord) -> Result<(), StoreError> {
        let tracked = self.list(&row.tracked)?;
        let no = self.customer(&row.customer)?;
        self.insert(
            "INSERT INTO subaccounts VALUES (?1, ?2, ?3, ?4)",
            (no, &row.id, row.body.get(), tracked),
        )
    }

    pub(super) fn reservation(&mut self, row: &ReservationRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        self.insert(
            "INSERT INTO reservations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                no,
                &row.id,
                &row.subaccount,
                &row.holder,
                row.metadata.as_ref().map(|json| json.get()),
                row.items.get(),
                row.reserve_time,
                row.expire_time,
                row.state,
                row.end_time,
            ),
        )
    }

    pub(super) fn wallet(&mut self, row: &WalletRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        self.insert(
            "INSERT INTO books (customer_no, subaccount, unit, kind, id, state, number, receivable, body, due_time, places)
             VALUES (?1, ?2, ?3, 0, '', 0, ?4, ?5, ?6, ?7, '[]')",
            (
                no,
                &row.subaccount,
                &row.unit,
                row.number,
                row.receivable,
                row.terms.get(),
                due_time_of_terms(row.terms.get())?,
            ),
        )
    }

    pub(super) fn grant(&mut self, row: &GrantRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        let payment = payment_of_body(row.body.get())?;
        self.insert(
            "INSERT INTO books (customer_no, kind, id, subaccount, unit, amount, used, held, lapsed, payment, change_time,
                 due_time, state, body, end_time)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?6 + ?8 >= ?5, ?12,
                 iif(?6 + ?8 >= ?5, ?10, NULL))",
            (
                no,
                &row.id,
                &row.subaccount,
                &row.unit,
                row.amount,
                row.used,
                row.held,
                row.lapsed,
                payment,
                row.change_time,
                row.expire_time,
                row.body.get(),
            ),
        )
    }

    pub(super) fn hold(&mut self, row: &HoldRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        self.insert(
            "INSERT INTO books (customer_no, kind, id, subaccount, unit, state, due_time, end_time, body)
             VALUES (?1, 2, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                no,
                &row.id,
                &row.subaccount,
                &row.unit,
                row.state,
                row.expire_time,
                row.end_time,
                row.body.get(),
            ),
        )
    }

    pub(super) fn posted(&mut self, row: &PostedRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        let wallet = (no, &*row.subaccount, &*row.unit);
        let found = places(self.reading.conn, wallet)?;
        let mut places = found
            .ok_or_else(|| corrupt("ledger", "a transaction of a wallet that is not there"))?;
        let columns = PostedColumns {
            number: row.number,
            time: row.time,
            cause: &row.cause,
            body: row.body.get(),
            available: row.available,
            held: row.held,
            receivable: row.receivable,
        };
        Appending::new(self.reading.conn)?.append(wallet, &mut places, &columns)?;
        self.insert(
            "UPDATE books SET places = ?4
             WHERE customer_no = ?1 AND subaccount = ?2 AND unit = ?3 AND kind = 0 AND id = ''",
            (no, &row.subaccount, &row.unit, places.column()),
        )
    }

    pub(super) fn draw(&mut self, row: &DrawRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        self.insert(
            "INSERT INTO books (customer_no, subaccount, unit, kind, id, state, due_time, body)
             VALUES (?1, '', '', 3, ?2, 1, ?3, ?4)",
            (
                no,
                draw_id(&row.feature, row.period_start),
                row.period_end,
                row.body.get(),
            ),
        )
    }

    pub(super) fn counter(&mut self, row: &CounterRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        let spec = read_json("counters", row.spec.get())?;
        let spec = self.numbers.spec(self.reading.conn, &spec)?;
        let ring = row.ring.as_ref().map(|ring| {
            pack_ring(&Ring(
                ring.iter().map(|(at, used)| (*at, Milli(*used))).collect(),
            ))
        });
        self.insert(
            "INSERT INTO counters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                no,
                &row.subaccount,
                spec,
                row.start,
                row.end,
                row.used,
                row.reserved,
                ring,
            ),
        )?;
        if row.dropped != 0 {
            self.insert(
                "INSERT INTO counters_dropped VALUES (?1, ?2, ?3, ?4, ?5)",
                (no, &row.subaccount, spec, row.start, row.dropped),
            )?;
        }
        Ok(())
    }

    pub(super) fn rollup(&mut self, row: &RollupRecord) -> Result<(), StoreError> {
        let no = self.customer(&row.customer)?;
        let meter = self.meter(&row.meter)?;
        self.insert(
            "INSERT INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                no,
                meter,
                row.hour,
                &row.subaccount,
                row.dimensions_column(),
                row.count,
                row.sum,
                row.max,
                row.latest_time,
                row.latest,
            ),
        )
    }

    pub(super) fn billing(&self, row: &BillingRecord) -> Result<(), StoreError> {
        self.insert(
            "INSERT INTO billing VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                &row.kind,
                &row.id,
                &row.customer,
                &row.state,
                row.due_time,
                row.create_time,
                row.body.get(),
            ),
        )
    }

    pub(super) fn answer(&self, row: &AnswerRecord) -> Result<(), StoreError> {
        self.insert(
            "INSERT INTO answers VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6)",
            (
                &row.caller,
                &row.method,
                &row.request,
                &row.content,
                &row.answer,
                row.time,
            ),
        )
    }

    /// Stores an event. Returns how it is to be noted.
    pub(super) fn event(
        &mut self,
        row: &EventRecord,
    ) -> Result<(EventId, CustomerNo, EventKind, Timestamp), StoreError> {
        let id = EventId::new(row.id.as_str()).map_err(|error| corrupt("events", error))?;
        let no = self.customer(&row.customer)?;
        let meter = self.meter(&row.meter)?;
        self.insert(
            "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            (
                IdColumn::of(&id),
                no,
                row.kind,
                meter,
                row.quantity,
                row.weighted,
                row.count_time,
                row.event_time,
                row.record_time,
                row.flags,
                &row.subaccount,
                row.dimensions.as_ref().map(|json| json.get()),
                row.metadata.as_ref().map(|json| json.get()),
                &row.reservation,
                row.charge.as_ref().map(|json| json.get()),
            ),
        )?;
        let count_time = read_time("events", row.count_time)?;
        Ok((id, no, read_kind(row.kind)?, count_time))
    }
}
