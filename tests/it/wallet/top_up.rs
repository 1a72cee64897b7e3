//! Automatic top-ups, on each store: once for each time that credits run low, within the cap, not too often, later when
//! declined, and under the same key when nobody knows what came of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bursar::clock::ManualClock;
use bursar::domain::id::{CustomerId, RequestId};
use bursar::domain::time::Span;
use bursar::domain::wallet::{AutoTopUp, Category, Source};
use bursar::domain::window::Window;
use bursar::engine::{
    Charge, Chores, DebitCall, Engine, GrantCall, Payment, PaymentFault, PaymentGateway, Profile,
    TopUpCall, TopUpTerms, WalletName,
};
use tokio_util::sync::CancellationToken;

use super::{CATALOG, USD};
use crate::laws::backends::{Backend, Memory, Postgres, Sqlite, engines};
use crate::laws::system::start;

/// Says what becomes of what is asked for, and remembers it. What nobody said anything about is paid.
#[derive(Default)]
struct Till {
    asked: Mutex<Vec<Charge>>,
    faults: Mutex<VecDeque<PaymentFault>>,
}

#[async_trait]
impl PaymentGateway for Till {
    async fn charge(&self, charge: &Charge) -> Result<Payment, PaymentFault> {
        self.asked.lock().unwrap().push(charge.clone());
        let is_fence = charge.customer.as_str() == FENCE;
        let mut faults = self.faults.lock().unwrap();
        let fault = if is_fence { None } else { faults.pop_front() };
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Payment {
                reference: charge.idempotency_key.as_str().into(),
                source: Source::Stripe,
            }),
        }
    }
}

/// A customer that is only there to see that the chores came by.
const FENCE: &str = "fence";

/// Engines on one store, which do their chores.
struct Scene<B: Backend> {
    home: B::Home,
    clock: Arc<ManualClock>,
    till: Arc<Till>,
    engines: Vec<(Engine, Vec<tokio::task::JoinHandle<()>>)>,
    stop: CancellationToken,
    requests: u32,
    /// What is sold.
    catalog: &'static str,
}

impl<B: Backend> Scene<B> {
    async fn new() -> Self {
        let mut scene = Self {
            home: B::home(),
            clock: Arc::new(ManualClock::at(start())),
            till: Arc::default(),
            engines: Vec::new(),
            stop: CancellationToken::new(),
            requests: 0,
            catalog: CATALOG,
        };
        scene.open().await;
        for customer in ["acme", FENCE] {
            let (id, request) = (customer_id(customer), scene.fresh());
            let create = scene.engine().clone();
            let create = create.create_customer("test", request, id, Profile::default());
            create.await.unwrap();
            scene.grant(customer, 10 * USD).await;
        }
        let terms = TopUpTerms {
            cool_down: Span::from_micros_clamped(0),
            cap: 1_000 * USD,
            ..terms(2, 3)
        };
        scene.set(FENCE, Some(terms)).await;
        scene
    }

    async fn open(&mut self) {
        for (engine, committer) in engines::<B>(&self.home, &self.clock, self.catalog).await {
            engine.set_payments(Arc::clone(&self.till) as _);
            let chores = Chores {
                sweep: Duration::from_millis(5),
                ..Chores::default()
            };
            let chores = engine.clone().run_chores(chores, None, self.stop.clone());
            let tasks = vec![tokio::spawn(chores), committer];
            self.engines.push((engine, tasks));
        }
    }

    async fn close(&mut self) {
        self.stop.cancel();
        for (engine, tasks) in self.engines.drain(..) {
            drop(engine);
            for task in tasks {
                task.await.unwrap();
            }
        }
        self.stop = CancellationToken::new();
    }

    fn engine(&self) -> &Engine {
        &self.engines[self.requests as usize % self.engines.len()].0
    }

    fn fresh(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::new(format!("r{}", self.requests)).unwrap()
    }

    async fn grant(&mut self, customer: &str, amount: i64) {
        let request = self.fresh();
        let call = GrantCall {
            wallet: wallet(customer),
            id: None,
            amount,
            priority: 0,
            category: Category::Paid,
            source: Source::Manual,
            reference: "".into(),
            expire_time: None,
            note: "".into(),
        };
        let engine = self.engine().clone();
        engine.grant_credits("test", request, call).await.unwrap();
    }

    async fn spend(&mut self, customer: &str, amount: i64) {
        let request = self.fresh();
        let call = DebitCall {
            spender: wallet(customer),
            amount,
            may_owe: false,
            note: "".into(),
        };
        let engine = self.engine().clone();
        engine.debit_credits("test", request, call).await.unwrap();
    }

    async fn set(&mut self, customer: &str, terms: Option<TopUpTerms>) {
        let request = self.fresh();
        let wallet = wallet(customer);
        let call = TopUpCall { wallet, terms };
        let engine = self.engine().clone();
        engine.set_auto_top_up("test", request, call).await.unwrap();
    }

    async fn available(&self, customer: &str) -> i64 {
        let view = self.engine().get_wallet(&wallet(customer)).await.unwrap();
        view.balance.available
    }

    async fn top_up(&self) -> Option<AutoTopUp> {
        let view = self.engine().get_wallet(&wallet("acme")).await.unwrap();
        view.terms.top_up
    }

    /// What was asked of a customer.
    fn asked(&self, customer: &str) -> Vec<Charge> {
        let asked = self.till.asked.lock().unwrap();
        let of = asked
            .iter()
            .filter(|charge| charge.customer.as_str() == customer);
        of.cloned().collect()
    }

    /// Waits until the chores have seen all that was done before, and what they began has ended.
    async fn settle(&mut self) {
        // The first pass may have begun before; the one after it comes to whatever that left.
        for _ in 0..2 {
            let before = self.asked(FENCE).len();
            self.spend(FENCE, self.available(FENCE).await - USD).await;
            eventually(async || self.available(FENCE).await > 2 * USD).await;
            assert_eq!(self.asked(FENCE).len(), before + 1);
        }
    }

    /// Waits until so much was asked for in all, sees that it stays so, and returns the last of it.
    async fn asks(&mut self, times: usize) -> Charge {
        eventually(async || self.asked("acme").len() >= times).await;
        self.settle().await;
        let asked = self.asked("acme");
        assert_eq!(asked.len(), times, "{asked:?}");
        asked.last().cloned().expect("something was asked for")
    }

    async fn asks_no_more_than(&mut self, times: usize) {
        self.settle().await;
        assert_eq!(self.asked("acme").len(), times);
    }

    fn declines(&self, why: &str) {
        let fault = PaymentFault::Declined(why.to_owned());
        self.till.faults.lock().unwrap().push_back(fault);
    }
}

async fn eventually(holds: impl AsyncFn() -> bool) {
    for _ in 0..4_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came");
}

fn customer_id(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

fn wallet(customer: &str) -> WalletName {
    WalletName {
        customer: customer_id(customer),
        subaccount: None,
        // The fence stays when dollars go.
        unit: if customer == FENCE { "LUC" } else { "USD" }.into(),
    }
}

/// Asked for below so many dollars; 50 a month, not twice in an hour.
fn terms(threshold: i64, amount: i64) -> TopUpTerms {
    TopUpTerms {
        threshold: threshold * USD,
        amount: amount * USD,
        cap: 50 * USD,
        window: Window::Month,
        cool_down: Span::from_hours(1),
    }
}

/// Runs a scene on each store.
macro_rules! on_each_store {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;

            #[tokio::test]
            async fn on_memory() {
                scenes::$test::<Memory>().await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                scenes::$test::<Sqlite>().await;
            }

            #[tokio::test]
            async fn on_postgres_with_three_engines() {
                scenes::$test::<Postgres>().await;
            }
        }
    )*};
}

mod settings;

on_each_store! {
    each_crossing_asks_once
    what_is_declined_is_asked_for_later
    what_nobody_knows_is_asked_for_again_under_its_key
    what_is_unset_while_money_is_asked_for_still_brings_it
}

mod scenes {
    use super::*;

    pub async fn each_crossing_asks_once<B: Backend>() {
        let mut scene = Scene::<B>::new().await;
        scene.set("acme", Some(terms(5, 20))).await;
        scene.asks_no_more_than(0).await;
        scene.spend("acme", 5 * USD).await;
        scene.asks_no_more_than(0).await;
        scene.spend("acme", 1).await;
        let first = scene.asks(1).await;
        assert_eq!(first.cents, 2_000);
        assert_eq!(scene.available("acme").await, 25 * USD - 1);
        // Too soon.
        scene.spend("acme", 21 * USD).await;
        scene.asks_no_more_than(1).await;
        scene.clock.advance(Span::from_hours(1));
        let second = scene.asks(2).await;
        assert_ne!(second.idempotency_key, first.idempotency_key);
        assert_eq!(scene.available("acme").await, 24 * USD - 1);
        // A third would be 60 of 50 in the month.
        scene.spend("acme", 20 * USD).await;
        scene.clock.advance(Span::from_hours(2));
        scene.asks_no_more_than(2).await;
        scene.clock.advance(Span::from_days(31));
        scene.asks(3).await;
        assert_eq!(scene.available("acme").await, 24 * USD - 1);
        scene.close().await;
    }

    pub async fn what_is_declined_is_asked_for_later<B: Backend>() {
        let mut scene = Scene::<B>::new().await;
        for _ in 0..6 {
            scene.declines("card_declined");
        }
        scene.set("acme", Some(terms(11, 20))).await;
        let mut last = scene.asks(1).await;
        let mut wait = Span::from_minutes(15);
        for times in 1..6 {
            let top_up = scene.top_up().await.unwrap();
            assert_eq!(&*top_up.state.last_error, "card_declined");
            scene
                .clock
                .advance(Span::from_micros_clamped(wait.as_micros() - 1_000_000));
            scene.asks_no_more_than(times).await;
            scene.clock.advance(Span::from_secs(1));
            let next = scene.asks(times + 1).await;
            assert_ne!(next.idempotency_key, last.idempotency_key, "another try");
            last = next;
            wait = Span::from_micros_clamped(2 * wait.as_micros());
        }
        assert!(scene.top_up().await.unwrap().is_off());
        scene.clock.advance(Span::from_days(3));
        scene.asks_no_more_than(6).await;
        assert_eq!(scene.available("acme").await, 10 * USD);
        // Whoever sets it again wants another try.
        scene.set("acme", Some(terms(11, 20))).await;
        scene.asks(7).await;
        assert_eq!(scene.available("acme").await, 30 * USD);
        let top_up = scene.top_up().await.unwrap();
        assert_eq!((top_up.state.declines, &*top_up.state.last_error), (0, ""));
        scene.close().await;
    }

    pub async fn what_nobody_knows_is_asked_for_again_under_its_key<B: Backend>() {
        let mut scene = Scene::<B>::new().await;
        let unknown = PaymentFault::Unknown("no answer".to_owned());
        scene.till.faults.lock().unwrap().push_back(unknown);
        scene.set("acme", Some(terms(11, 20))).await;
        let first = scene.asks(1).await;
        assert_eq!(scene.available("acme").await, 10 * USD);
        // Other processes, other terms: what was asked for is what is asked for again.
        scene.close().await;
        scene.open().await;
        scene.set("acme", Some(terms(11, 5))).await;
        scene.clock.advance(Span::from_secs(59));
        scene.asks_no_more_than(1).await;
        scene.clock.advance(Span::from_secs(1));
        let again = scene.asks(2).await;
        assert_eq!(again, first);
        assert_eq!(scene.available("acme").await, 30 * USD);
        scene.spend("acme", 20 * USD).await;
        scene.clock.advance(Span::from_hours(1));
        assert_eq!(scene.asks(3).await.cents, 500);
        scene.close().await;
    }

    pub async fn what_is_unset_while_money_is_asked_for_still_brings_it<B: Backend>() {
        let mut scene = Scene::<B>::new().await;
        let unknown = PaymentFault::Unknown("no answer".to_owned());
        scene.till.faults.lock().unwrap().push_back(unknown);
        scene.set("acme", Some(terms(11, 20))).await;
        let first = scene.asks(1).await;
        scene.set("acme", None).await;
        assert!(scene.top_up().await.unwrap().state.is_unset);
        scene.clock.advance(Span::from_minutes(1));
        assert_eq!(scene.asks(2).await, first);
        assert_eq!(scene.available("acme").await, 30 * USD);
        let kept = scene.top_up().await.unwrap().state;
        assert!(kept.is_unset && kept.pending.is_none(), "{kept:?}");
        scene.spend("acme", 30 * USD).await;
        scene.clock.advance(Span::from_days(40));
        scene.asks_no_more_than(2).await;
        scene.close().await;
    }
}
