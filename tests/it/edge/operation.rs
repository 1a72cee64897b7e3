//! Health, metrics, reflection, exposure and drain.

use std::time::Duration;

use bursar::server::{self, StartError};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{Kind, TestServer, event, run};

#[test]
fn pages_say_that_the_server_is_alive_and_ready_and_what_it_did() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        assert_eq!(server.page("/healthz").await.0, 200);
        assert_eq!(server.page("/readyz").await.0, 200);
        let mut client = server.metering().await;
        let events = vec![event("acme", "e-1", 1)];
        client
            .record_usage_batch(bursar::grpc::pb::RecordUsageBatchRequest { events })
            .await
            .unwrap();
        let (status, text) = server.page("/metrics").await;
        assert_eq!(status, 200);
        for name in [
            "bursar_events_total{outcome=\"recorded\"}",
            "bursar_commit_seconds_bucket",
        ] {
            assert!(text.contains(name), "{name} is missing:\n{text}");
        }
        assert_eq!(server.page("/nothing").await.0, 404);
        server.stop().await;
    });
}

#[test]
fn health_is_told_by_service() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = HealthClient::new(server.channel().await);
        for service in [
            "",
            "bursar.v1.EntitlementService",
            "bursar.v1.MeteringService",
        ] {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let answer = client.check(request).await.unwrap().into_inner();
            assert_eq!(answer.status, 1, "{service:?} serves");
        }
        server.stop().await;
    });
}

#[test]
fn reflection_lists_the_services() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = ServerReflectionClient::new(server.channel().await);
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answer = client
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap()
            .into_inner()
            .message()
            .await
            .unwrap()
            .unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("{answer:?}");
        };
        let names: Vec<_> = list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect();
        for name in ["bursar.v1.EntitlementService", "bursar.v1.MeteringService"] {
            assert!(names.iter().any(|listed| listed == name), "{names:?}");
        }
        server.stop().await;
    });
}

#[test]
fn an_address_that_others_reach_needs_leave() {
    let mut config = TestServer::settings();
    config.grpc_addr = "0.0.0.0:0".parse().unwrap();
    let refused = server::run(&config, None, std::future::pending(), |_| {
        panic!("it must not serve")
    });
    assert!(matches!(refused, Err(StartError::Exposed { .. })));
}

#[test]
fn idle_connections_and_watchers_of_health_do_not_hold_a_stop() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let idle = server.channel().await;
        let mut client = HealthClient::new(server.channel().await);
        let request = HealthCheckRequest::default();
        let mut watch = client.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
        let stop = tokio::spawn(server.stop());
        assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
        let took = stop.await.unwrap();
        assert!(took < Duration::from_secs(5), "took {took:?}");
        drop(idle);
    });
}

#[test]
fn connections_are_spread_over_the_threads() {
    run(async {
        let server = TestServer::with(Kind::Memory, |config| config.threads = 3);
        let mut held = Vec::new();
        for _ in 0..7 {
            let mut client = HealthClient::new(server.channel().await);
            client.check(HealthCheckRequest::default()).await.unwrap();
            held.push(client);
        }
        server.stop().await;
    });
}
