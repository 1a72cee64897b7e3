//! Comparing counters with what they should hold.

use sqlx::PgConnection;

use super::account::{counters, open_reservations, read, reservation};
use super::names::{Names, latest};
use super::scan::visit;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::time::Timestamp;
use crate::storage::columns::corrupt;
use crate::storage::dues::Dues;
use crate::storage::{AuditPage, AuditQuery, StoreError};

/// Compares one slice of customers, by id.
pub(super) async fn page(
    conn: &mut PgConnection,
    names: &Names,
    query: &AuditQuery,
) -> Result<AuditPage, StoreError> {
    let limit = query.limit.max(1);
    let latest = latest(conn).await?;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT customer_id FROM customers
         WHERE customer_id > $1 AND ($2::text IS NULL OR customer_id = $2) ORDER BY customer_id LIMIT $3",
    )
    .bind(query.after.as_deref().unwrap_or(""))
    .bind(query.customer.as_ref().map(CustomerId::as_str))
    .bind(super::lists::asked(limit))
    .fetch_all(&mut *conn)
    .await?;
    let mut page = AuditPage::default();
    for id in rows.iter().take(limit) {
        let id = CustomerId::new(id.as_str()).map_err(|error| corrupt("customers", error))?;
        customer(conn, names, &id, latest, &mut page).await?;
    }
    if rows.len() > limit {
        page.next = rows.into_iter().nth(limit - 1);
    }
    Ok(page)
}

async fn customer(
    conn: &mut PgConnection,
    names: &Names,
    id: &CustomerId,
    latest: Timestamp,
    page: &mut AuditPage,
) -> Result<(), StoreError> {
    let asked = std::slice::from_ref(id);
    let Some(account) = read(conn, names, asked, latest).await?.pop().flatten() else {
        return Ok(());
    };
    let mut dues = Dues::at(latest);
    for (_, (row, dropped)) in counters(conn, names, &[id.as_str()], None).await? {
        dues.hold(row, dropped);
    }
    dues.track(&account);
    for row in open_reservations(conn, &[id.as_str()]).await? {
        dues.reserve(&reservation(&row)?);
    }
    let mut folding = dues.folding();
    visit(conn, id, None, folding.range(), |seen| {
        let meter = MeterId::new(seen.meter()?).map_err(|error| corrupt("events", error))?;
        folding.add(
            &meter,
            seen.count_time()?,
            seen.weighted()?,
            |part, filter| seen.counts_for(part, filter),
        )
    })
    .await?;
    dues.tell(id, page);
    Ok(())
}
