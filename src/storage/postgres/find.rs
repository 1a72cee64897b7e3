//! What a batch asks for before it is decided, beside events and accounts.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgConnection, Row};

use super::columns::indexed;
use super::scan::visit;
use crate::domain::id::CustomerId;
use crate::domain::quantity::Milli;
use crate::storage::columns::{corrupt, json, part_column, read_time};
use crate::storage::sums::Sums;
use crate::storage::{CustomerNo, Fold, FoldResult, RequestKey, StoreError, StoredAnswer};

/// Looks up answers.
pub(super) async fn answers(
    conn: &mut PgConnection,
    keys: Vec<RequestKey>,
) -> Result<Vec<Option<StoredAnswer>>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let callers: Vec<&str> = keys.iter().map(|key| &*key.caller).collect();
    let methods: Vec<&str> = keys.iter().map(|key| key.method).collect();
    let requests: Vec<&str> = keys.iter().map(|key| key.request.as_str()).collect();
    let rows = sqlx::query(
        "SELECT k.position, a.content, a.answer
         FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (caller, method, request, position)
         CROSS JOIN LATERAL (SELECT content, answer FROM answers a
             WHERE a.caller = k.caller AND a.method = k.method AND a.request = k.request LIMIT 1) a",
    )
    .bind(callers)
    .bind(methods)
    .bind(requests)
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<usize, ([u8; 16], Box<str>)> = HashMap::new();
    for row in rows {
        let position: i64 = row.try_get(0)?;
        let index = usize::try_from(position - 1).map_err(|error| corrupt("answers", error))?;
        let content: Vec<u8> = row.try_get(1)?;
        let content = content
            .try_into()
            .map_err(|_| corrupt("answers", "a content hash of another length"))?;
        found.insert(index, (content, row.try_get::<String, _>(2)?.into()));
    }
    let answers = keys.into_iter().enumerate().map(|(index, key)| {
        let (content, answer) = found.remove(&index)?;
        Some(StoredAnswer {
            key,
            content,
            answer,
        })
    });
    Ok(answers.collect())
}

/// Builds counters from events, those that the batch inserted included.
pub(super) async fn folds(
    conn: &mut PgConnection,
    customers: &BTreeMap<CustomerNo, CustomerId>,
    folds: &[Fold],
) -> Result<Vec<FoldResult>, StoreError> {
    let mut results = Vec::with_capacity(folds.len());
    for fold in folds {
        results.push(one(conn, customers.get(&fold.customer), fold).await?);
    }
    Ok(results)
}

async fn one(
    conn: &mut PgConnection,
    customer: Option<&CustomerId>,
    fold: &Fold,
) -> Result<FoldResult, StoreError> {
    let mut sums = Sums::new(fold);
    let Some(customer) = customer else {
        return Ok(sums.result());
    };
    if sums.takes_dropped() {
        let spec = json(&*fold.spec);
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT start_time, end_time, dropped FROM counters
             WHERE customer_id = $1 AND subaccount = $2 AND spec = $3 AND dropped <> 0",
        )
        .bind(customer.as_str())
        .bind(part_column(fold.subaccount.as_ref()))
        .bind(indexed(&spec).0)
        .fetch_all(&mut *conn)
        .await?;
        for (start, end, dropped) in rows {
            let (start, end) = (read_time("counters", start)?, read_time("counters", end)?);
            sums.take_dropped(start, end, Milli(dropped));
        }
    }
    let part = fold.subaccount.as_ref();
    let (range, meter) = (sums.range(), &fold.spec.meter);
    visit(conn, customer, Some(meter), range, |seen| {
        if seen.counts_for(part, &fold.spec.filter)? {
            sums.add(seen.count_time()?, seen.weighted()?);
        }
        Ok(())
    })
    .await?;
    Ok(sums.result())
}
