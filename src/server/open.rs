//! Opening what a server works on: the store, its time, its catalog.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::{AnchoredClock, Clock, wall_clock};
use crate::config::{Config, Database};
use crate::domain::billing::MoneyMode;
use crate::domain::catalog::{CatalogFault, parse_catalog};
use crate::domain::time::Span;
use crate::storage::memory::MemoryStore;
use crate::storage::postgres::{self, PostgresStore};
use crate::storage::sqlite::{self, SqliteStore};
use crate::storage::{Batch, BatchMark, Changes, Store, StoreError, StoredCatalog};
use crate::stripe::gateway::HttpSettingsError;

/// The catalog that an empty database starts with.
pub const DEFAULT_CATALOG: &str = include_str!("../../catalogs/default.toml");

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that others reach, without leave.
    #[error(
        "{addr} can be reached from other machines, and there are neither keys nor TLS; use a loopback address, or \
         {flag} with --insecure if something else protects it"
    )]
    Exposed {
        /// The flag that set it.
        flag: &'static str,
        /// The address.
        addr: std::net::SocketAddr,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The catalog file has faults.
    #[error("the catalog has {} faults:\n{}", .0.len(), lines(.0))]
    Catalog(Vec<CatalogFault>),
    /// The way to Stripe cannot be made.
    #[error(transparent)]
    Stripe(#[from] HttpSettingsError),
    /// The key is none for programs.
    #[error(
        "the key for Stripe begins with none of sk_test_, sk_live_, rk_test_ and rk_live_; a key for publishing (pk_) or a \
         secret of webhooks (whsec_) is another thing"
    )]
    UnknownKey,
    /// The database deals in other money.
    #[error(
        "the database deals in {} money and the key in {}; they never mix: {}", held.word(), given.word(), way_out(*held)
    )]
    OtherMoney {
        /// In which it deals.
        held: MoneyMode,
        /// In which it was to deal.
        given: MoneyMode,
    },
    /// What is kept about billing cannot be read or written.
    #[error("billing: {0}")]
    Billing(crate::engine::Error),
    /// A part of the system could not be set up.
    #[error("{0}: {1}")]
    System(&'static str, String),
}

/// Says what to do about a database that deals in other money.
const fn way_out(held: MoneyMode) -> &'static str {
    match held {
        MoneyMode::Sandbox => "start without a key, or with another --database",
        MoneyMode::Test | MoneyMode::Live => "give the key that it had, or another --database",
    }
}

fn lines(faults: &[CatalogFault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What a server works on.
pub struct Ground {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Tells the time, as the store has it.
    pub clock: Arc<dyn Clock>,
    /// Which life of the database this is.
    pub incarnation: String,
    /// The same clock, when it is to follow the store's time.
    pub following: Option<Arc<AnchoredClock>>,
}

/// Opens the store that the settings name.
///
/// # Errors
/// When it cannot be used.
pub async fn open(config: &Config) -> Result<Ground, StartError> {
    let allow_weak_durability = config.allow_weak_durability;
    let (store, incarnation): (Arc<dyn Store>, String) = match &config.database {
        Database::Memory => {
            let store = Arc::new(MemoryStore::new(Arc::new(wall_clock)));
            (store, "memory".to_owned())
        }
        Database::Sqlite(path) => {
            let options = sqlite::Options {
                allow_weak_durability,
                ..sqlite::Options::default()
            };
            let (store, opened) = SqliteStore::open(path, options)?;
            (Arc::new(store), opened.incarnation)
        }
        Database::Postgres(address) => {
            let options = postgres_options(config);
            let (store, opened) = PostgresStore::open(address, options).await?;
            (Arc::new(store), opened.incarnation)
        }
    };
    let clock = Arc::new(AnchoredClock::new(store.now().await?));
    Ok(Ground {
        store,
        incarnation,
        following: Some(Arc::clone(&clock)),
        clock,
    })
}

/// A process counts as gone when it was not heard of for so many times as long as answers may be behind.
const LEASE_REFRESHES: u32 = 20;

fn postgres_options(config: &Config) -> postgres::Options {
    let statement = config.database_timeout_ms;
    let lease = config.refresh_ms * LEASE_REFRESHES;
    postgres::Options {
        writers: u32::from(committers(config)),
        statement_timeout: Span::from_millis(statement),
        // Half the lease: others, who wait for the locks of a process that stands still, get them in time.
        idle_timeout: Span::from_millis(statement.min(lease / 2)),
        lock_timeout: Span::from_millis(statement / 3),
        connect_timeout: Span::from_millis((statement / 15).max(500)),
        // The server gives up first, so that what became of a statement is known.
        answer_timeout: Span::from_millis(statement + 1_000),
        lease: Span::from_millis(lease),
        allow_weak_durability: config.allow_weak_durability,
        ..postgres::Options::default()
    }
}

/// Returns how many transactions may run at a time.
pub(super) fn committers(config: &Config) -> u16 {
    match (&config.database, config.committers) {
        // One file is written to by one thread.
        (Database::Memory | Database::Sqlite(_), _) => 1,
        // Fewer and larger transactions cost less; more of them hide how far the database is. Those beyond the number
        // of cores only wait for one another.
        (Database::Postgres(_), 0) => {
            let cores = std::thread::available_parallelism().map_or(4, NonZero::get);
            u16::try_from(cores.clamp(2, 4)).unwrap_or(4)
        }
        (Database::Postgres(_), count) => count,
    }
}

/// Returns the store's newest catalog; an empty store gets its first one.
pub(super) async fn catalog(config: &Config, ground: &Ground) -> Result<StoredCatalog, StartError> {
    if let Some(stored) = ground.store.catalog(None).await? {
        if config.catalog.is_some() {
            tracing::info!(
                catalog.version = stored.version(),
                "the database has a catalog; --catalog is for an empty one, use `bursar catalog apply`"
            );
        }
        return Ok(stored);
    }
    let source = match &config.catalog {
        None => DEFAULT_CATALOG.to_owned(),
        Some(path) => fs::read_to_string(path).map_err(|error| StartError::Read {
            path: path.clone(),
            error,
        })?,
    };
    let mut catalog = parse_catalog(&source).map_err(StartError::Catalog)?;
    catalog.version = 1;
    let now = ground.clock.now();
    let first = StoredCatalog {
        catalog: Arc::new(catalog),
        source: source.into(),
        apply_time: now,
    };
    match ground
        .store
        .commit(founding(ground, first.clone()).await?)
        .await
    {
        Ok(_) => Ok(first),
        // Another process that starts at the same time was faster.
        Err(StoreError::Conflict(_) | StoreError::Constraint(_)) => {
            let stored = ground.store.catalog(None).await?;
            stored.ok_or_else(|| StoreError::Unavailable("no catalog was stored".to_owned()).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the batch that stores the first catalog, of a life of its own.
async fn founding(ground: &Ground, first: StoredCatalog) -> Result<Batch, StoreError> {
    let epoch = ground.store.enlist(0).await?;
    Ok(Batch {
        mark: BatchMark { epoch, number: 1 },
        now: first.apply_time,
        plain: Vec::new(),
        probe_events: Vec::new(),
        probe_requests: Vec::new(),
        probe_billing: Vec::new(),
        catalog: 0,
        customers: Vec::new(),
        folds: Vec::new(),
        changes_catalog: true,
        decide: Box::new(move |_| Changes {
            catalog: Some(first),
            ..Changes::default()
        }),
    })
}
