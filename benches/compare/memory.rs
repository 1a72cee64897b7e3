//! What a customer in memory costs: with three metered features, each of them counted.

use std::sync::Arc;
use std::time::Duration;

use bursar::grpc::pb::{
    CheckEntitlementRequest, entitlement_service_client::EntitlementServiceClient,
};
use tokio::runtime::Runtime;

use crate::results::Results;
use crate::scaled;
use crate::server::{Server, customer};

/// Starts on many stored customers and asks for each once.
pub fn per_customer(runtime: &Runtime, results: &mut Results) {
    let customers = scaled(1_000_000);
    let home = tempfile::tempdir_in(crate::record::target()).expect("a directory");
    let database = home.path().join("bursar.db");
    let server = Server::bursar(&database);
    runtime.block_on(server.create_customers(customers));
    server.stop();
    let server = Server::bursar(&database);
    // What is used once, such as page caches and connections, is not what a customer costs.
    let first = customers / 50;
    runtime.block_on(touch(&server, 0, first));
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(2)).await });
    let before = server.resident_bytes();
    runtime.block_on(touch(&server, first, customers));
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(2)).await });
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = (server.resident_bytes() - before) / (customers - first) as f64;
    results.note("bytes_per_customer", each);
}

async fn touch(server: &Server, from: usize, to: usize) {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(from));
    let mut lanes = Vec::new();
    for _ in 0..4 {
        let channel = server.channel().await;
        for _ in 0..64 {
            let mut client = EntitlementServiceClient::new(channel.clone());
            let next = Arc::clone(&next);
            lanes.push(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= to {
                        return;
                    }
                    let check = CheckEntitlementRequest {
                        customer_id: customer(number),
                        feature_id: "checked".to_owned(),
                        ..CheckEntitlementRequest::default()
                    };
                    let answer = client.check_entitlement(check).await.expect("an answer");
                    let decision = answer.into_inner().decision.expect("a decision");
                    assert!(decision.allowed);
                }
            }));
        }
    }
    for lane in lanes {
        lane.await.expect("the lane ends");
    }
}
