//! Comparing counters with what they should hold.

use super::account::{counters, open_reservations, read};
use super::columns::{corrupt, equals, json, part_column};
use super::names::Reading;
use super::scan::visit;
use crate::domain::id::CustomerId;
use crate::domain::quantity::Milli;
use crate::storage::dues::Dues;
use crate::storage::{AuditPage, AuditQuery, CustomerNo, StoreError, Use};

/// Compares one slice of customers, by id.
pub(super) fn page(reading: Reading<'_>, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let limit = query.limit.max(1);
    let mut statement = reading.conn.prepare_cached(&format!(
        "SELECT id FROM customers WHERE id > ?1 AND {} ORDER BY id LIMIT ?3",
        equals("id", "?2", query.customer.is_some())
    ))?;
    let mut rows = statement.query((
        query.after.as_deref().unwrap_or(""),
        query.customer.as_ref().map(CustomerId::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    ))?;
    let mut page = AuditPage::default();
    let mut last = None;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        if done == limit {
            page.next = last;
            break;
        }
        let id = CustomerId::new(row.get::<_, String>(0)?)
            .map_err(|error| corrupt("customers", error))?;
        customer(reading, &id, &mut page)?;
        last = Some(id.into());
        done += 1;
    }
    Ok(page)
}

fn customer(reading: Reading<'_>, id: &CustomerId, page: &mut AuditPage) -> Result<(), StoreError> {
    let Some(account) = read(reading, id, reading.latest)? else {
        return Ok(());
    };
    let mut dues = Dues::at(reading.latest);
    held(reading, account.no, &mut dues)?;
    dues.track(&account);
    for reservation in open_reservations(reading, account.no)? {
        dues.reserve(&reservation);
    }
    let mut folding = dues.folding();
    visit(reading, account.no, folding.range(), &mut |seen| {
        let meter_no = seen.meter_no()?;
        let meter = reading.meter(meter_no)?;
        folding.add(
            &meter,
            seen.count_time()?,
            seen.weighted()?,
            |part, filter| seen.counts_for(meter_no, part, filter),
        )
    })?;
    dues.tell(id, page);
    Ok(())
}

/// Takes what the rows hold, and what they keep of trimmed events.
fn held(reading: Reading<'_>, customer: CustomerNo, dues: &mut Dues) -> Result<(), StoreError> {
    let mut dropped = reading.conn.prepare_cached(
        "SELECT dropped FROM counters_dropped WHERE customer_no = ?1 AND subaccount = ?2
         AND spec_no = (SELECT no FROM counter_specs WHERE spec = ?3) AND start = ?4",
    )?;
    for row in counters(reading, customer, None)? {
        let mut kept = Milli::ZERO;
        if matches!(row.used, Use::Fixed(_)) {
            let part = part_column(row.subaccount.as_ref());
            let key = (customer, part, json(&*row.spec), row.start.as_micros());
            if let Some(found) = dropped.query(key)?.next()? {
                kept = Milli(found.get(0)?);
            }
        }
        dues.hold(row, kept);
    }
    Ok(())
}
