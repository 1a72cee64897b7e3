//! How rows of SQLite are records.

use std::collections::HashMap;

use rusqlite::Row;

use super::super::columns::{corrupt, json, unpack_ring};
use super::super::names::Reading;
use crate::storage::StoreError;
use crate::storage::archive::{
    self, AdjustmentRecord, AllocationRecord, AnswerRecord, BillingRecord, CatalogRecord,
    CounterRecord, CustomerRecord, DenialRecord, DrawRecord, GrantRecord, HoldRecord, Json,
    OverrideRecord, PostedRecord, Record, ReservationRecord, RollupRecord, SubaccountRecord, Table,
    WalletRecord,
};

/// Lists of counters that are kept as text, so that what many customers share is written once.
const LISTS_KEPT: usize = 4_096;

/// Reads rows of one table.
pub(super) struct Rows<'a> {
    reading: Reading<'a>,
    /// Columns that list counters by number, as lists of what they count.
    lists: HashMap<String, Json>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(reading: Reading<'a>) -> Self {
        Self {
            reading,
            lists: HashMap::new(),
        }
    }

    /// Returns what reads all rows of a table, for [`Rows::record`]; `None`: it is not read by one statement.
    pub(super) const fn statement(table: Table) -> Option<&'static str> {
        Some(match table {
            Table::Catalogs => {
                "SELECT version, catalog, source, apply_time FROM catalogs ORDER BY version"
            }
            Table::Customers => {
                "SELECT id, body, subscription, tracked, deleted FROM customers ORDER BY no"
            }
            Table::Subaccounts => {
                "SELECT c.id, s.id, s.body, s.tracked
                 FROM subaccounts s JOIN customers c ON c.no = s.customer_no"
            }
            Table::Overrides => {
                "SELECT c.id, o.feature, o.subaccount, o.body
                 FROM overrides o JOIN customers c ON c.no = o.customer_no"
            }
            Table::Adjustments => {
                "SELECT c.id, a.body FROM adjustments a JOIN customers c ON c.no = a.customer_no"
            }
            Table::Allocations => {
                "SELECT c.id, a.feature, a.id, a.body
                 FROM allocations a JOIN customers c ON c.no = a.customer_no"
            }
            Table::Reservations => {
                "SELECT c.id, r.id, r.subaccount, r.holder, r.metadata, r.items, r.reserve_time, r.expire_time,
                     r.state, r.end_time
                 FROM reservations r JOIN customers c ON c.no = r.customer_no"
            }
            Table::Wallets => {
                "SELECT c.id, w.subaccount, w.unit, w.number, w.receivable, w.terms
                 FROM wallets w JOIN customers c ON c.no = w.customer_no"
            }
            Table::Grants => {
                "SELECT c.id, g.id, g.subaccount, g.unit, g.amount, g.used, g.held, g.lapsed, g.change_time,
                     g.expire_time, g.body
                 FROM grants g JOIN customers c ON c.no = g.customer_no"
            }
            Table::Holds => {
                "SELECT c.id, h.id, h.subaccount, h.unit, h.state, h.expire_time, h.end_time, h.body
                 FROM holds h JOIN customers c ON c.no = h.customer_no"
            }
            Table::Ledger => {
                "SELECT c.id, l.subaccount, l.unit, l.number, l.time, l.cause, l.body, l.available, l.held,
                     l.receivable
                 FROM ledger l CROSS JOIN customers c ON c.no = l.customer_no ORDER BY l.place"
            }
            Table::Draws => {
                "SELECT c.id, d.feature, d.period_start, d.period_end, d.body
                 FROM draws d JOIN customers c ON c.no = d.customer_no"
            }
            Table::Counters => {
                "SELECT c.id, k.subaccount, k.spec_no, k.start, k.end, k.used, k.reserved, k.ring,
                     ifnull(d.dropped, 0)
                 FROM counters k CROSS JOIN customers c ON c.no = k.customer_no
                 LEFT JOIN counters_dropped d ON d.customer_no = k.customer_no AND d.subaccount = k.subaccount
                     AND d.spec_no = k.spec_no AND d.start = k.start"
            }
            Table::Denials => {
                "SELECT customer, minute, feature, reason, count, sample FROM denials"
            }
            Table::Answers => {
                "SELECT caller, method, request, content, answer, time FROM answers ORDER BY place"
            }
            Table::Billing => {
                "SELECT kind, id, customer, state, due_time, create_time, body FROM billing"
            }
            Table::Rollups | Table::Events => return None,
        })
    }

    /// Reads a row of a table, from the columns of [`Rows::statement`]; rollups as [`ROLLUPS`] has them.
    pub(super) fn record(&mut self, table: Table, row: &Row<'_>) -> Result<Record, StoreError> {
        let name = table.name();
        let text = |at: usize| -> Result<String, StoreError> { Ok(row.get(at)?) };
        let body = |at: usize| archive::json(name, row.get::<_, String>(at)?);
        Ok(match table {
            Table::Catalogs => Record::Catalog(CatalogRecord {
                version: row.get(0)?,
                catalog: body(1)?,
                source: text(2)?,
                apply_time: row.get(3)?,
            }),
            Table::Customers => Record::Customer(CustomerRecord {
                id: text(0)?,
                body: body(1)?,
                subscription: archive::json_or_none(name, row.get(2)?)?,
                tracked: self.list(text(3)?)?,
                deleted: row.get(4)?,
            }),
            Table::Subaccounts => Record::Subaccount(SubaccountRecord {
                customer: text(0)?,
                id: text(1)?,
                body: body(2)?,
                tracked: self.list(text(3)?)?,
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
            Table::Wallets => wallet(row)?,
            Table::Grants => grant(row)?,
            Table::Holds => hold(row)?,
            Table::Ledger => posted(row)?,
            Table::Draws => draw(row)?,
            Table::Counters => self.counter(row)?,
            Table::Rollups => self.rollup(row)?,
            Table::Denials => Record::Denial(DenialRecord {
                customer: text(0)?,
                minute: row.get(1)?,
                feature: text(2)?,
                reason: text(3)?,
                count: row.get(4)?,
                sample: text(5)?,
            }),
            Table::Answers => Record::Answer(AnswerRecord {
                caller: text(0)?,
                method: text(1)?,
                request: text(2)?,
                content: row.get(3)?,
                answer: text(4)?,
                time: row.get(5)?,
            }),
            Table::Billing => billing(row)?,
            Table::Events => return Err(corrupt(name, "events are read by their segments")),
        })
    }

    /// Returns the list of counters that a column names by number.
    fn list(&mut self, column: String) -> Result<Json, StoreError> {
        if let Some(list) = self.lists.get(&column) {
            return Ok(list.clone());
        }
        let list = archive::json("counter_specs", json(&self.reading.specs(&column)?))?;
        if self.lists.len() >= LISTS_KEPT {
            self.lists.clear();
        }
        self.lists.insert(column, list.clone());
        Ok(list)
    }

    fn counter(&self, row: &Row<'_>) -> Result<Record, StoreError> {
        let spec = self.reading.spec(row.get(2)?)?;
        let ring: Option<Vec<u8>> = row.get(7)?;
        let ring = ring.map(|bytes| unpack_ring(&bytes)).transpose()?;
        Ok(Record::Counter(CounterRecord {
            customer: row.get(0)?,
            subaccount: row.get(1)?,
            spec: archive::json("counter_specs", json(&*spec))?,
            start: row.get(3)?,
            end: row.get(4)?,
            used: row.get(5)?,
            reserved: row.get(6)?,
            ring: ring.map(|ring| ring.0.into_iter().map(|(at, used)| (at, used.0)).collect()),
            dropped: row.get(8)?,
        }))
    }

    fn rollup(&self, row: &Row<'_>) -> Result<Record, StoreError> {
        Ok(Record::Rollup(RollupRecord {
            customer: row.get(0)?,
            meter: self.reading.meter(row.get(1)?)?.into(),
            hour: row.get(2)?,
            subaccount: row.get(3)?,
            dimensions: RollupRecord::read_dimensions(&row.get::<_, String>(4)?)?,
            count: row.get(5)?,
            sum: row.get(6)?,
            max: row.get(7)?,
            latest_time: row.get(8)?,
            latest: row.get(9)?,
        }))
    }
}

/// Reads rollups of a time, of a customer or of all, by customer, meter and hour.
pub(super) const ROLLUPS: &str =
    "SELECT c.id, r.meter_no, r.hour, r.subaccount, r.dimensions, r.count, r.sum, r.max,
        r.latest_time, r.latest
    FROM customers c CROSS JOIN rollups r ON r.customer_no = c.no
    WHERE r.hour >= ?1 AND r.hour < ?2 AND (?3 IS NULL OR c.id = ?3)
    ORDER BY c.no, r.meter_no, r.hour";

fn billing(row: &Row<'_>) -> Result<Record, StoreError> {
    Ok(Record::Billing(BillingRecord {
        kind: row.get(0)?,
        id: row.get(1)?,
        customer: row.get(2)?,
        state: row.get(3)?,
        due_time: row.get(4)?,
        create_time: row.get(5)?,
        body: archive::json("billing", row.get::<_, String>(6)?)?,
    }))
}

fn reservation(row: &Row<'_>) -> Result<Record, StoreError> {
    const TABLE: &str = "reservations";
    Ok(Record::Reservation(ReservationRecord {
        customer: row.get(0)?,
        id: row.get(1)?,
        subaccount: row.get(2)?,
        holder: row.get(3)?,
        metadata: archive::json_or_none(TABLE, row.get(4)?)?,
        items: archive::json(TABLE, row.get::<_, String>(5)?)?,
        reserve_time: row.get(6)?,
        expire_time: row.get(7)?,
        state: row.get(8)?,
        end_time: row.get(9)?,
    }))
}

fn wallet(row: &Row<'_>) -> Result<Record, StoreError> {
    Ok(Record::Wallet(WalletRecord {
        customer: row.get(0)?,
        subaccount: row.get(1)?,
        unit: row.get(2)?,
        number: row.get(3)?,
        receivable: row.get(4)?,
        terms: archive::json("wallets", row.get::<_, String>(5)?)?,
    }))
}

fn grant(row: &Row<'_>) -> Result<Record, StoreError> {
    Ok(Record::Grant(GrantRecord {
        customer: row.get(0)?,
        id: row.get(1)?,
        subaccount: row.get(2)?,
        unit: row.get(3)?,
        amount: row.get(4)?,
        used: row.get(5)?,
        held: row.get(6)?,
        lapsed: row.get(7)?,
        change_time: row.get(8)?,
        expire_time: row.get(9)?,
        body: archive::json("grants", row.get::<_, String>(10)?)?,
    }))
}

fn hold(row: &Row<'_>) -> Result<Record, StoreError> {
    Ok(Record::Hold(HoldRecord {
        customer: row.get(0)?,
        id: row.get(1)?,
        subaccount: row.get(2)?,
        unit: row.get(3)?,
        state: row.get(4)?,
        expire_time: row.get(5)?,
        end_time: row.get(6)?,
        body: archive::json("holds", row.get::<_, String>(7)?)?,
    }))
}

fn posted(row: &Row<'_>) -> Result<Record, StoreError> {
    Ok(Record::Posted(PostedRecord {
        customer: row.get(0)?,
        subaccount: row.get(1)?,
        unit: row.get(2)?,
        number: row.get(3)?,
        time: row.get(4)?,
        cause: row.get(5)?,
        body: archive::json("ledger", row.get::<_, String>(6)?)?,
        available: row.get(7)?,
        held: row.get(8)?,
        receivable: row.get(9)?,
    }))
}

fn draw(row: &Row<'_>) -> Result<Record, StoreError> {
    Ok(Record::Draw(DrawRecord {
        customer: row.get(0)?,
        feature: row.get(1)?,
        period_start: row.get(2)?,
        period_end: row.get(3)?,
        body: archive::json("draws", row.get::<_, String>(4)?)?,
    }))
}
