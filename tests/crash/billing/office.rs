//! Stripe's double at work beside the servers, and how customers become its payers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bursar::clock::{Stopwatch, wall_clock};
use bursar::domain::billing::price_list;
use bursar::domain::catalog::parse_catalog;
use bursar::grpc::pb;
use bursar::grpc::pb::operations_service_client::OperationsServiceClient;
use bursar::grpc::pb::subscription_service_client::SubscriptionServiceClient;
use bursar::stripe::Setup;
use bursar::stripe::gateway::{Caller, Cursor, Gateway, Http, HttpSettings, Rates, Repeats};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use super::{BILLED, Counted, EVENT_NAME};
use crate::checker::Stored;
use crate::live::with_server;
use crate::process::server::Setup as ServerSetup;
use crate::run::Result;
use crate::stripe::{Double, Settings};
use crate::world::{CATALOG, SECOND, customer_id, customer_no};

/// Any key for tests will do.
const KEY: &str = "sk_test_crash";
/// How long a call of a server may take: four times as long it takes until another sends what it was sending.
const TIMEOUT_MS: u32 = 1_000;
/// More than are ever sent, so that nothing waits for its turn.
const METER_EVENTS_PER_SECOND: u32 = 10_000;
/// How often the double's clock is put right.
const TICK: Duration = Duration::from_millis(200);
/// How long all must be settled until nothing more is expected: longer than usage is gathered.
const QUIET: Duration = Duration::from_secs(4);
/// How long it may take until all is settled.
const SETTLE_WAIT: Duration = Duration::from_mins(1);

/// Stripe, as far as the servers can tell. It outlives all of them.
pub struct Office {
    runtime: Runtime,
    double: Arc<Double>,
    gateway: Gateway,
}

impl Office {
    /// Opens it, with what the catalog sells.
    pub fn open() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let settings = Settings {
            now_seconds: now(),
            calls_kept: 1,
            ..Settings::default()
        };
        let double = Arc::new(runtime.block_on(Double::start(settings))?);
        let clock = Arc::clone(&double);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                clock.advance(now()).await;
            }
        });
        let list = price_list(&parse_catalog(CATALOG).map_err(|faults| format!("{faults:?}"))?);
        let setup = Setup::new(Arc::new(gateway(&double.url())?));
        runtime.block_on(setup.apply(&list))?;
        Ok(Self {
            gateway: gateway(&double.url())?,
            runtime,
            double,
        })
    }

    /// Has a server bill through it, as fast as it can.
    #[must_use]
    pub fn billed(&self, setup: ServerSetup) -> ServerSetup {
        setup
            .set("BURSAR_STRIPE_KEY", KEY)
            .set("BURSAR_STRIPE_API_BASE", self.double.url())
            .set("BURSAR_STRIPE_TIMEOUT_MS", TIMEOUT_MS)
            .set(
                "BURSAR_STRIPE_METER_EVENTS_PER_SECOND",
                METER_EVENTS_PER_SECOND,
            )
            .set("BURSAR_USAGE_WINDOW_MINUTES", 0)
    }

    /// Waits until a server has nothing on its way any more, and for so long that nothing more can come. What is not settled
    /// then shows in what is stored.
    pub fn settle(&self, server: SocketAddr) -> Result<()> {
        with_server(server, async |channel| {
            let mut operations = OperationsServiceClient::new(channel);
            let (watch, mut quiet) = (Stopwatch::start(), Stopwatch::start());
            let mut events = self.double.effect_count(EVENT_NAME);
            while watch.elapsed() < SETTLE_WAIT && quiet.elapsed() < QUIET {
                tokio::time::sleep(TICK).await;
                let counted = self.double.effect_count(EVENT_NAME);
                if counted != events || is_on_its_way(&mut operations).await? {
                    quiet = Stopwatch::start();
                }
                events = counted;
            }
            Ok(())
        })
    }

    /// Returns what was counted.
    pub fn counted(&self, stored: &Stored) -> Result<Counted> {
        let mut counted = Counted {
            events: self.double.effect_count(EVENT_NAME),
            ..Counted::default()
        };
        for (payer, customer) in self.runtime.block_on(self.payers())? {
            let sum = self.double.effective_sum(EVENT_NAME, &payer, 0, i64::MAX);
            *counted.sums.entry(customer).or_default() += sum;
        }
        for chunk in stored.chunks.values() {
            let times = self.double.effects_of(&chunk.identifier);
            counted.times.insert(chunk.identifier.clone(), times);
        }
        Ok(counted)
    }

    /// Returns whose each customer of Stripe's is.
    async fn payers(&self) -> Result<BTreeMap<String, u32>> {
        let mut payers = BTreeMap::new();
        let mut page = self.gateway.list_customers(None, Cursor::FIRST).await?;
        loop {
            for theirs in &page.data {
                if let Some(customer) = theirs.ours().and_then(customer_no) {
                    payers.insert(theirs.id.clone(), customer);
                }
            }
            let Some(next) = page.next() else {
                return Ok(payers);
            };
            page = self.gateway.list_customers(None, next).await?;
        }
    }
}

/// Makes payers of the customers that are billed.
pub fn enlist(server: SocketAddr) -> Result<()> {
    with_server(server, async |channel| {
        let mut service = SubscriptionServiceClient::new(channel);
        for customer in 0..BILLED {
            let customer_id = customer_id(customer);
            let request = pb::SyncSubscriptionRequest {
                customer_id,
                stripe_customer_id: String::new(),
            };
            service.sync_subscription(request).await?;
        }
        Ok(())
    })
}

async fn is_on_its_way(operations: &mut OperationsServiceClient<Channel>) -> Result<bool> {
    for state in [
        pb::ChunkState::Sealed,
        pb::ChunkState::Sending,
        pb::ChunkState::InDoubt,
    ] {
        let request = pb::ListChunksRequest {
            state: state.into(),
            page_size: 1,
            ..pb::ListChunksRequest::default()
        };
        let page = operations.list_chunks(request).await?.into_inner();
        if !page.chunks.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn now() -> i64 {
    wall_clock().as_micros() / SECOND
}

fn gateway(url: &str) -> Result<Gateway> {
    let settings = HttpSettings {
        base_url: url.to_owned(),
        ..HttpSettings::default()
    };
    let http = Http::new(&settings, &KEY.into())?;
    let rates = Rates {
        calls: NonZeroU32::MAX,
        meter_events: None,
    };
    let caller = Caller::new(Arc::new(http), rates, Repeats::default(), 1);
    Ok(Gateway::new(caller))
}
