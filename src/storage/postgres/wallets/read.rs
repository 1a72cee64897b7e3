//! Reading wallets: as accounts need them, and what is listed of them.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::domain::id::{CustomerId, HoldId};
use crate::domain::time::Span;
use crate::domain::wallet::{Draw, Grant, Hold, Posted, Wallet, WalletHead, WalletKey};
use crate::domain::window::TimeRange;
use crate::storage::columns::{corrupt, json, read_json, read_token, token};
use crate::storage::postgres::lists::{asked, page};
use crate::storage::wallets::{
    GrantColumns, HoldColumns, PostedColumns, assemble, cause_column, key_columns, meant, read_key,
};
use crate::storage::{LedgerQuery, Page, StoreError};

/// Clocks of processes differ by no more.
const DIFFERENCE_MAX: Span = Span::from_hours(1);

/// The rows of one customer's wallets, kind by kind as they are read.
#[derive(Default)]
pub(in crate::storage::postgres) struct Parts {
    heads: Vec<WalletHead>,
    grants: Vec<(WalletKey, Grant)>,
    holds: Vec<(WalletKey, HoldId, Hold)>,
    draws: Vec<Draw>,
}

/// A row of wallets, as the question for what belongs to customers gives it.
pub(in crate::storage::postgres) struct Part<'r> {
    /// What stands in no other column.
    body: &'r str,
    id: Option<&'r str>,
    subaccount: Option<&'r str>,
    unit: Option<&'r str>,
    numbers: Option<Vec<Option<i64>>>,
}

impl<'r> Part<'r> {
    /// Reads the columns from `body` on.
    fn read(row: &'r PgRow, body: usize) -> Result<Self, StoreError> {
        Ok(Self {
            body: row.try_get(body)?,
            id: row.try_get(body + 1)?,
            subaccount: row.try_get(body + 2)?,
            unit: row.try_get(body + 3)?,
            numbers: row.try_get(body + 4)?,
        })
    }

    fn key(&self, table: &'static str) -> Result<WalletKey, StoreError> {
        let (part, unit) = (self.subaccount, self.unit);
        read_key(table, part.unwrap_or_default(), unit.unwrap_or_default())
    }

    /// Returns a number, where there is one.
    fn number_or_none(&self, at: usize) -> Option<i64> {
        *self.numbers.as_ref()?.get(at)?
    }

    fn number(&self, table: &'static str, at: usize) -> Result<i64, StoreError> {
        let number = self.number_or_none(at);
        number.ok_or_else(|| corrupt(table, "a number is missing"))
    }
}

impl Parts {
    /// Takes a row: of `wallets` (0), `grants` (1), `holds` (2) or `draws` (3), the columns from `body` on.
    pub(in crate::storage::postgres) fn take(
        &mut self,
        kind: i32,
        row: &PgRow,
        body: usize,
    ) -> Result<(), StoreError> {
        let part = Part::read(row, body)?;
        match kind {
            0 => self.heads.push(head(&part)?),
            1 => self.grants.push((part.key("grants")?, grant(&part)?)),
            2 => {
                let id = HoldId::new(part.id.unwrap_or_default());
                let id = id.map_err(|error| corrupt("holds", error))?;
                self.holds.push((part.key("holds")?, id, held(&part)?));
            }
            _ => self.draws.push(read_json("draws", part.body)?),
        }
        Ok(())
    }

    /// Puts wallets together, by key, and what was drawn on them, by feature and period.
    pub(in crate::storage::postgres) fn finish(
        mut self,
    ) -> Result<(Vec<Wallet>, Vec<Draw>), StoreError> {
        self.heads.sort_by(|one, other| one.key.cmp(&other.key));
        let place = |draw: &Draw| (draw.feature.clone(), draw.period.start);
        self.draws.sort_by_cached_key(place);
        let wallets = assemble(self.heads, self.grants, self.holds)?;
        Ok((wallets, self.draws))
    }
}

fn head(part: &Part<'_>) -> Result<WalletHead, StoreError> {
    const TABLE: &str = "wallets";
    Ok(WalletHead {
        key: part.key(TABLE)?,
        number: part.number(TABLE, 0)?,
        receivable: part.number(TABLE, 1)?,
        terms: read_json(TABLE, part.body)?,
    })
}

fn grant(part: &Part<'_>) -> Result<Grant, StoreError> {
    const TABLE: &str = "grants";
    GrantColumns {
        id: part.id.unwrap_or_default(),
        amount: part.number(TABLE, 0)?,
        used: part.number(TABLE, 1)?,
        held: part.number(TABLE, 2)?,
        lapsed: part.number(TABLE, 3)?,
        change_time: part.number(TABLE, 4)?,
        expire_time: part.number_or_none(5),
        body: part.body,
    }
    .read()
}

fn held(part: &Part<'_>) -> Result<Hold, StoreError> {
    const TABLE: &str = "holds";
    HoldColumns {
        state: part.number(TABLE, 0)?,
        expire_time: part.number(TABLE, 1)?,
        end_time: part.number_or_none(2),
        body: part.body,
    }
    .read()
}

/// Reads a hold, whatever became of it.
pub(in crate::storage::postgres) async fn hold(
    conn: &mut PgConnection,
    customer: &CustomerId,
    id: &HoldId,
) -> Result<Option<(WalletKey, Hold)>, StoreError> {
    let rows = sqlx::query(
        "SELECT body, id, subaccount, unit, ARRAY[state, expire_time, end_time] FROM holds
         WHERE customer_id = $1 AND id = $2 ORDER BY subaccount, unit",
    )
    .bind(customer.as_str())
    .bind(id.as_str())
    .fetch_all(conn)
    .await?;
    let mut holds = Vec::with_capacity(rows.len());
    for row in &rows {
        let part = Part::read(row, 0)?;
        holds.push((part.key("holds")?, held(&part)?));
    }
    Ok(meant(holds))
}

/// Lists the ledger of a wallet by number.
pub(in crate::storage::postgres) async fn ledger(
    conn: &mut PgConnection,
    query: &LedgerQuery,
) -> Result<Page<Posted>, StoreError> {
    let after: Option<i64> = query.after.as_deref().map(read_token).transpose()?;
    let (mut first, mut end) = bounds(conn, query).await?;
    match after {
        Some(after) if query.is_rising => first = first.max(after.saturating_add(1)),
        Some(after) => end = end.min(after),
        None => {}
    }
    let order = if query.is_rising { "ASC" } else { "DESC" };
    // What is about a hold or a grant, or moves its credits, holds the id as JSON has it.
    let sql = format!(
        "SELECT number, time, cause, body, available, held, receivable FROM ledger
         WHERE customer_id = $1 AND subaccount = $2 AND unit = $3 AND number >= $4 AND number < $5
           AND time >= $6 AND time < $7 AND ($8::text IS NULL OR cause = $8)
           AND ($9::text IS NULL OR strpos(body, $9) > 0) AND ($10::text IS NULL OR strpos(body, $10) > 0)
         ORDER BY number {order} LIMIT $11"
    );
    let (part, unit) = key_columns(&query.wallet);
    let most = asked(query.limit);
    let mut items = Vec::new();
    loop {
        let rows = sqlx::query(AssertSqlSafe(&*sql))
            .bind(query.customer.as_str())
            .bind(part)
            .bind(unit)
            .bind(first)
            .bind(end)
            .bind(query.range.start.as_micros())
            .bind(query.range.end.as_micros())
            .bind(query.cause.map(cause_column))
            .bind(query.hold.as_ref().map(json))
            .bind(query.grant.as_ref().map(json))
            .bind(most)
            .fetch_all(&mut *conn)
            .await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < most);
        for row in &rows {
            let posted = posted(&query.wallet, row)?;
            if query.is_rising {
                first = posted.number.saturating_add(1);
            } else {
                end = posted.number;
            }
            if query.matches(&posted) {
                items.push(posted);
            }
        }
        if is_last || items.len() > query.limit.max(1) {
            return Ok(page(items, query.limit, |posted| token(&posted.number)));
        }
    }
}

/// Returns the numbers between which the transactions of a range lie: the first, and that after the last. Time rises
/// with the number, save for what processes differ by, so that halves are cut off until what is left is one number.
async fn bounds(conn: &mut PgConnection, query: &LedgerQuery) -> Result<(i64, i64), StoreError> {
    let range = query.range;
    if range == TimeRange::ALWAYS {
        return Ok((i64::MIN, i64::MAX));
    }
    let (part, unit) = key_columns(&query.wallet);
    let found: Vec<i64> = sqlx::query_scalar(
        "WITH RECURSIVE search (bound, low, high) AS (
             SELECT b.bound, 1::int8, n.next FROM UNNEST($4::int8[]) AS b (bound),
                 (SELECT coalesce(max(number), 0) + 1 AS next FROM ledger
                  WHERE customer_id = $1 AND subaccount = $2 AND unit = $3) n
             UNION ALL
             SELECT bound, CASE WHEN is_before THEN middle + 1 ELSE low END,
                 CASE WHEN is_before THEN high ELSE middle END
             FROM (SELECT bound, low, high, (low + high) / 2 AS middle,
                     coalesce((SELECT l.time < bound FROM ledger l
                         WHERE l.customer_id = $1 AND l.subaccount = $2 AND l.unit = $3 AND l.number >= (low + high) / 2
                         ORDER BY l.number LIMIT 1), false) AS is_before
                 FROM search WHERE low < high) step
         )
         SELECT low FROM search WHERE low >= high ORDER BY bound",
    )
    .bind(query.customer.as_str())
    .bind(part)
    .bind(unit)
    .bind(vec![
        range.start.minus(DIFFERENCE_MAX).as_micros(),
        range.end.plus(DIFFERENCE_MAX).as_micros(),
    ])
    .fetch_all(conn)
    .await?;
    match found[..] {
        [first, end] => Ok((first, end)),
        _ => Err(corrupt("ledger", "numbers that cannot be searched")),
    }
}

fn posted(wallet: &WalletKey, row: &PgRow) -> Result<Posted, StoreError> {
    PostedColumns {
        number: row.try_get(0)?,
        time: row.try_get(1)?,
        cause: row.try_get(2)?,
        body: row.try_get(3)?,
        available: row.try_get(4)?,
        held: row.try_get(5)?,
        receivable: row.try_get(6)?,
    }
    .read(wallet.clone())
}
