//! A whole server: store, engine, gRPC and HTTP, from start to drain.
//!
//! Storage, engine and background work share one runtime of two workers; gRPC is served by threads with a runtime each
//! (`edge.rs`); HTTP has a thread of its own, so that it answers however busy the others are.

mod billing;
mod connection;
mod edge;
mod open;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

pub use open::{DEFAULT_CATALOG, Ground, StartError, open};

use self::billing::Billing;
use self::edge::{Edge, Ending};
use crate::clock::{Clock, MovedClock};
use crate::config::Config;
use crate::domain::catalog::CatalogVersion;
use crate::domain::time::Span;
use crate::engine::{Chores, Engine, Limits, moved_ahead};
use crate::grpc::services::{Parts, Services, end_health, report_health};
use crate::http::metrics::Metrics;
use crate::http::{self, Pages};
use crate::storage::Store;

/// Threads for storage, engine and background work.
const CORE_THREADS: usize = 2;
/// How long those who watch the health of a stopping server have to hear of it.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long what waits for the committer may take after the last call has ended.
const COMMIT_WAIT: Duration = Duration::from_secs(30);
/// How long telling the other processes on the database may take: they find out by themselves, somewhat later.
const RESIGN_WAIT: Duration = Duration::from_secs(2);

/// Where a server listens, and what it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// Where gRPC is served.
    pub grpc_addr: SocketAddr,
    /// Where HTTP is served.
    pub http_addr: SocketAddr,
    /// The version of the catalog.
    pub catalog_version: CatalogVersion,
    /// Threads that serve gRPC.
    pub threads: usize,
}

/// Serves until `stop` ends, then drains; on the calling thread. `ground` is opened from the settings when it is not
/// given; `ready` is told once connections are accepted.
///
/// # Errors
/// When the server cannot start. Nothing was served then.
pub fn run(
    config: &Config,
    ground: Option<Ground>,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Serving),
) -> Result<(), StartError> {
    let core = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CORE_THREADS)
        .thread_name("core")
        .enable_all()
        .build()
        .map_err(system("no runtime"))?;
    // The store outlives the runtime's work: it is closed last.
    let _store: Arc<dyn Store> = core.block_on(async {
        let server = Server::start(config, ground).await?;
        ready(&server.serving);
        Ok::<_, StartError>(server.serve(stop, config.drain()).await)
    })?;
    Ok(())
}

fn system<E: ToString>(what: &'static str) -> impl Fn(E) -> StartError {
    move |error| StartError::System(what, error.to_string())
}

/// A server that listens.
struct Server {
    serving: Serving,
    engine: Engine,
    committer: JoinHandle<()>,
    chores: JoinHandle<()>,
    following: JoinHandle<()>,
    billing: Vec<JoinHandle<()>>,
    listener: tokio::net::TcpListener,
    edges: Vec<Edge>,
    http: thread::JoinHandle<()>,
    health: HealthReporter,
    /// Cancelled first: streams announce the end.
    draining: CancellationToken,
    ending: Ending,
    /// Cancelled when no call runs any more: HTTP and the chores end.
    closed: CancellationToken,
}

impl Server {
    async fn start(config: &Config, ground: Option<Ground>) -> Result<Self, StartError> {
        let grpc_socket = listen("--grpc-addr", config.grpc_addr, config.insecure)?;
        let http_socket = listen("--http-addr", config.http_addr, config.insecure)?;
        let metrics = Metrics::install().map_err(system("no metrics"))?;
        let ground = match ground {
            Some(ground) => ground,
            None => open(config).await?,
        };
        let catalog = open::catalog(config, &ground).await?;
        let catalog_version = catalog.version();
        let clock = clock(config, &ground).await?;
        let told = Arc::clone(&clock) as Arc<dyn Clock>;
        let (engine, committer) = Engine::start(ground.store, told, catalog, limits(config));
        let (draining, closed) = (CancellationToken::new(), CancellationToken::new());
        let parts = billing::Ground {
            config,
            engine: &engine,
            incarnation: &ground.incarnation,
            clock,
        };
        let billing = Billing::start(parts, &closed).await?;
        let chores = engine
            .clone()
            .run_chores(chores(config), ground.following, closed.clone());
        let chores = tokio::spawn(chores);
        let following = join_others(&engine, &closed).await;
        let (ending, health) = (Ending::default(), HealthReporter::new());
        let parts = Parts {
            engine: engine.clone(),
            draining: draining.clone(),
            stream_window: config.stream_window,
        };
        let edges = edges(threads(config), &parts, (&health, &ending))?;
        report_health(&health, true).await;
        let serving = Serving {
            grpc_addr: grpc_socket.local_addr().map_err(system("no address"))?,
            http_addr: http_socket.local_addr().map_err(system("no address"))?,
            catalog_version,
            threads: edges.len(),
        };
        let pages = Pages {
            engine: engine.clone(),
            draining: draining.clone(),
            metrics,
            webhooks: billing
                .door
                .map(|door| (door, config.billing.stripe_webhook_paths.clone())),
        };
        let http = start_http(http_socket, pages, closed.clone())?;
        let listener =
            tokio::net::TcpListener::from_std(grpc_socket).map_err(system("no listener"))?;
        Ok(Self {
            serving,
            engine,
            committer,
            chores,
            following,
            billing: billing.tasks,
            listener,
            edges,
            http,
            health,
            draining,
            ending,
            closed,
        })
    }

    /// Serves until `stop` ends, then drains; returns the store, to be closed last.
    async fn serve(self, stop: impl Future<Output = ()>, grace: Duration) -> Arc<dyn Store> {
        tokio::select! {
            () = stop => {}
            () = edge::accept(self.listener, &self.edges, &self.ending) => {}
        }
        tracing::info!(
            grace_seconds = grace.as_secs(),
            "draining: no new connections, streams are told to end"
        );
        report_health(&self.health, false).await;
        self.draining.cancel();
        self.ending.graceful.cancel();
        let edges = self.edges;
        let mut ended = tokio::task::spawn_blocking(move || edges.into_iter().for_each(Edge::join));
        let farewell = async {
            tokio::time::sleep(FAREWELL.min(grace)).await;
            end_health(self.health).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = &mut ended => {}
            () = farewell => {}
            () = tokio::time::sleep(grace) => {
                self.ending.now.cancel();
                if ended.await.is_err() {
                    tracing::error!("threads that serve gRPC could not be waited for");
                }
            }
        }
        self.closed.cancel();
        if self.chores.await.is_err() || self.following.await.is_err() {
            tracing::error!("the chores could not be waited for");
        }
        for task in self.billing {
            if task.await.is_err() {
                tracing::error!("what bills could not be waited for");
            }
        }
        self.engine.drain();
        self.engine.set_biller(None);
        if tokio::task::spawn_blocking(move || self.http.join())
            .await
            .is_err()
        {
            tracing::error!("the thread that serves HTTP could not be waited for");
        }
        let store = Arc::clone(self.engine.store());
        // The committer ends once nobody can ask it for anything any more.
        drop(self.engine);
        if tokio::time::timeout(COMMIT_WAIT, self.committer)
            .await
            .is_err()
        {
            tracing::error!("the committer did not end in time");
        }
        match tokio::time::timeout(RESIGN_WAIT, store.resign()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "others will find out later that this process has ended");
            }
            Err(_) => tracing::warn!(
                "the database does not answer: others will find out later that this process has ended"
            ),
        }
        tracing::info!("stopped");
        store
    }
}

/// Returns the time that the server goes by: the store's, as far ahead as the sandbox's test clock was moved.
async fn clock(config: &Config, ground: &Ground) -> Result<Arc<MovedClock>, StartError> {
    billing::check_money(&*ground.store, billing::money_of(config)?).await?;
    let ahead = moved_ahead(&*ground.store)
        .await
        .map_err(StartError::Billing)?;
    if ahead > Span::ZERO {
        let now = ground.clock.now().plus(ahead);
        tracing::warn!(%now, "time was moved ahead in the sandbox, and goes on from there");
    }
    Ok(Arc::new(MovedClock::new(Arc::clone(&ground.clock), ahead)))
}

/// Begins to work beside other processes on the same database, if there may be any.
async fn join_others(engine: &Engine, closed: &CancellationToken) -> JoinHandle<()> {
    engine.join_rates().await;
    tokio::spawn(engine.clone().share_rates(closed.clone()));
    tokio::spawn(engine.clone().follow_others(closed.clone()))
}

/// Takes an address; one that other machines reach only by leave.
fn listen(flag: &'static str, addr: SocketAddr, insecure: bool) -> Result<TcpListener, StartError> {
    if !addr.ip().is_loopback() && !insecure {
        return Err(StartError::Exposed { flag, addr });
    }
    let bound = TcpListener::bind(addr).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| StartError::Listen { addr, error })
}

fn limits(config: &Config) -> Limits {
    Limits {
        queue_events: config.queue_events,
        committers: open::committers(config),
        refresh: config.refresh(),
        ..Limits::default()
    }
}

fn chores(config: &Config) -> Chores {
    Chores {
        customers_kept: config.max_memory_customers,
        keep_events: Span::from_days(config.keep_events_days),
        ..Chores::default()
    }
}

fn threads(config: &Config) -> usize {
    match config.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// Starts the threads that serve gRPC.
fn edges(
    threads: usize,
    parts: &Parts,
    (health, ending): (&HealthReporter, &Ending),
) -> Result<Vec<Edge>, StartError> {
    let mut edges = Vec::with_capacity(threads);
    for number in 0..threads {
        let services = Services::new(parts, health).map_err(system("no reflection"))?;
        let edge = Edge::start(number, services, ending.clone());
        edges.push(edge.map_err(system("no thread"))?);
    }
    Ok(edges)
}

fn start_http(
    listener: TcpListener,
    pages: Pages,
    closed: CancellationToken,
) -> Result<thread::JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("no runtime"))?;
    let serve = move || {
        if let Err(error) = runtime.block_on(http::serve(listener, pages, closed)) {
            tracing::error!(%error, "HTTP cannot be served");
        }
    };
    let named = thread::Builder::new().name("http".to_owned());
    named.spawn(serve).map_err(system("no thread"))
}
