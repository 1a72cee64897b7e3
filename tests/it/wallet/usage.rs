//! Usage draws on wallets: with and without reservation, one by one, in batches and streams; what is taken back comes
//! back, what is not covered is owed.

use bursar::grpc::pb;
use pb::DecisionReason as Reason;
use pb::{LedgerCause as Cause, RecordStatus};

use super::{Clients, USD, balance, on_both};

/// What a call costs.
const CALL: i64 = USD / 50;
/// What a page costs beyond the first ten.
const PAGE: i64 = USD / 10;

fn event(id: &str, meter: &str, quantity: i64) -> pb::UsageEvent {
    pb::UsageEvent {
        event_id: id.to_owned(),
        customer_id: "acme".to_owned(),
        meter_id: meter.to_owned(),
        quantity,
        ..pb::UsageEvent::default()
    }
}

async fn consume(to: &mut Clients, event: pb::UsageEvent) -> (Reason, Option<RecordStatus>) {
    let request = pb::ConsumeRequest {
        feature_id: event.meter_id.clone(),
        event: Some(event),
        verbose: false,
    };
    let answer = to.entitlements.consume(request).await.unwrap();
    let answer = answer.into_inner();
    let status = answer.result.map(|result| result.status());
    (answer.decision.unwrap().reason(), status)
}

async fn record(to: &mut Clients, events: Vec<pb::UsageEvent>) {
    let request = pb::RecordUsageBatchRequest { events };
    let answer = to.metering.record_usage_batch(request).await.unwrap();
    for result in answer.into_inner().results {
        assert_eq!(result.status(), RecordStatus::Recorded, "{result:?}");
    }
}

async fn stream(to: &mut Clients, events: Vec<pb::UsageEvent>) {
    let last = i64::try_from(events.len()).unwrap();
    let sent = pb::RecordUsageRequest {
        first_seq: 1,
        events,
    };
    let stream = to.metering.record_usage(tokio_stream::once(sent)).await;
    let mut stream = stream.unwrap().into_inner();
    let mut acked = 0;
    while let Some(message) = stream.message().await.unwrap() {
        assert_eq!(message.rejects, []);
        acked = acked.max(message.acked_through);
    }
    assert_eq!(acked, last);
}

async fn send(to: &mut Clients, by_stream: bool, events: Vec<pb::UsageEvent>) {
    if by_stream {
        stream(to, events).await;
    } else {
        record(to, events).await;
    }
}

fn reserving(to: &Clients, feature: &str, quantity: i64) -> pb::ReserveRequest {
    pb::ReserveRequest {
        request_id: to.fresh(),
        customer_id: "acme".to_owned(),
        items: vec![pb::ReserveItem {
            feature_id: feature.to_owned(),
            quantity: Some(quantity),
            ..pb::ReserveItem::default()
        }],
        ..pb::ReserveRequest::default()
    }
}

async fn reserve(to: &mut Clients, feature: &str, quantity: i64) -> Result<String, Reason> {
    let request = reserving(to, feature, quantity);
    let answer = to.entitlements.reserve(request).await.unwrap();
    let answer = answer.into_inner();
    let reason = answer.decision.unwrap().reason();
    let held = answer.reservation.ok_or(reason)?;
    Ok(held.reservation_id)
}

async fn commit(to: &mut Clients, reservation: &str, events: Vec<pb::UsageEvent>) {
    let request = pb::CommitReservationRequest {
        request_id: to.fresh(),
        customer_id: "acme".to_owned(),
        reservation_id: reservation.to_owned(),
        events,
    };
    let answer = to.entitlements.commit_reservation(request).await.unwrap();
    for result in answer.into_inner().results {
        assert_eq!(result.status(), RecordStatus::Recorded, "{result:?}");
    }
}

#[test]
fn consuming_draws_in_the_same_transaction() {
    on_both(async |_, mut to| {
        to.grant("", USD).await;
        for status in [RecordStatus::Recorded, RecordStatus::Duplicate] {
            let done = consume(&mut to, event("e-1", "calls", 30)).await;
            assert_eq!(done, (Reason::Allowed, Some(status)));
            assert_eq!(to.balance("").await, (20 * CALL, 0, 0), "it draws once");
        }
        let request = pb::ConsumeRequest {
            feature_id: "calls".to_owned(),
            event: Some(event("e-2", "calls", 21)),
            verbose: false,
        };
        let denied = to.entitlements.consume(request).await.unwrap().into_inner();
        assert_eq!(denied.result, None);
        let decision = denied.decision.unwrap();
        assert_eq!(decision.reason(), Reason::CreditsInsufficient);
        let credits = decision.credits.unwrap();
        assert_eq!(
            (credits.needed_micros, credits.available_micros),
            (21 * CALL, 20 * CALL)
        );
        assert_eq!(credits.credit_unit, "USD");
        // The first ten pages are included.
        assert_eq!(
            consume(&mut to, event("p-1", "pages", 12)).await.0,
            Reason::Allowed
        );
        assert_eq!(to.balance("").await, (20 * CALL - 2 * PAGE, 0, 0));
        let ledger = to.ledger("").await;
        let about = |posted: &pb::LedgerTransaction| (posted.cause(), posted.meter_id.clone());
        let expected = [
            (Cause::Grant, String::new()),
            (Cause::Usage, "calls".to_owned()),
            (Cause::Usage, "pages".to_owned()),
        ];
        assert_eq!(ledger.iter().map(about).collect::<Vec<_>>(), expected);
        to.prove().await;
    });
}

#[test]
fn what_is_not_covered_is_owed_and_blocks_until_it_is_paid() {
    for by_stream in [false, true] {
        on_both(async |_, mut to| {
            to.grant("", USD).await;
            let open = reserve(&mut to, "calls", 10).await.unwrap();
            let events = (0..5).map(|nth| event(&format!("e-{nth}"), "calls", 15));
            send(&mut to, by_stream, events.collect()).await;
            // 75 calls; 40 were covered, ten are set aside for the reservation.
            assert_eq!(to.balance("").await, (0, 10 * CALL, 35 * CALL));
            assert_eq!(
                reserve(&mut to, "calls", 1).await,
                Err(Reason::WalletBlocked)
            );
            assert_eq!(
                reserve(&mut to, "pages", 11).await,
                Err(Reason::WalletBlocked)
            );
            reserve(&mut to, "pages", 10).await.expect("it is included");
            let denied = consume(&mut to, event("c-1", "calls", 1)).await;
            assert_eq!(denied, (Reason::WalletBlocked, None));
            // What was set aside before is there for its use, and use goes on being recorded.
            let named = pb::UsageEvent {
                reservation_id: open.clone(),
                ..event("r-1", "calls", 10)
            };
            send(&mut to, by_stream, vec![named]).await;
            assert_eq!(to.balance("").await, (0, 0, 35 * CALL));
            send(&mut to, by_stream, vec![event("e-9", "calls", 1)]).await;
            let given = to.granting("", 5 * USD);
            to.wallets.grant_credits(given).await.unwrap();
            assert_eq!(
                reserve(&mut to, "calls", 1).await,
                Err(Reason::WalletBlocked)
            );
            to.grant("", 36 * CALL - 1).await;
            assert_eq!(
                reserve(&mut to, "calls", 1).await,
                Err(Reason::WalletBlocked)
            );
            to.grant("", 1).await;
            reserve(&mut to, "calls", 1).await.unwrap();
            to.prove().await;
        });
    }
}

#[test]
fn one_batch_and_meter_is_one_transaction() {
    on_both(async |_, mut to| {
        to.grant("", 10 * USD).await;
        let mut events = Vec::new();
        for nth in 0..50 {
            events.push(event(&format!("c-{nth}"), "calls", 1));
            events.push(event(&format!("p-{nth}"), "pages", 1));
        }
        record(&mut to, events).await;
        let spent = 50 * CALL + 40 * PAGE;
        assert_eq!(to.balance("").await, (10 * USD - spent, 0, 0));
        let ledger = to.ledger("").await;
        assert_eq!(ledger.len(), 3, "{ledger:?}");
        to.prove().await;
    });
}

#[test]
fn reservations_set_aside_and_settle_what_was_used() {
    on_both(async |_, mut to| {
        to.grant("", USD).await;
        let first = reserve(&mut to, "calls", 20).await.unwrap();
        let second = reserve(&mut to, "calls", 30).await.unwrap();
        assert_eq!(to.balance("").await, (0, USD, 0));
        assert_eq!(
            reserve(&mut to, "calls", 1).await,
            Err(Reason::CreditsInsufficient)
        );
        let short = super::refusal(to.debit("", 1).await);
        assert_eq!(
            short.1, "CREDITS_INSUFFICIENT",
            "what is set aside is not spent"
        );
        let named = pb::UsageEvent {
            reservation_id: first.clone(),
            ..event("e-1", "calls", 5)
        };
        record(&mut to, vec![named]).await;
        assert_eq!(to.balance("").await, (0, 45 * CALL, 0));
        commit(&mut to, &first, vec![event("e-2", "calls", 7)]).await;
        // Eight of twenty were not used.
        assert_eq!(to.balance("").await, (8 * CALL, 30 * CALL, 0));
        let release = pb::ReleaseReservationRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            reservation_id: second.clone(),
        };
        to.entitlements.release_reservation(release).await.unwrap();
        assert_eq!(to.balance("").await, (38 * CALL, 0, 0));
        let ledger = to.ledger("").await;
        let about = |posted: &pb::LedgerTransaction| {
            assert_eq!(posted.hold_id, "", "a pool is nobody's hold");
            (posted.cause(), posted.reservation_id.clone())
        };
        let none = String::new;
        let expected = [
            (Cause::Grant, none()),
            (Cause::Hold, first.clone()),
            (Cause::Hold, second.clone()),
            (Cause::Usage, none()),
            (Cause::Usage, none()),
            (Cause::Release, first),
            (Cause::Release, second),
        ];
        assert_eq!(ledger.iter().map(about).collect::<Vec<_>>(), expected);
        // Use beyond what was reserved is charged, too.
        let third = reserve(&mut to, "calls", 2).await.unwrap();
        commit(&mut to, &third, vec![event("e-3", "calls", 40)]).await;
        assert_eq!(to.balance("").await, (0, 0, 2 * CALL));
        to.prove().await;
    });
}

#[test]
fn what_is_taken_back_comes_back() {
    on_both(async |_, mut to| {
        to.grant("", USD).await;
        record(
            &mut to,
            vec![event("e-1", "calls", 40), event("e-2", "calls", 20)],
        )
        .await;
        assert_eq!(to.balance("").await, (0, 0, 10 * CALL));
        let void = |to: &Clients, id: &str| pb::VoidUsageRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            event_ids: vec![id.to_owned()],
            ..pb::VoidUsageRequest::default()
        };
        let request = void(&to, "e-2");
        to.metering.void_usage(request.clone()).await.unwrap();
        // First what is owed, then the credits.
        assert_eq!(to.balance("").await, (10 * CALL, 0, 0));
        to.metering.void_usage(request).await.unwrap();
        let again = void(&to, "e-2");
        to.metering.void_usage(again).await.unwrap();
        assert_eq!(to.balance("").await, (10 * CALL, 0, 0), "once");
        let request = pb::AmendUsageRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            event_id: "e-1".to_owned(),
            replacement: Some(event("e-1b", "calls", 15)),
            reason: String::new(),
        };
        to.metering.amend_usage(request).await.unwrap();
        assert_eq!(to.balance("").await, (35 * CALL, 0, 0));
        let posted = to.ledger("").await;
        let causes: Vec<Cause> = posted.iter().map(pb::LedgerTransaction::cause).collect();
        let expected = [
            Cause::Grant,
            Cause::Usage,
            Cause::Refund,
            Cause::Refund,
            Cause::Usage,
        ];
        assert_eq!(causes, expected);
        assert_eq!(balance(posted[2].balance), (10 * CALL, 0, 0));
        reserve(&mut to, "calls", 35).await.unwrap();
        to.prove().await;
    });
}

#[test]
fn an_agent_draws_on_its_own_wallet_under_its_cap() {
    on_both(async |_, mut to| {
        let bots = |id: &str, quantity| pb::UsageEvent {
            subaccount_id: "bot".to_owned(),
            ..event(id, "calls", quantity)
        };
        to.grant("", USD).await;
        record(&mut to, vec![bots("e-1", 5)]).await;
        assert_eq!(
            to.balance("").await,
            (45 * CALL, 0, 0),
            "until it has its own"
        );
        to.transfer("", "bot", 20 * CALL).await.unwrap();
        to.cap("bot", 10 * CALL).await;
        record(&mut to, vec![bots("e-2", 6), event("e-3", "calls", 1)]).await;
        assert_eq!(to.balance("bot").await, (14 * CALL, 0, 0));
        assert_eq!(to.balance("").await, (24 * CALL, 0, 0));
        let denied = consume(&mut to, bots("e-4", 5)).await;
        assert_eq!(denied, (Reason::SpendCapExceeded, None));
        let mut request = reserving(&to, "calls", 4);
        request.subaccount_id = "bot".to_owned();
        let held = to.entitlements.reserve(request).await.unwrap().into_inner();
        assert!(held.reservation.is_some());
        assert_eq!(to.balance("bot").await, (10 * CALL, 4 * CALL, 0));
        // What has happened is counted, and not refused.
        record(&mut to, vec![bots("e-5", 3)]).await;
        let cap = to.wallet("bot").await.spend_cap.unwrap();
        assert_eq!((cap.spent_micros, cap.left_micros), (13 * CALL, 0));
        to.prove().await;
    });
}
