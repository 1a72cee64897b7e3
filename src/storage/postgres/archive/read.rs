//! Reading a database in pieces.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio_stream::StreamExt as _;

use super::credits;
use crate::domain::id::CustomerId;
use crate::storage::StoreError;
use crate::storage::archive::{
    self, AdjustmentRecord, AllocationRecord, AnswerRecord, ArchiveError, BillingRecord,
    CatalogRecord, CounterRecord, CustomerRecord, CustomerTotals, DenialRecord, EventRecord,
    OverrideRecord, PIECE, Record, ReservationRecord, RollupRecord, Scope, Sink, SubaccountRecord,
    Table,
};
use crate::storage::columns::{corrupt, unpack_ring};

/// Sends what is asked for.
pub(super) async fn send(
    conn: &mut PgConnection,
    scope: &Scope,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    for table in &scope.tables {
        let mut query = sqlx::query(statement(*table));
        if matches!(table, Table::Events | Table::Rollups) {
            let (start, end) = scope.bounds();
            query = query
                .bind(start)
                .bind(end)
                .bind(scope.customer.as_ref().map(CustomerId::as_str));
        }
        let mut rows = query.fetch(&mut *conn);
        let mut piece = Vec::with_capacity(PIECE);
        while let Some(row) = rows.next().await {
            piece.push(record(*table, &row.map_err(StoreError::from)?)?);
            if piece.len() == PIECE {
                sink.take(&piece).await?;
                piece.clear();
            }
        }
        if !piece.is_empty() {
            sink.take(&piece).await?;
        }
    }
    Ok(())
}

/// Returns what reads a table; of events and rollups those of a time ($1, $2), of a customer ($3) or of all.
const fn statement(table: Table) -> &'static str {
    match table {
        Table::Catalogs => {
            "SELECT version, catalog, source, apply_time FROM catalogs ORDER BY version"
        }
        Table::Customers => "SELECT customer_id, body, subscription, tracked, deleted FROM customers",
        Table::Subaccounts => "SELECT customer_id, id, body, tracked FROM subaccounts",
        Table::Overrides => "SELECT customer_id, feature, subaccount, body FROM overrides",
        Table::Adjustments => "SELECT customer_id, body FROM adjustments",
        Table::Allocations => "SELECT customer_id, feature, id, body FROM allocations",
        Table::Reservations => {
            "SELECT customer_id, id, subaccount, holder, metadata, items, reserve_time, expire_time, state, end_time
             FROM reservations"
        }
        Table::Wallets => "SELECT customer_id, subaccount, unit, number, receivable, terms FROM wallets",
        // What is generated follows from the rest, and what names the payment from its body.
        Table::Grants => {
            "SELECT customer_id, id, subaccount, unit, amount, used, held, lapsed, change_time, expire_time, body
             FROM grants"
        }
        Table::Holds => "SELECT customer_id, id, subaccount, unit, state, expire_time, end_time, body FROM holds",
        // A store may take a transaction only after the one before it.
        Table::Ledger => {
            "SELECT customer_id, subaccount, unit, number, time, cause, body, available, held, receivable FROM ledger
             ORDER BY customer_id, subaccount, unit, number"
        }
        Table::Draws => "SELECT customer_id, feature, period_start, period_end, body FROM draws",
        Table::Counters => {
            "SELECT customer_id, subaccount, coalesce(long_spec, spec), start_time, end_time, used, reserved, ring,
                 dropped
             FROM counters"
        }
        Table::Rollups => {
            "SELECT customer_id, meter, hour, subaccount, coalesce(long_dimensions, dimensions), count, sum, max,
                 latest_time, latest
             FROM rollups WHERE hour >= $1 AND hour < $2 AND ($3::text IS NULL OR customer_id = $3)
             ORDER BY customer_id, meter, hour"
        }
        // By partition, so by day.
        Table::Events => {
            "SELECT customer_id, event_id, kind, meter, quantity, weighted, count_time, event_time, record_time, flags,
                 subaccount, dimensions, metadata, reservation, charge
             FROM events WHERE count_time >= $1 AND count_time < $2 AND ($3::text IS NULL OR customer_id = $3)"
        }
        Table::Denials => "SELECT customer_id, minute, feature, reason, count, sample FROM denials",
        Table::Answers => "SELECT caller, method, request, content, answer, time FROM answers",
        Table::Billing => "SELECT kind, id, customer, state, due_time, create_time, body FROM billing",
    }
}

fn record(table: Table, row: &PgRow) -> Result<Record, StoreError> {
    let name = table.name();
    let text = |at: usize| -> Result<String, StoreError> { Ok(row.try_get(at)?) };
    let body = |at: usize| archive::json(name, row.try_get::<String, _>(at)?);
    Ok(match table {
        Table::Catalogs => Record::Catalog(CatalogRecord {
            version: row.try_get(0)?,
            catalog: body(1)?,
            source: text(2)?,
            apply_time: row.try_get(3)?,
        }),
        Table::Customers => Record::Customer(CustomerRecord {
            id: text(0)?,
            body: body(1)?,
            subscription: archive::json_or_none(name, row.try_get(2)?)?,
            tracked: body(3)?,
            deleted: row.try_get(4)?,
        }),
        Table::Subaccounts => Record::Subaccount(SubaccountRecord {
            customer: text(0)?,
            id: text(1)?,
            body: body(2)?,
            tracked: body(3)?,
        }),
        Table::Overrides => Record::Override(OverrideRecord {
            customer: text(0)?,
            feature: text(1)?,
            subaccount: text(2)?,
            body: body(3)?,
        }),
        Table::Adjustments => Record::Adjustment(AdjustmentRecord {
            customer: text(0)?,
            body: body(1)?,
        }),
        Table::Allocations => Record::Allocation(AllocationRecord {
            customer: text(0)?,
            feature: text(1)?,
            id: text(2)?,
            body: body(3)?,
        }),
        Table::Reservations => reservation(row)?,
        Table::Wallets => credits::read_wallet(row)?,
        Table::Grants => credits::read_grant(row)?,
        Table::Holds => credits::read_hold(row)?,
        Table::Ledger => credits::read_posted(row)?,
        Table::Draws => credits::read_draw(row)?,
        Table::Counters => counter(row)?,
        Table::Rollups => rollup(row)?,
        Table::Events => event(row)?,
        Table::Denials => Record::Denial(DenialRecord {
            customer: text(0)?,
            minute: row.try_get(1)?,
            feature: text(2)?,
            reason: text(3)?,
            count: row.try_get(4)?,
            sample: text(5)?,
        }),
        Table::Answers => Record::Answer(AnswerRecord {
            caller: text(0)?,
            method: text(1)?,
            request: text(2)?,
            content: row.try_get(3)?,
            answer: text(4)?,
            time: row.try_get(5)?,
        }),
        Table::Billing => billing(row)?,
    })
}

fn billing(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Billing(BillingRecord {
        kind: row.try_get(0)?,
        id: row.try_get(1)?,
        customer: row.try_get(2)?,
        state: row.try_get(3)?,
        due_time: row.try_get(4)?,
        create_time: row.try_get(5)?,
        body: archive::json("billing", row.try_get::<String, _>(6)?)?,
    }))
}

fn reservation(row: &PgRow) -> Result<Record, StoreError> {
    const TABLE: &str = "reservations";
    Ok(Record::Reservation(ReservationRecord {
        customer: row.try_get(0)?,
        id: row.try_get(1)?,
        subaccount: row.try_get(2)?,
        holder: row.try_get(3)?,
        metadata: archive::json_or_none(TABLE, row.try_get(4)?)?,
        items: archive::json(TABLE, row.try_get::<String, _>(5)?)?,
        reserve_time: row.try_get(6)?,
        expire_time: row.try_get(7)?,
        state: row.try_get::<i16, _>(8)?.into(),
        end_time: row.try_get(9)?,
    }))
}

fn counter(row: &PgRow) -> Result<Record, StoreError> {
    let ring: Option<&[u8]> = row.try_get(7)?;
    let ring = ring.map(unpack_ring).transpose()?;
    Ok(Record::Counter(CounterRecord {
        customer: row.try_get(0)?,
        subaccount: row.try_get(1)?,
        spec: archive::json("counters", row.try_get::<String, _>(2)?)?,
        start: row.try_get(3)?,
        end: row.try_get(4)?,
        used: row.try_get(5)?,
        reserved: row.try_get(6)?,
        ring: ring.map(|ring| ring.0.into_iter().map(|(at, used)| (at, used.0)).collect()),
        dropped: row.try_get(8)?,
    }))
}

fn rollup(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Rollup(RollupRecord {
        customer: row.try_get(0)?,
        meter: row.try_get(1)?,
        hour: row.try_get(2)?,
        subaccount: row.try_get(3)?,
        dimensions: RollupRecord::read_dimensions(row.try_get(4)?)?,
        count: row.try_get(5)?,
        sum: row.try_get(6)?,
        max: row.try_get(7)?,
        latest_time: row.try_get(8)?,
        latest: row.try_get(9)?,
    }))
}

fn event(row: &PgRow) -> Result<Record, StoreError> {
    Ok(Record::Event(EventRecord {
        customer: row.try_get(0)?,
        id: row.try_get(1)?,
        kind: row.try_get::<i16, _>(2)?.into(),
        meter: row.try_get(3)?,
        quantity: row.try_get(4)?,
        weighted: row.try_get(5)?,
        count_time: row.try_get(6)?,
        event_time: row.try_get(7)?,
        record_time: row.try_get(8)?,
        flags: row.try_get::<i16, _>(9)?.into(),
        subaccount: row.try_get(10)?,
        dimensions: archive::json_or_none("events", row.try_get(11)?)?,
        metadata: archive::json_or_none("events", row.try_get(12)?)?,
        reservation: row.try_get(13)?,
        charge: archive::json_or_none("events", row.try_get(14)?)?,
    }))
}

/// Adds up what customers have, by id.
pub(super) async fn totals(
    conn: &mut PgConnection,
    after: &str,
) -> Result<Vec<CustomerTotals>, StoreError> {
    let sum = |column: &str, table: &str| {
        format!(
            "(SELECT coalesce(sum(t.{column}), 0)::text FROM {table} t WHERE t.customer_id = c.customer_id)"
        )
    };
    let sql = format!(
        "SELECT c.customer_id, {}, {}, {}, {},
             (SELECT count(*) FROM reservations t WHERE t.customer_id = c.customer_id AND t.state = 0),
             (SELECT count(*) FROM allocations t WHERE t.customer_id = c.customer_id), {}, {},
             (SELECT count(*) FROM holds t WHERE t.customer_id = c.customer_id AND t.state = 0),
             (SELECT count(*) FROM ledger t WHERE t.customer_id = c.customer_id)
         FROM customers c WHERE c.customer_id > $1 ORDER BY c.customer_id LIMIT $2",
        sum("used", "counters"),
        sum("reserved", "counters"),
        sum("count", "rollups"),
        sum("sum", "rollups"),
        sum("amount - t.used - t.lapsed", "grants"),
        sum("receivable", "wallets"),
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(after)
        .bind(i64::try_from(PIECE).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await?;
    let number = |row: &PgRow, at: usize| -> Result<i128, StoreError> {
        let text: &str = row.try_get(at)?;
        text.parse().map_err(|error| corrupt("counters", error))
    };
    let read = |row: PgRow| {
        Ok(CustomerTotals {
            customer: row.try_get(0)?,
            used: number(&row, 1)?,
            reserved: number(&row, 2)?,
            events: number(&row, 3)?,
            weighted: number(&row, 4)?,
            open: row.try_get(5)?,
            allocations: row.try_get(6)?,
            credits: number(&row, 7)?,
            owed: number(&row, 8)?,
            holds: row.try_get(9)?,
            transactions: row.try_get(10)?,
        })
    };
    rows.into_iter().map(read).collect()
}
