//! Copying a database of PostgreSQL out, and into an empty one.

mod credits;
mod read;
mod rows;
mod write;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

pub use self::write::PostgresTarget;

use super::migrate::MIGRATIONS;
use super::{Options, names, now, open};
use crate::domain::time::Span;
use crate::storage::StoreError;
use crate::storage::archive::{
    ArchiveError, CustomerTotals, FORMAT, Header, Scope, Sink, Source, Table, check_schema,
};

/// What stands for the incarnation while a copy is being written: no server opens such a database.
const UNFINISHED: &str = "restoring";

/// The rows of one instant, while servers may go on writing.
pub struct PostgresSnapshot {
    conn: PgConnection,
    header: Header,
}

impl PostgresSnapshot {
    /// Connects to a database by its address and holds on to what it holds now.
    ///
    /// # Errors
    /// When it cannot be reached, or has another schema than this binary knows.
    pub async fn open(address: &str) -> Result<Self, ArchiveError> {
        let mut conn = connect(address).await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut conn)
            .await
            .map_err(StoreError::from)?;
        let header = header(&mut conn).await?;
        Ok(Self { conn, header })
    }
}

/// Returns how connections are made on which nothing takes too long.
fn copying(address: &str) -> Result<(PgConnectOptions, Options), StoreError> {
    let options = Options {
        application_name: String::from("bursar copy"),
        statement_timeout: Span::ZERO,
        lock_timeout: Span::ZERO,
        idle_timeout: Span::ZERO,
        ..Options::default()
    };
    Ok((open::connecting(address, &options)?, options))
}

/// Connects to a server that is new enough.
async fn connect(address: &str) -> Result<PgConnection, StoreError> {
    let (connecting, _) = copying(address)?;
    let mut conn = PgConnection::connect_with(&connecting).await?;
    open::check_version(&mut conn).await?;
    Ok(conn)
}

/// Returns the version of a database's schema; 0: it has none.
async fn schema(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let has_schema: bool =
        sqlx::query_scalar("SELECT to_regclass('schema_migrations') IS NOT NULL")
            .fetch_one(&mut *conn)
            .await?;
    if !has_schema {
        return Ok(0);
    }
    let newest = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM schema_migrations");
    Ok(newest.fetch_one(conn).await?)
}

/// Says what a database holds, of which the schema must be the one that this binary knows.
async fn header(conn: &mut PgConnection) -> Result<Header, ArchiveError> {
    let schema = schema(conn).await?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    check_schema(schema, known)?;
    let incarnation: String = sqlx::query_scalar("SELECT incarnation FROM store")
        .fetch_one(&mut *conn)
        .await
        .map_err(StoreError::from)?;
    refuse_unfinished(&incarnation)?;
    Ok(Header {
        bursar_archive: FORMAT,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        made: now(conn).await?.to_string(),
        from: "postgres".to_owned(),
        schema,
        incarnation,
        latest: names::latest(conn).await?.as_micros(),
    })
}

/// Refuses a database of which only a part was copied so far.
pub(super) fn refuse_unfinished(incarnation: &str) -> Result<(), StoreError> {
    if incarnation != UNFINISHED {
        return Ok(());
    }
    Err(StoreError::Unavailable(
        "a copy into this database was begun and did not come to its end: run the same `bursar restore` or `bursar \
         move` again, or drop the database and create it anew"
            .to_owned(),
    ))
}

/// Refuses a database that holds something.
async fn refuse_rows(conn: &mut PgConnection) -> Result<(), ArchiveError> {
    for table in Table::ALL {
        let has_table: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(table.name())
            .fetch_one(&mut *conn)
            .await
            .map_err(StoreError::from)?;
        if !has_table {
            continue;
        }
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name());
        let holds_rows: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut *conn)
            .await
            .map_err(StoreError::from)?;
        if holds_rows {
            return Err(ArchiveError::NotEmpty(format!(
                "the database holds {} already: name one that is empty, as CREATE DATABASE makes it",
                table.name()
            )));
        }
    }
    Ok(())
}

#[async_trait(?Send)]
impl Source for PostgresSnapshot {
    fn header(&self) -> &Header {
        &self.header
    }

    async fn send(&mut self, scope: &Scope, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        read::send(&mut self.conn, scope, sink).await
    }

    async fn totals(&mut self, after: &str) -> Result<Option<Vec<CustomerTotals>>, ArchiveError> {
        Ok(Some(read::totals(&mut self.conn, after).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::postgres::cluster::Database;

    #[tokio::test]
    async fn a_schema_that_is_not_known_is_not_copied() {
        let database = Database::migrated().await;
        let newer = "INSERT INTO schema_migrations (version, name, breaking, checksum) VALUES (999, 'x', false, 'x')";
        sqlx::query(newer)
            .execute(&mut database.connect().await)
            .await
            .unwrap();
        let empty = Database::empty().await;
        for (address, schema) in [(database.url(), 999), (empty.url(), 0)] {
            let refused = PostgresSnapshot::open(&address).await.err().unwrap();
            let expected = format!("has schema {schema}");
            assert!(refused.to_string().contains(&expected), "{refused}");
        }
    }
}
