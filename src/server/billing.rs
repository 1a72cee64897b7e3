//! Billing, put together: through Stripe with a key, else in the sandbox.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::clock::MovedClock;
use crate::config::Config;
use crate::domain::billing::MoneyMode;
use crate::engine::{BillingTerms, Engine, money_mode};
use crate::storage::Store;
use crate::stripe::gateway::{Caller, Gateway, Http, HttpSettings, Rates, Repeats, Transport};
use crate::stripe::{
    EventList, Follower, MeterErrors, Payments, PeriodicSync, Reconciliation, Sandbox,
    StripeBiller, UsageOut, WebhookDoor, WebhooksIn,
};

/// What bills, at work.
pub(super) struct Billing {
    /// Where webhooks come in; `None`: nothing signs them.
    pub(super) door: Option<WebhookDoor>,
    /// What works until the server is closed.
    pub(super) tasks: Vec<JoinHandle<()>>,
}

/// What billing is put together from.
pub(super) struct Ground<'a> {
    /// The server's settings.
    pub(super) config: &'a Config,
    /// Its engine.
    pub(super) engine: &'a Engine,
    /// Which life of the database this is.
    pub(super) incarnation: &'a str,
    /// What moves the sandbox's time.
    pub(super) clock: Arc<MovedClock>,
}

/// Returns what money a server with these settings deals in.
///
/// # Errors
/// When the key is none for programs.
pub(super) fn money_of(config: &Config) -> Result<MoneyMode, StartError> {
    let key = config.stripe.key();
    key.map_or(Ok(MoneyMode::Sandbox), |key| {
        MoneyMode::of_key(key.expose_secret()).ok_or(StartError::UnknownKey)
    })
}

/// Refuses a store that deals in other money: what it links with is not there.
///
/// # Errors
/// When it does, or cannot be read.
pub(super) async fn check_money(store: &dyn Store, money: MoneyMode) -> Result<(), StartError> {
    let given = money;
    match money_mode(store).await.map_err(StartError::Billing)? {
        Some(held) if held != given => Err(StartError::OtherMoney { held, given }),
        Some(_) | None => Ok(()),
    }
}

impl Billing {
    /// Puts billing together and lets it work until `closed` is cancelled.
    pub(super) async fn start(
        ground: Ground<'_>,
        closed: &CancellationToken,
    ) -> Result<Self, StartError> {
        let (config, engine) = (ground.config, ground.engine);
        let money = money_of(config)?;
        let is_live = money.is_live();
        engine.set_billing(BillingTerms {
            incarnation: ground.incarnation.into(),
            window: config.billing.usage_window(),
            disputes_freeze: config.billing.disputes_freeze_wallets,
            is_live,
            lease: config.billing.lease(),
        });
        let mut tasks = Vec::new();
        let mut sandbox = None;
        let (transport, rates): (Arc<dyn Transport>, Rates) = if let Some(key) = config.stripe.key()
        {
            let marked = engine.mark_money_mode(money).await;
            marked.map_err(StartError::Billing)?;
            let (usual, timeout) = (HttpSettings::default(), config.billing.timeout());
            let settings = HttpSettings {
                base_url: config.stripe.stripe_api_base.clone(),
                connect_timeout: usual.connect_timeout.min(timeout / 2),
                call_timeout: timeout,
                ..usual
            };
            tracing::info!(live = is_live, base = %settings.base_url, "billing goes through Stripe");
            let usual = if is_live { Rates::LIVE } else { Rates::TEST };
            let own = config.billing.stripe_meter_events_per_second;
            let rates = Rates {
                meter_events: own.or(usual.meter_events),
                ..usual
            };
            (Arc::new(Http::new(&settings, key)?), rates)
        } else {
            tracing::info!("billing is a sandbox's: no money moves");
            let model = Arc::new(Sandbox::new(engine.clone(), ground.clock));
            let (running, stop) = (Arc::clone(&model), closed.clone());
            tasks.push(tokio::spawn(async move { running.run(stop).await }));
            sandbox = Some(Arc::clone(&model));
            (model, Rates::LIVE)
        };
        let seed = u64::from(std::process::id());
        let caller = Caller::new(transport, rates, Repeats::default(), seed);
        let gateway = Arc::new(Gateway::new(caller));
        let follower = Follower::new(engine.clone(), Arc::clone(&gateway));
        let payments = Payments::new(engine.clone(), Arc::clone(&gateway));
        tasks.push(tokio::spawn(payments.clone().run(closed.clone())));
        let sync = PeriodicSync::new(engine.clone(), follower.clone());
        tasks.push(tokio::spawn(sync.run(closed.clone())));
        let events = EventList::new(engine.clone(), Arc::clone(&gateway));
        tasks.push(tokio::spawn(events.run(closed.clone())));
        let meter_errors = MeterErrors::new(engine.clone(), Arc::clone(&gateway));
        let inbox = WebhooksIn::new(engine.clone(), follower, payments, meter_errors);
        tasks.push(tokio::spawn(inbox.run(closed.clone())));
        let comparing = Reconciliation::new(engine.clone(), Arc::clone(&gateway));
        tasks.push(tokio::spawn(comparing.run(closed.clone())));
        let usage = UsageOut::new(engine.clone(), Arc::clone(&gateway));
        tasks.push(tokio::spawn(usage.run(closed.clone())));
        let mark = (ground.incarnation.into(), is_live);
        let biller = StripeBiller::new(engine.clone(), gateway, mark, sandbox);
        engine.set_biller(Some(Arc::new(biller)));
        let secrets = config.billing.webhook_secrets();
        let door = (!secrets.is_empty()).then(|| WebhookDoor::new(engine.clone(), secrets));
        Ok(Self { door, tasks })
    }
}
