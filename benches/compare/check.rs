//! `CheckEntitlement` through gRPC beside a bare echo of the same sizes and layout, and the decision alone.

use std::sync::Arc;
use std::time::Duration;

use bursar::clock::{AnchoredClock, Stopwatch, wall_clock};
use bursar::domain::catalog::parse_catalog;
use bursar::domain::id::{CustomerId, FeatureId, RequestId};
use bursar::domain::usage::Labels;
use bursar::engine::{CheckAsk, CheckMode, Engine, Limits, Profile};
use bursar::grpc::pb::CheckEntitlementRequest;
use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use bursar::storage::StoredCatalog;
use bursar::storage::memory::MemoryStore;
use prost::Message;
use tokio::runtime::Runtime;

use crate::echo::{self, EchoRequest, EchoResponse};
use crate::load::{Load, Requests, frame, run};
use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::{ROUNDS, scaled};

pub const PATH: &str = "/bursar.v1.EntitlementService/CheckEntitlement";

fn check(number: usize) -> CheckEntitlementRequest {
    CheckEntitlementRequest {
        customer_id: customer(number),
        feature_id: "checked".to_owned(),
        ..CheckEntitlementRequest::default()
    }
}

/// Numbers in an order that no cache foresees.
fn shuffled(count: usize) -> impl Iterator<Item = usize> {
    // A step that shares no factor with the count visits each number once.
    (0..count).map(move |index| index * 7_368_787 % count)
}

/// Measures both servers in turn.
pub fn beside_echo(runtime: &Runtime, results: &mut Results) {
    let customers = scaled(100_000);
    let home = tempfile::tempdir().expect("a directory");
    let bursar = Server::bursar(home.path().join("bursar.db"));
    let answer_bytes = runtime.block_on(async {
        bursar.create_customers(customers).await;
        let mut client = EntitlementServiceClient::new(bursar.channel().await);
        let answer = client
            .check_entitlement(check(0))
            .await
            .expect("an answer")
            .into_inner();
        assert!(
            answer
                .decision
                .as_ref()
                .is_some_and(|decision| decision.allowed)
        );
        answer.encoded_len()
    });
    let echo = Server::echo(answer_bytes);
    let checks: Vec<_> = shuffled(customers)
        .map(|number| frame(&check(number).encode_to_vec()))
        .collect();
    let answers = checks.iter().enumerate().map(|(number, body)| {
        let message = EchoRequest {
            first: customer(number),
            second: "checked".to_owned(),
        };
        let framed = frame(&message.encode_to_vec());
        assert_eq!(framed.len(), body.len(), "both requests are of one size");
        framed
    });
    let echoes = Requests {
        path: echo::PATH,
        bodies: answers.collect(),
    };
    let (checks, echoes) = (
        Arc::new(Requests {
            path: PATH,
            bodies: checks,
        }),
        Arc::new(echoes),
    );
    let time = Duration::from_millis(if crate::is_short() { 300 } else { 3_000 });
    for in_flight in [1, 64, 256] {
        let mut pairs = Vec::new();
        for _ in 0..ROUNDS {
            let bare = run(echo.address, &echoes, in_flight, time);
            pairs.push((run(bursar.address, &checks, in_flight, time), bare));
        }
        note(results, in_flight, &pairs);
    }
}

fn note(results: &mut Results, in_flight: usize, pairs: &[(Load, Load)]) {
    let of = |figure: fn(&(Load, Load)) -> f64| median(pairs.iter().map(figure).collect());
    let (rate, echo_rate) = (
        of(|pair| pair.0.requests_per_second),
        of(|pair| pair.1.requests_per_second),
    );
    let (tail, echo_tail) = (of(|pair| pair.0.p99_micros), of(|pair| pair.1.p99_micros));
    results.note(&format!("check_per_s_{in_flight}"), rate);
    results.note(&format!("echo_per_s_{in_flight}"), echo_rate);
    results.note(&format!("check_over_echo_{in_flight}"), rate / echo_rate);
    results.note(
        &format!("check_p50_us_{in_flight}"),
        of(|pair| pair.0.p50_micros),
    );
    results.note(
        &format!("echo_p50_us_{in_flight}"),
        of(|pair| pair.1.p50_micros),
    );
    results.note(&format!("check_p99_us_{in_flight}"), tail);
    results.note(&format!("echo_p99_us_{in_flight}"), echo_tail);
    results.note(
        &format!("check_p99_over_echo_{in_flight}"),
        tail / echo_tail,
    );
}

/// Returns how many bytes an answer of the echo must carry to be as long as this.
pub fn payload(answer_bytes: usize) -> usize {
    let long = |payload: usize| {
        EchoResponse {
            payload: vec![0; payload].into(),
        }
        .encoded_len()
    };
    (0..=answer_bytes)
        .rev()
        .find(|bytes| long(*bytes) <= answer_bytes)
        .unwrap_or(0)
}

/// Measures the same decision without a wire.
pub fn decide(runtime: &Runtime, results: &mut Results) {
    let customers = scaled(100_000);
    let catalog = include_str!("catalog.toml");
    let mut parsed = parse_catalog(catalog).expect("the catalog is right");
    parsed.version = 1;
    let now = wall_clock();
    let stored = StoredCatalog {
        catalog: Arc::new(parsed),
        source: catalog.into(),
        apply_time: now,
    };
    let store = Arc::new(MemoryStore::new(Arc::new(wall_clock)));
    let clock = Arc::new(AnchoredClock::new(now));
    let engine = runtime.block_on(async {
        let (engine, _) = Engine::start(store, clock, stored, Limits::default());
        for number in 0..customers {
            let id = CustomerId::new(customer(number)).expect("an id");
            let request = RequestId::new(customer(number)).expect("an id");
            let create = engine.create_customer("bench", request, id, Profile::default());
            create.await.expect("a customer");
        }
        engine
    });
    let ids: Vec<CustomerId> = shuffled(customers)
        .map(|number| CustomerId::new(customer(number)).expect("an id"))
        .collect();
    let ask = CheckAsk {
        feature: FeatureId::new("checked").expect("an id"),
        quantity: 1,
        dimensions: Labels::new(),
    };
    let rounds = (0..ROUNDS).map(|_| {
        let started = Stopwatch::start();
        for id in &ids {
            let decision = engine.check_in_memory(id, None, &ask, CheckMode::default());
            assert!(decision.is_some_and(|decision| decision.allowed));
        }
        started.elapsed()
    });
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let nanos = rounds
        .map(|took| took.as_nanos() as f64 / customers as f64)
        .collect();
    results.note("decide_ns", median(nanos));
}
