//! The test clock: months in a moment, in the order in which they would have come.

use bursar::domain::catalog::Interval;
use bursar::domain::subscription::SubscriptionStatus as Status;
use bursar::domain::time::Span;
use bursar::engine::{Biller, ChangeAsk, ChangeWhen};
use bursar::stripe::gateway::Cursor;

use super::Stage;
use crate::harness::{Kind, TestServer, run};
use bursar::grpc::pb;
use pb::sandbox_service_client::SandboxServiceClient;

/// A good card, and one that can be kept and is then declined.
const GOOD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000341";

#[test]
fn each_period_is_billed_with_what_was_used_in_it() {
    run(async {
        let stage = Stage::new().await;
        let acme = stage.subscribe("acme").await;
        let first_end = stage.standing(&acme).await.period.end;
        stage.used(&acme, "e-1", 15).await;
        stage.pass(20).await;
        stage.used(&acme, "e-2", 2).await;
        let now = stage.pass(20).await;
        assert_eq!(stage.engine.now(), now);
        let standing = stage.standing(&acme).await;
        assert_eq!(standing.period.start, first_end, "it was renewed");
        stage.used(&acme, "e-3", 11).await;
        stage.pass(30).await;
        // Ten are included: the first period has seven more, the second has one.
        let totals: Vec<i64> = stage
            .invoices(&acme)
            .await
            .iter()
            .map(|one| one.total)
            .collect();
        assert_eq!(totals, [200, 207, 201]);
        let invoices = stage.invoices(&acme).await;
        assert!(
            invoices
                .iter()
                .all(|one| one.status.as_deref() == Some("paid"))
        );
        let chunks = stage.engine.list_chunks(None, None, (None, 100)).await;
        let values: i64 = chunks
            .unwrap()
            .items
            .iter()
            .map(|one| one.chunk.value)
            .sum();
        assert_eq!(values, 8);
    });
}

#[test]
fn a_card_that_is_declined_leads_through_grace_and_back() {
    run(async {
        let stage = Stage::new().await;
        let acme = stage.subscribe("acme").await;
        stage.biller.set_card(&acme, DECLINED).await.unwrap();
        stage.pass(31).await;
        assert_eq!(stage.status(&acme).await, Status::PastDue);
        assert!(stage.is_entitled(&acme).await, "its grace runs");
        stage.biller.set_card(&acme, GOOD).await.unwrap();
        stage.pass(4).await;
        assert_eq!(
            stage.status(&acme).await,
            Status::Active,
            "it was tried again"
        );
        stage.biller.set_card(&acme, DECLINED).await.unwrap();
        stage.pass(27).await;
        assert_eq!(stage.status(&acme).await, Status::PastDue);
        stage.pass(7).await;
        assert!(!stage.is_entitled(&acme).await, "its grace is over");
        stage.pass(30).await;
        assert_eq!(stage.status(&acme).await, Status::Canceled, "nobody paid");
        assert!(!stage.is_entitled(&acme).await);
    });
}

#[test]
fn years_pass_within_a_test_and_time_does_not_go_back_with_a_restart() {
    run(async {
        let stage = Stage::new().await;
        let acme = stage.subscribe("acme").await;
        let began = stage.engine.now();
        let now = stage.pass(731).await;
        assert_eq!(now.since(began), Span::from_days(731));
        assert_eq!(stage.invoices(&acme).await.len(), 25);
        let Stage {
            store,
            inner,
            engine,
            ..
        } = stage;
        inner.advance(Span::from_minutes(1));
        drop(engine);
        let again = Stage::on(store, inner).await;
        assert_eq!(again.engine.now(), now.plus(Span::from_minutes(1)));
        let standing = again.standing(&acme).await;
        assert!(standing.period.contains(again.engine.now()));
        again.used(&acme, "late", 12).await;
        again.pass(31).await;
        let last = again.invoices(&acme).await.pop().unwrap();
        assert_eq!(last.total, 202);
    });
}

#[test]
fn subscriptions_that_end_are_billed_to_the_end() {
    run(async {
        let stage = Stage::new().await;
        let acme = stage.subscribe("acme").await;
        stage.used(&acme, "e-1", 14).await;
        let when = bursar::engine::CancelWhen::PeriodEnd;
        stage.biller.cancel(&acme, when, "cancel").await.unwrap();
        stage.pass(40).await;
        assert_eq!(stage.status(&acme).await, Status::Canceled);
        let customers = stage.gateway.list_customers(None, Cursor::FIRST).await;
        assert_eq!(customers.unwrap().data.len(), 1);
        let invoices = stage.invoices(&acme).await;
        let totals: Vec<i64> = invoices.iter().map(|one| one.total).collect();
        assert_eq!(totals, [200, 4]);
    });
}

#[test]
fn a_period_that_ended_is_charged_under_the_plan_that_it_ran_under() {
    run(async {
        let stage = Stage::new().await;
        let acme = stage.subscribe_to("acme", "max").await;
        stage.used(&acme, "e-1", 50).await;
        stage.pass(3).await;
        let change = ChangeAsk {
            customer: acme.clone(),
            plan: "pro".to_owned().try_into().unwrap(),
            interval: Interval::Month,
            when: ChangeWhen::PeriodEnd,
        };
        stage.biller.change(&change, "down").await.unwrap();
        stage.pass(40).await;
        let standing = stage.standing(&acme).await;
        assert_eq!(standing.plan.unwrap().as_str(), "pro");
        stage.used(&acme, "e-2", 13).await;
        stage.pass(30).await;
        let invoices = stage.invoices(&acme).await;
        let totals: Vec<i64> = invoices.iter().map(|one| one.total).collect();
        // A hundred were included in the first period, ten in the second.
        assert_eq!(totals, [900, 200, 203]);
    });
}

async fn advance(server: &TestServer, seconds: i64) -> Result<i64, tonic::Status> {
    let mut client = SandboxServiceClient::new(server.channel().await);
    let request = pb::AdvanceTestClockRequest {
        advance: Some(prost_types::Duration { seconds, nanos: 0 }),
    };
    let answer = client.advance_test_clock(request).await?.into_inner();
    Ok(answer.current_time.unwrap().seconds)
}

#[test]
fn the_clock_is_the_sandboxs_and_moves_within_bounds() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let start = crate::harness::START / 1_000_000;
        assert_eq!(advance(&server, 3_600).await.unwrap(), start + 3_600);
        for seconds in [-1, 0, 59, 731 * 86_400 + 1] {
            let refused = advance(&server, seconds).await.unwrap_err();
            let (_, reason, field) = crate::harness::seen(&refused);
            assert_eq!((&*reason, &*field), ("FIELD_INVALID", "advance"));
        }
        // Events are as late or early as that clock says.
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut metering = server.metering().await;
        for (id, time, status) in [
            ("now", start + 3_600, pb::RecordStatus::Recorded),
            ("ahead", start + 3_600 + 400, pb::RecordStatus::Rejected),
        ] {
            let event = pb::UsageEvent {
                event_time: at(time),
                ..crate::harness::event("acme", id, 1)
            };
            let events = vec![event];
            let request = pb::RecordUsageBatchRequest { events };
            let answer = metering.record_usage_batch(request).await.unwrap();
            assert_eq!(answer.into_inner().results[0].status(), status, "{id}");
        }
        server.stop().await;
        let keyed = TestServer::with(Kind::Memory, |config| {
            config.stripe.stripe_key = "sk_test_bursar".parse().ok();
            config.stripe.stripe_api_base = "http://127.0.0.1:9".to_owned();
        });
        let refused = advance(&keyed, 60).await.unwrap_err();
        assert_eq!(crate::harness::seen(&refused).1, "SANDBOX_ONLY");
        keyed.stop().await;
    });
}
