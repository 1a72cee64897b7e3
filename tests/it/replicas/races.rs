//! What several servers do at the same instant: each gets an answer that is right, and none is told that something is
//! wrong with the database.

use std::time::Duration;

use bursar::grpc::pb;
use pb::catalog_service_client::CatalogServiceClient;
use pb::customer_service_client::CustomerServiceClient;
use tokio::task::JoinSet;

use super::fleet::{CATALOG, Fleet, aside, cluster, reserve, run};
use crate::harness::{event, seen};
use crate::postgres::replica::Replica;

const MINUTE: Duration = Duration::from_mins(1);
const REPLICAS: usize = 3;

#[test]
fn a_customer_created_on_all_replicas_at_once_is_created_once() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), REPLICAS).await;
        for round in 0..40 {
            let mut calls = JoinSet::new();
            for replica in 0..REPLICAS {
                let mut service = CustomerServiceClient::new(fleet.channel(replica).await);
                let request = pb::CreateCustomerRequest {
                    request_id: format!("create-{round}"),
                    customer: Some(pb::Customer {
                        customer_id: format!("customer-{round}"),
                        ..pb::Customer::default()
                    }),
                };
                calls.spawn(async move { service.create_customer(request).await });
            }
            let answers = calls.join_all().await;
            let answers: Vec<_> = answers
                .into_iter()
                .map(|answer| answer.unwrap().into_inner())
                .collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]));
        }
    });
}

#[test]
fn one_request_id_for_several_customers_at_once_is_used_once() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), REPLICAS).await;
        let names = ["a", "b", "c"];
        for name in names {
            fleet.create(name).await;
        }
        for round in 0..40 {
            let mut calls = JoinSet::new();
            for (replica, name) in names.into_iter().enumerate() {
                let mut service = fleet.entitlements(replica).await;
                let request = reserve(format!("r{round}"), name, "tokens", 1);
                calls.spawn(async move { service.reserve(request).await });
            }
            let mut made = 0;
            for answer in calls.join_all().await {
                match answer {
                    Ok(answer) => made += usize::from(answer.into_inner().reservation.is_some()),
                    Err(status) => assert_eq!(seen(&status).1, "REQUEST_ID_REUSED", "{status}"),
                }
            }
            assert_eq!(made, 1);
        }
    });
}

#[test]
fn catalogs_applied_on_all_replicas_at_once_are_applied_one_after_the_other() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), REPLICAS).await;
        for round in 0..6 {
            let mut calls = JoinSet::new();
            for replica in 0..REPLICAS {
                let mut service = CatalogServiceClient::new(fleet.channel(replica).await);
                let amount = format!("1{round}{replica}");
                let request = pb::ApplyCatalogRequest {
                    request_id: format!("apply-{round}-{replica}"),
                    toml: CATALOG.replace("10_000", &amount),
                    ..pb::ApplyCatalogRequest::default()
                };
                calls.spawn(async move { service.apply_catalog(request).await });
            }
            let mut versions: Vec<i64> = Vec::new();
            for answer in calls.join_all().await {
                versions.push(answer.unwrap().into_inner().version);
            }
            versions.sort_unstable();
            let first = i64::try_from(2 + round * REPLICAS).unwrap();
            assert_eq!(versions, [first, first + 1, first + 2]);
        }
    });
}

#[test]
fn servers_that_start_at_once_on_an_empty_database_all_serve() {
    run(MINUTE, async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.toml");
        std::fs::write(&path, CATALOG).unwrap();
        for round in 0..4 {
            let database = format!("start_{round}");
            cluster()
                .execute(&format!("CREATE DATABASE {database}"))
                .await;
            let binary = env!("CARGO_BIN_EXE_bursar").as_ref();
            let make = |_| Replica::new(cluster(), &database, binary, &path);
            let mut replicas: Vec<Replica> = (0..REPLICAS).map(make).collect();
            aside(|| {
                std::thread::scope(|scope| {
                    for replica in &mut replicas {
                        scope.spawn(|| replica.start(None).map(drop).unwrap());
                    }
                });
            });
        }
    });
}

/// A database that is distributed by customer has each range on one machine.
#[test]
fn a_batch_touches_one_range_of_customers() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 2).await;
        for replica in 0..2 {
            let mut service = fleet.metering(replica).await;
            for round in 0..4 {
                let name = |nth| format!("customer-{nth}");
                let events = (0..60).map(|nth| event(&name(nth), format!("e{replica}-{round}"), 1));
                let request = pb::RecordUsageBatchRequest {
                    events: events.collect(),
                };
                service.record_usage_batch(request).await.unwrap();
            }
        }
        let mut conn = fleet.database(cluster()).await;
        // The number of the committer that each customer was written by, on whichever server.
        let ranges: Vec<(String, i64, i16)> = sqlx::query_as(
            "SELECT c.id, count(DISTINCT b.committer), min(b.committer)
             FROM batches b CROSS JOIN UNNEST(b.customers) AS c (id) GROUP BY c.id",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        assert_eq!(ranges.len(), 60);
        for (customer, committers, _) in &ranges {
            assert_eq!(*committers, 1, "{customer}");
        }
        let used: std::collections::BTreeSet<i16> = ranges.iter().map(|one| one.2).collect();
        assert!(used.len() > 1, "all committers have customers");
        let largest: i64 = sqlx::query_scalar("SELECT max(cardinality(customers)) FROM batches")
            .fetch_one(&mut conn)
            .await
            .map(|largest: i32| i64::from(largest))
            .unwrap();
        assert!(largest > 1, "batches of several customers are looked at");
    });
}
