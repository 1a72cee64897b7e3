//! The schema: migrations that run once, however many processes open the database at the same time.

use sha2::{Digest, Sha256};
use sqlx::{Connection as _, PgConnection};

use super::locks;
use crate::storage::StoreError;
use crate::storage::columns::corrupt;

/// One step of the schema.
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) name: &'static str,
    /// Whether a binary that does not know it must not run beside it.
    pub(super) breaking: bool,
    pub(super) text: &'static str,
}

/// All of them, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "init",
        breaking: false,
        text: include_str!("../../../migrations/postgres/0001_init.sql"),
    },
    Migration {
        version: 2,
        name: "credits",
        breaking: false,
        text: include_str!("../../../migrations/postgres/0002_credits.sql"),
    },
    Migration {
        version: 3,
        name: "billing",
        breaking: false,
        text: include_str!("../../../migrations/postgres/0003_billing.sql"),
    },
];

/// Runs the migrations that the database lacks. The connection is to be closed afterwards, whatever comes of it: that
/// gives the lock up.
pub(super) async fn run(conn: &mut PgConnection, known: &[Migration]) -> Result<(), StoreError> {
    // A migration may take long, and waiting for another process that runs it as well.
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0;")
        .execute(&mut *conn)
        .await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(locks::MIGRATING)
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             version    bigint PRIMARY KEY,
             name       text NOT NULL,
             breaking   boolean NOT NULL,
             checksum   bytea NOT NULL,
             apply_time timestamptz NOT NULL DEFAULT clock_timestamp()
         )",
    )
    .execute(&mut *conn)
    .await?;
    let recorded: Vec<(i64, bool, Vec<u8>)> = sqlx::query_as(
        "SELECT version, breaking, checksum FROM schema_migrations ORDER BY version",
    )
    .fetch_all(&mut *conn)
    .await?;
    let newest = known.last().map_or(0, |migration| migration.version);
    for (version, breaking, _) in &recorded {
        if *breaking && *version > newest {
            return Err(corrupt(
                "schema_migrations",
                format!(
                    "the database has schema {version}, which binaries that know {newest} or less cannot work with: \
                     it was migrated by a newer one"
                ),
            ));
        }
    }
    for migration in known {
        let version = migration.version;
        let checksum: [u8; 32] = Sha256::digest(migration.text).into();
        if let Some((.., before)) = recorded.iter().find(|row| row.0 == version) {
            if *before != checksum {
                return Err(corrupt(
                    "schema_migrations",
                    format!("migration {version} was changed after it ran"),
                ));
            }
            continue;
        }
        let mut transaction = conn.begin().await?;
        sqlx::raw_sql(migration.text)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO schema_migrations (version, name, breaking, checksum) VALUES ($1, $2, $3, $4)",
        )
        .bind(version)
        .bind(migration.name)
        .bind(migration.breaking)
        .bind(&checksum[..])
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
    }
    Ok(())
}
