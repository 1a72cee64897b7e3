//! The stores that the laws are tried on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bursar::clock::{Clock, ManualClock};
use bursar::engine::{Engine, Limits};
use bursar::storage::Store;
use bursar::storage::memory::MemoryStore;
use bursar::storage::postgres::{self, PostgresStore};
use bursar::storage::sqlite::{Options, SqliteStore};

use tokio::task::JoinHandle;

use super::system::catalog;
use crate::postgres::cluster::Cluster;

/// A store that can be closed and opened again.
pub trait Backend {
    /// How many engines work on it at a time.
    const ENGINES: usize = 1;
    /// How many committers each of them has.
    const COMMITTERS: u16 = 1;
    /// What outlives a closed store.
    type Home;

    fn home() -> Self::Home;
    /// Opens the store.
    fn open(home: &Self::Home, clock: &Arc<ManualClock>) -> impl Future<Output = Arc<dyn Store>>;
}

pub struct Memory;
pub struct Sqlite;
/// Several engines, with several committers each, on one database.
pub struct Postgres;

impl Backend for Memory {
    type Home = std::sync::OnceLock<Arc<MemoryStore>>;

    fn home() -> Self::Home {
        std::sync::OnceLock::new()
    }

    async fn open(home: &Self::Home, clock: &Arc<ManualClock>) -> Arc<dyn Store> {
        let clock = Arc::clone(clock);
        let store = home.get_or_init(|| Arc::new(MemoryStore::new(Arc::new(move || clock.now()))));
        Arc::clone(store) as _
    }
}

impl Backend for Sqlite {
    type Home = tempfile::TempDir;

    fn home() -> Self::Home {
        tempfile::tempdir().unwrap()
    }

    async fn open(home: &Self::Home, _: &Arc<ManualClock>) -> Arc<dyn Store> {
        let (store, _) = SqliteStore::open(home.path().join("bursar.db"), Options::default())
            .expect("the database opens");
        Arc::new(store)
    }
}

impl Backend for Postgres {
    const ENGINES: usize = 3;
    const COMMITTERS: u16 = 2;
    type Home = Database;

    fn home() -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Database(format!("laws_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    async fn open(home: &Database, _: &Arc<ManualClock>) -> Arc<dyn Store> {
        if !home.is_made().await {
            cluster()
                .execute(&format!("CREATE DATABASE {}", home.0))
                .await;
        }
        let options = postgres::Options {
            writers: 2,
            readers: 2,
            ..postgres::Options::default()
        };
        let opened = PostgresStore::open(&cluster().url(&home.0), options).await;
        Arc::new(opened.expect("the database opens").0)
    }
}

/// Starts as many engines on a store as its backend has, with the task of each that commits.
pub async fn engines<B: Backend>(
    home: &B::Home,
    clock: &Arc<ManualClock>,
    sold: &str,
) -> Vec<(Engine, JoinHandle<()>)> {
    let mut engines = Vec::with_capacity(B::ENGINES);
    for _ in 0..B::ENGINES {
        let store = B::open(home, clock).await;
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let limits = Limits {
            committers: B::COMMITTERS,
            ..Limits::default()
        };
        engines.push(Engine::start(store, clock, catalog(sold), limits));
    }
    engines
}

/// A database of the cluster, by name.
pub struct Database(String);

impl Database {
    async fn is_made(&self) -> bool {
        use sqlx::Connection as _;
        let url = cluster().url(&self.0);
        sqlx::PgConnection::connect(&url).await.is_ok()
    }
}

/// Returns the cluster of all laws.
fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}
