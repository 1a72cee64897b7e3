//! Writing what changed in wallets. Wallets, grants, holds and ledgers mostly change together, so that one statement
//! writes all of them: each costs a round trip while the customers of the batch are locked.

use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use crate::domain::id::{CustomerId, HoldId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{BookChanges, Draw, Grant, Hold, Posted, WalletHead, WalletKey};
use crate::storage::StoreError;
use crate::storage::columns::json;
use crate::storage::postgres::columns::indexed;
use crate::storage::wallets::{
    cause_column, grant_body, hold_body, hold_state_column, key_columns, payment_column,
    posted_body,
};

/// Rows of each kind that one statement writes.
const ROWS_A_STATEMENT: usize = 1_000;

/// What must stay of a grant is compared: one that would become another gets an amount that its table refuses.
const STATEMENT: &str = "WITH heads AS (
    INSERT INTO wallets (customer_id, subaccount, unit, number, receivable, terms, due_time)
    SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::text[],
        $7::int8[])
    ON CONFLICT (customer_id, subaccount, unit) DO UPDATE SET number = excluded.number,
        receivable = excluded.receivable, terms = excluded.terms, due_time = excluded.due_time
), credits AS (
    INSERT INTO grants AS g (customer_id, id, subaccount, unit, amount, used, held, lapsed, payment, change_time,
        expire_time, body)
    SELECT * FROM UNNEST($8::text[], $9::text[], $10::text[], $11::text[], $12::int8[], $13::int8[], $14::int8[],
        $15::int8[], $16::text[], $17::int8[], $18::int8[], $19::text[])
    ON CONFLICT (customer_id, id) DO UPDATE SET
        amount = CASE WHEN (g.subaccount, g.unit, g.amount) = (excluded.subaccount, excluded.unit, excluded.amount)
            AND g.payment IS NOT DISTINCT FROM excluded.payment THEN g.amount ELSE -1 END,
        used = excluded.used, held = excluded.held, lapsed = excluded.lapsed, change_time = excluded.change_time,
        expire_time = excluded.expire_time, body = excluded.body
), aside AS (
    INSERT INTO holds (customer_id, id, subaccount, unit, state, expire_time, end_time, body)
    SELECT * FROM UNNEST($20::text[], $21::text[], $22::text[], $23::text[], $24::int2[], $25::int8[], $26::int8[],
        $27::text[])
    ON CONFLICT (customer_id, id, subaccount, unit) DO UPDATE SET
        state = excluded.state, expire_time = excluded.expire_time, end_time = excluded.end_time,
        body = excluded.body
)
INSERT INTO ledger (customer_id, subaccount, unit, number, time, cause, body, available, held, receivable)
SELECT * FROM UNNEST($28::text[], $29::text[], $30::text[], $31::int8[], $32::int8[], $33::text[], $34::text[],
    $35::int8[], $36::int8[], $37::int8[])";

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// What changed in the wallets of a batch, by customer.
#[derive(Default)]
pub(in crate::storage::postgres) struct Rows<'a> {
    heads: Vec<(&'a CustomerId, &'a WalletHead)>,
    grants: Vec<(&'a CustomerId, &'a WalletKey, &'a Grant)>,
    holds: Vec<(&'a CustomerId, &'a WalletKey, &'a HoldId, &'a Hold)>,
    moved: Vec<Moved<'a>>,
    draws: Vec<(&'a CustomerId, &'a Draw)>,
}

/// A transaction that is appended to a ledger.
pub(in crate::storage::postgres) struct Moved<'a> {
    customer: &'a CustomerId,
    posted: &'a Posted,
    /// What of it stands in no column of its own.
    body: String,
}

impl Moved<'_> {
    /// Adds all of it to a hash.
    pub(in crate::storage::postgres) fn hash(&self, hash: &mut Sha256) {
        let Posted {
            wallet,
            number,
            time,
            transaction,
            balance,
            ..
        } = self.posted;
        let (part, unit) = key_columns(wallet);
        let cause = cause_column(transaction.cause);
        for text in [self.customer.as_str(), part, unit, cause, &self.body] {
            hash.update(text);
            // No text holds a zero.
            hash.update([0]);
        }
        let (available, held, owed) = (balance.available, balance.held, balance.receivable);
        for number in [*number, time.as_micros(), available, held, owed] {
            hash.update(number.to_be_bytes());
        }
    }
}

impl<'a> Rows<'a> {
    /// Takes what a decision changed.
    pub(in crate::storage::postgres) fn of(books: &'a [(CustomerId, BookChanges)]) -> Self {
        let mut rows = Self::default();
        let mut books: Vec<_> = books.iter().collect();
        // As indexes have them.
        books.sort_unstable_by_key(|(customer, _)| customer);
        for (customer, book) in books {
            rows.heads
                .extend(book.heads.iter().map(|head| (customer, head)));
            let grants = book.grants.iter();
            rows.grants
                .extend(grants.map(|(key, grant)| (customer, key, grant)));
            let holds = book.holds.iter();
            rows.holds
                .extend(holds.map(|(key, id, hold)| (customer, key, id, hold)));
            rows.moved.extend(book.posted.iter().map(|posted| Moved {
                customer,
                posted,
                body: posted_body(posted),
            }));
            rows.draws
                .extend(book.draws.iter().map(|draw| (customer, draw)));
        }
        rows
    }

    /// Returns the transactions, wallet by wallet in the order of their numbers.
    pub(in crate::storage::postgres) fn moved(&self) -> &[Moved<'a>] {
        &self.moved
    }

    /// Writes all of it.
    pub(in crate::storage::postgres) async fn write(
        &self,
        conn: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let (heads, grants) = (self.heads.len(), self.grants.len());
        let most = heads.max(grants).max(self.holds.len());
        for from in (0..most.max(self.moved.len())).step_by(ROWS_A_STATEMENT) {
            let query = bind_heads(sqlx::query(STATEMENT), part(&self.heads, from));
            let query = bind_grants(query, part(&self.grants, from));
            let query = bind_holds(query, part(&self.holds, from));
            let query = bind_moved(query, part(&self.moved, from));
            query.execute(&mut *conn).await?;
        }
        for rows in self.draws.chunks(ROWS_A_STATEMENT) {
            draws(conn, rows).await?;
        }
        Ok(())
    }
}

/// Returns the rows from one on that one statement writes.
fn part<T>(rows: &[T], from: usize) -> &[T] {
    let rows = rows.get(from..).unwrap_or_default();
    &rows[..rows.len().min(ROWS_A_STATEMENT)]
}

/// Returns a column of rows.
fn column<'a, R, T>(rows: &'a [R], of: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn bind_heads<'q>(query: Statement<'q>, rows: &'q [(&CustomerId, &WalletHead)]) -> Statement<'q> {
    query
        .bind(column(rows, |row| row.0.as_str()))
        .bind(column(rows, |row| key_columns(&row.1.key).0))
        .bind(column(rows, |row| key_columns(&row.1.key).1))
        .bind(column(rows, |row| row.1.number))
        .bind(column(rows, |row| row.1.receivable))
        .bind(column(rows, |row| json(&row.1.terms)))
        .bind(column(rows, |row| {
            row.1.terms.due_time.map(Timestamp::as_micros)
        }))
}

fn bind_grants<'q>(
    query: Statement<'q>,
    rows: &'q [(&CustomerId, &WalletKey, &Grant)],
) -> Statement<'q> {
    let payment = |grant| payment_column(grant).map(|text| indexed(&text).0.into_owned());
    query
        .bind(column(rows, |row| row.0.as_str()))
        .bind(column(rows, |row| row.2.id.as_str()))
        .bind(column(rows, |row| key_columns(row.1).0))
        .bind(column(rows, |row| key_columns(row.1).1))
        .bind(column(rows, |row| row.2.amount))
        .bind(column(rows, |row| row.2.used))
        .bind(column(rows, |row| row.2.held))
        .bind(column(rows, |row| row.2.lapsed))
        .bind(column(rows, |row| payment(row.2)))
        .bind(column(rows, |row| row.2.change_time.as_micros()))
        .bind(column(rows, |row| {
            row.2.expire_time.map(Timestamp::as_micros)
        }))
        .bind(column(rows, |row| grant_body(row.2)))
}

fn bind_holds<'q>(
    query: Statement<'q>,
    rows: &'q [(&CustomerId, &WalletKey, &HoldId, &Hold)],
) -> Statement<'q> {
    let state = |hold: &Hold| i16::try_from(hold_state_column(hold.state)).unwrap_or_default();
    query
        .bind(column(rows, |row| row.0.as_str()))
        .bind(column(rows, |row| row.2.as_str()))
        .bind(column(rows, |row| key_columns(row.1).0))
        .bind(column(rows, |row| key_columns(row.1).1))
        .bind(column(rows, |row| state(row.3)))
        .bind(column(rows, |row| row.3.expire_time.as_micros()))
        .bind(column(rows, |row| row.3.end_time.map(Timestamp::as_micros)))
        .bind(column(rows, |row| hold_body(row.3)))
}

fn bind_moved<'q>(query: Statement<'q>, rows: &'q [Moved<'_>]) -> Statement<'q> {
    query
        .bind(column(rows, |row| row.customer.as_str()))
        .bind(column(rows, |row| key_columns(&row.posted.wallet).0))
        .bind(column(rows, |row| key_columns(&row.posted.wallet).1))
        .bind(column(rows, |row| row.posted.number))
        .bind(column(rows, |row| row.posted.time.as_micros()))
        .bind(column(rows, |row| {
            cause_column(row.posted.transaction.cause)
        }))
        .bind(column(rows, |row| row.body.as_str()))
        .bind(column(rows, |row| row.posted.balance.available))
        .bind(column(rows, |row| row.posted.balance.held))
        .bind(column(rows, |row| row.posted.balance.receivable))
}

async fn draws(conn: &mut PgConnection, rows: &[(&CustomerId, &Draw)]) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO draws (customer_id, feature, period_start, period_end, body)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::int8[], $4::int8[], $5::text[])
         ON CONFLICT (customer_id, feature, period_start) DO UPDATE SET
             period_end = excluded.period_end, body = excluded.body",
    )
    .bind(column(rows, |row| row.0.as_str()))
    .bind(column(rows, |row| row.1.feature.as_str()))
    .bind(column(rows, |row| row.1.period.start.as_micros()))
    .bind(column(rows, |row| row.1.period.end.as_micros()))
    .bind(column(rows, |row| json(row.1)))
    .execute(conn)
    .await?;
    Ok(())
}
