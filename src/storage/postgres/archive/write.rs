//! Writing a copy into an empty database, in one transaction.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{Connection as _, PgPool, Postgres, Transaction};

use super::super::columns::day_of_times;
use super::super::copy::{CopyText, copy_in};
use super::super::days::{self, STEP};
use super::super::{migrate, open};
use super::rows::{EVENTS, columns, event, write};
use super::{UNFINISHED, connect, copying, header, read, refuse_rows};
use crate::storage::StoreError;
use crate::storage::archive::{
    ArchiveError, CustomerTotals, Header, Record, Scope, Sink, Source, Table, Target,
};

/// Another name for this life of the database.
const RENAME: &str =
    "UPDATE store SET incarnation = substr(replace(gen_random_uuid()::text, '-', ''), 17)";

/// A database that a copy is written to. Until it is finished nobody else reads or writes it.
pub struct PostgresTarget {
    pool: PgPool,
    transaction: Transaction<'static, Postgres>,
    header: Header,
    /// The earliest count time of each partition of events.
    days: BTreeMap<i32, i64>,
}

impl PostgresTarget {
    /// Begins a copy in a database by its address, which must hold nothing, and keeps servers away from it.
    ///
    /// # Errors
    /// When it cannot be reached, or holds something.
    pub async fn create(address: &str) -> Result<Self, ArchiveError> {
        let mut conn = connect(address).await?;
        // Before anything of it is changed or locked: the address may be that of a database that is used.
        refuse_rows(&mut conn).await?;
        let migrated = migrate::run(&mut conn, migrate::MIGRATIONS).await;
        // Closed first of all, so that the lock which migrations took is given up.
        let closed = conn.close().await;
        migrated?;
        closed.map_err(StoreError::from)?;
        let (connecting, options) = copying(address)?;
        let pool = open::pool(&connecting, &options, (1, 1), false);
        // A mark that stays when this process is killed.
        let mut mark = begin(&pool).await?;
        sqlx::query("UPDATE store SET incarnation = $1")
            .bind(UNFINISHED)
            .execute(&mut *mark)
            .await
            .map_err(StoreError::from)?;
        mark.commit().await.map_err(StoreError::from)?;
        let mut transaction = match begin(&pool).await {
            Ok(transaction) => transaction,
            Err(error) => {
                // Somebody was faster; what is there now is theirs.
                lift(&pool).await;
                return Err(error);
            }
        };
        sqlx::query(RENAME)
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        let header = header(&mut transaction).await?;
        Ok(Self {
            pool,
            transaction,
            header,
            days: BTreeMap::new(),
        })
    }

    async fn copy_in(&mut self, into: &str, rows: &CopyText) -> Result<(), StoreError> {
        Ok(copy_in(&mut self.transaction, into, rows).await?)
    }

    /// Writes events, their keys, and the partitions that they need.
    async fn events(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let (mut keys, mut rows) = (CopyText::default(), CopyText::default());
        for record in records {
            let Record::Event(row) = record else { continue };
            let received = row.record_time.unwrap_or(row.count_time);
            let day = day_of_times(received, row.count_time);
            let counted = row.count_time / STEP * STEP;
            if let Some(first) = self.days.get_mut(&day) {
                *first = counted.min(*first);
            } else {
                days::make(&mut self.transaction, day).await?;
                self.days.insert(day, counted);
            }
            keys.text(&row.id)
                .text(&row.customer)
                .number(row.kind)
                .number(day.into())
                .number(row.count_time)
                .end();
            event(&mut rows, day, row);
        }
        self.copy_in(
            "event_keys (event_id, customer_id, kind, day, count_time)",
            &keys,
        )
        .await?;
        self.copy_in(EVENTS, &rows).await
    }
}

/// Begins a transaction in which nobody else uses an empty database.
async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, ArchiveError> {
    let mut transaction = pool.begin().await.map_err(StoreError::from)?;
    let locked = sqlx::raw_sql(
        "SET LOCAL lock_timeout = '5s';
         LOCK TABLE store, catalogs, customers IN ACCESS EXCLUSIVE MODE;
         SET LOCAL lock_timeout = 0",
    );
    if let Err(error) = locked.execute(&mut *transaction).await {
        return Err(ArchiveError::NotEmpty(format!(
            "the database cannot be had alone, somebody else uses it: {}",
            StoreError::from(error)
        )));
    }
    refuse_rows(&mut transaction).await?;
    Ok(transaction)
}

/// Takes the mark of an unfinished copy away.
async fn lift(pool: &PgPool) {
    let renamed = format!("{RENAME} WHERE incarnation = $1");
    let renamed = sqlx::query(sqlx::AssertSqlSafe(renamed));
    if let Err(error) = renamed.bind(UNFINISHED).execute(pool).await {
        tracing::warn!(%error, "the mark of an unfinished copy stays, and keeps servers away");
    }
}

#[async_trait(?Send)]
impl Sink for PostgresTarget {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        let Some(table) = records.first().map(Record::table) else {
            return Ok(());
        };
        if table == Table::Events {
            return Ok(self.events(records).await?);
        }
        let mut rows = CopyText::default();
        for record in records {
            write(&mut rows, record)?;
        }
        Ok(self.copy_in(columns(table), &rows).await?)
    }
}

#[async_trait(?Send)]
impl Source for PostgresTarget {
    fn header(&self) -> &Header {
        &self.header
    }

    async fn send(&mut self, scope: &Scope, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        read::send(&mut self.transaction, scope, sink).await
    }

    async fn totals(&mut self, after: &str) -> Result<Option<Vec<CustomerTotals>>, ArchiveError> {
        Ok(Some(read::totals(&mut self.transaction, after).await?))
    }
}

#[async_trait(?Send)]
impl Target for PostgresTarget {
    async fn settle(&mut self) -> Result<(), ArchiveError> {
        let (days, firsts): (Vec<i32>, Vec<i64>) = self.days.iter().unzip();
        sqlx::query(
            "UPDATE event_days d SET first_count = w.first_count
             FROM UNNEST($1::int4[], $2::int8[]) AS w (day, first_count) WHERE d.day = w.day",
        )
        .bind(days)
        .bind(firsts)
        .execute(&mut *self.transaction)
        .await
        .map_err(StoreError::from)?;
        // Sums are looked up by customer, which a planner that knows nothing of the tables may not see.
        sqlx::raw_sql("ANALYZE")
            .execute(&mut *self.transaction)
            .await
            .map_err(StoreError::from)?;
        Ok(())
    }

    async fn finish(self: Box<Self>, from: &Header) -> Result<(), ArchiveError> {
        let Self {
            pool,
            mut transaction,
            ..
        } = *self;
        sqlx::query("UPDATE store SET trimmed = $1")
            .bind(from.latest)
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        transaction.commit().await.map_err(StoreError::from)?;
        pool.close().await;
        Ok(())
    }

    async fn abandon(self: Box<Self>) {
        let Self {
            pool, transaction, ..
        } = *self;
        // What fails here is rolled back when the connection ends.
        let _ = transaction.rollback().await;
        lift(&pool).await;
        pool.close().await;
    }
}
