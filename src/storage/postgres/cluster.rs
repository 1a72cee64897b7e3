//! Databases for the tests of this store, in the cluster that all tests of a process share.

#[expect(
    dead_code,
    reason = "the tests of servers stop and restart a cluster, those of the store do not"
)]
#[path = "../../../tests/postgres/cluster.rs"]
mod private;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use sqlx::{Connection as _, PgConnection};
use tokio::sync::OnceCell;

use self::private::Cluster;

/// The database that those of the tests are copied from.
const TEMPLATE: &str = "bursar_template";

static TEMPLATE_MADE: OnceCell<()> = OnceCell::const_new();
static NUMBER: AtomicUsize = AtomicUsize::new(0);
/// Databases of tests that have ended.
static FINISHED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Returns the cluster of all tests of this process.
fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// A database of its own, dropped some time after this is.
pub struct Database {
    name: String,
}

impl Database {
    /// Makes a database that has the schema.
    pub async fn migrated() -> Self {
        TEMPLATE_MADE
            .get_or_init(|| async {
                execute(&format!("CREATE DATABASE {TEMPLATE}")).await;
                let url = cluster().url(TEMPLATE);
                let mut conn = PgConnection::connect(&url).await.unwrap();
                let migrations = super::migrate::MIGRATIONS;
                super::migrate::run(&mut conn, migrations).await.unwrap();
                conn.close().await.unwrap();
            })
            .await;
        Self::make(TEMPLATE).await
    }

    /// Makes a database that has nothing.
    pub async fn empty() -> Self {
        Self::make("template0").await
    }

    async fn make(template: &str) -> Self {
        let finished = std::mem::take(&mut *FINISHED.lock().unwrap());
        for name in finished {
            execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name }
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        cluster().url(&self.name)
    }

    /// Connects to it, past the store.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Changes a setting of the database, for connections that are opened afterwards.
    pub async fn set(&self, setting: &str, value: &str) {
        let name = &self.name;
        execute(&format!("ALTER DATABASE {name} SET {setting} = {value}")).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        FINISHED
            .lock()
            .unwrap()
            .push(std::mem::take(&mut self.name));
    }
}

/// Runs a statement outside of the databases of tests.
async fn execute(sql: &str) {
    cluster().execute(sql).await;
}
