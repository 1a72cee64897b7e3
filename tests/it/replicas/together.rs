//! What is done on one replica holds on all: shown by checks within the refresh interval, and exact for whatever
//! changes something.

use std::time::Duration;

use bursar::grpc::pb;
use tokio_stream::StreamExt as _;

use super::fleet::{Fleet, check, cluster, eventually, reserve, run, seconds};

const MINUTE: Duration = Duration::from_mins(1);

fn event(id: &str, customer: &str, quantity: i64) -> pb::UsageEvent {
    crate::harness::event(customer, id, quantity)
}

fn batch(events: impl Into<Vec<pb::UsageEvent>>) -> pb::RecordUsageBatchRequest {
    pb::RecordUsageBatchRequest {
        events: events.into(),
    }
}

#[test]
fn usage_recorded_on_one_replica_shows_in_checks_of_the_others() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 3).await;
        fleet.create("acme").await;
        let (mut metering, mut due) = (fleet.metering(0).await, 0);
        let mut others = [fleet.entitlements(1).await, fleet.entitlements(2).await];
        for round in 0..10 {
            due += 7;
            let recorded =
                metering.record_usage_batch(batch([event(&format!("e{round}"), "acme", 7)]));
            recorded.await.unwrap();
            for service in &mut others {
                eventually("usage shows elsewhere", async || {
                    check(service, "acme", "tokens").await.used == due
                })
                .await;
            }
        }
    });
}

#[test]
fn a_watcher_hears_of_an_override_that_is_set_on_another_replica() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 2).await;
        fleet.create("acme").await;
        let request = pb::WatchEntitlementsRequest {
            customer_id: "acme".to_owned(),
            feature_ids: vec!["seats".to_owned()],
            ..pb::WatchEntitlementsRequest::default()
        };
        let mut watcher = fleet.entitlements(1).await;
        let mut told = watcher
            .watch_entitlements(request)
            .await
            .unwrap()
            .into_inner();
        let first = told.next().await.unwrap().unwrap();
        let Some(pb::watch_entitlements_response::Update::Snapshot(snapshot)) = first.update else {
            panic!("the first message is everything: {first:?}");
        };
        assert_eq!(snapshot.entitlements.len(), 1);
        let set = pb::SetOverrideRequest {
            request_id: "more".to_owned(),
            customer_id: "acme".to_owned(),
            feature_id: "seats".to_owned(),
            value: Some(pb::EntitlementValue {
                value: Some(pb::entitlement_value::Value::Allocation(pb::Capacity {
                    amount: Some(77),
                })),
            }),
            ..pb::SetOverrideRequest::default()
        };
        fleet.entitlements(0).await.set_override(set).await.unwrap();
        let changed = tokio::time::timeout(super::fleet::REFRESH, told.next()).await;
        let changed = changed
            .expect("the watcher hears of it in time")
            .unwrap()
            .unwrap();
        let Some(pb::watch_entitlements_response::Update::Change(change)) = changed.update else {
            panic!("what changed is told: {changed:?}");
        };
        let decision = change.entitlements[0].decision.as_ref().unwrap();
        assert_eq!(decision.limit, Some(77));
    });
}

#[test]
fn a_reservation_is_extended_and_committed_on_other_replicas() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 3).await;
        fleet.create("acme").await;
        let mut services = Vec::new();
        for replica in 0..3 {
            services.push(fleet.entitlements(replica).await);
        }
        // At once: nobody has had time to hear of anything.
        for round in 0..20 {
            let made = services[round % 3]
                .reserve(reserve(format!("r{round}"), "acme", "tokens", 10))
                .await
                .unwrap();
            let id = made.into_inner().reservation.unwrap().reservation_id;
            let extend = pb::ExtendReservationRequest {
                request_id: format!("x{round}"),
                customer_id: "acme".to_owned(),
                reservation_id: id.clone(),
                ttl: Some(seconds(900)),
            };
            services[(round + 1) % 3]
                .extend_reservation(extend)
                .await
                .unwrap();
            let mut used = event(&format!("u{round}"), "acme", 4);
            used.reservation_id.clone_from(&id);
            let commit = pb::CommitReservationRequest {
                request_id: format!("c{round}"),
                customer_id: "acme".to_owned(),
                reservation_id: id,
                events: vec![used],
            };
            services[(round + 2) % 3]
                .commit_reservation(commit)
                .await
                .unwrap();
        }
        for service in &mut services {
            eventually("all replicas tell the same", async || {
                let told = check(service, "acme", "tokens").await;
                (told.used, told.reserved) == (80, 0)
            })
            .await;
        }
    });
}

#[test]
fn seats_and_jobs_are_counted_over_all_replicas() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 3).await;
        fleet.create("acme").await;
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..45 {
            let mut service = fleet.entitlements(number % 3).await;
            calls.spawn(async move {
                let seat = pb::AllocateRequest {
                    request_id: format!("s{number}"),
                    customer_id: "acme".to_owned(),
                    feature_id: "seats".to_owned(),
                    allocation_id: format!("seat-{number}"),
                    ..pb::AllocateRequest::default()
                };
                let seat = service.allocate(seat).await.unwrap().into_inner();
                let job = reserve(format!("j{number}"), "acme", "jobs", 1);
                let job = service.reserve(job).await.unwrap().into_inner();
                (seat.decision.unwrap().allowed, job.reservation)
            });
        }
        let made = calls.join_all().await;
        assert_eq!(made.iter().filter(|one| one.0).count(), 10, "seats");
        let jobs: Vec<_> = made.into_iter().filter_map(|one| one.1).collect();
        assert_eq!(jobs.len(), 10, "jobs");
        // What is given back on one is there on another, at once.
        let release = pb::ReleaseReservationRequest {
            request_id: "done".to_owned(),
            customer_id: "acme".to_owned(),
            reservation_id: jobs[0].reservation_id.clone(),
        };
        fleet
            .entitlements(1)
            .await
            .release_reservation(release)
            .await
            .unwrap();
        let job = fleet
            .entitlements(2)
            .await
            .reserve(reserve("next", "acme", "jobs", 1))
            .await;
        assert!(job.unwrap().into_inner().reservation.is_some());
    });
}

#[test]
fn the_same_request_on_two_replicas_gets_one_answer() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 2).await;
        fleet.create("acme").await;
        let (mut one, mut two) = (fleet.entitlements(0).await, fleet.entitlements(1).await);
        for round in 0..30 {
            let request = reserve(format!("r{round}"), "acme", "tokens", 3);
            // At once, then again.
            let (first, second) =
                tokio::join!(one.reserve(request.clone()), two.reserve(request.clone()));
            let (first, second) = (first.unwrap().into_inner(), second.unwrap().into_inner());
            assert!(first.reservation.is_some(), "{first:?}");
            assert_eq!(first.reservation, second.reservation);
            let again = two.reserve(request).await.unwrap().into_inner();
            assert_eq!(first.reservation, again.reservation);
        }
        eventually("each is done once", async || {
            check(&mut two, "acme", "tokens").await.reserved == 90
        })
        .await;
        let other = one
            .reserve(reserve("r0", "acme", "tokens", 4))
            .await
            .unwrap_err();
        assert_eq!(crate::harness::seen(&other).1, "REQUEST_ID_REUSED");
    });
}

#[test]
fn the_same_event_on_two_replicas_at_once_is_stored_once() {
    run(MINUTE, async {
        let fleet = Fleet::start(cluster(), 2).await;
        fleet.create("acme").await;
        let (mut one, mut two) = (fleet.metering(0).await, fleet.metering(1).await);
        for round in 0..30 {
            let request = batch([event(&format!("e{round}"), "acme", 2)]);
            let (first, second) = tokio::join!(
                one.record_usage_batch(request.clone()),
                two.record_usage_batch(request)
            );
            let mut answers = [first, second].map(|answer| {
                let answer = answer.unwrap().into_inner();
                assert_eq!(answer.results.len(), 1);
                answer.results[0].status()
            });
            answers.sort_unstable();
            let due = [pb::RecordStatus::Recorded, pb::RecordStatus::Duplicate];
            assert_eq!(answers, due, "event {round}");
        }
        let mut service = fleet.entitlements(1).await;
        eventually("each is counted once", async || {
            check(&mut service, "acme", "tokens").await.used == 60
        })
        .await;
    });
}
