//! 64 tasks spend the last credits: what is spent is exactly the balance.

use bursar::grpc::pb;
use tokio::task::JoinSet;

use super::{Clients, USD, on_both};

const TASKS: usize = 64;

/// Lets 64 tasks do something at once; says how many of them did it.
async fn race<F, T>(to: &Clients, act: F) -> usize
where
    F: Fn(Clients, usize) -> T,
    T: Future<Output = bool> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        tasks.spawn(act(to.clone(), number));
    }
    let done = tasks.join_all().await;
    done.into_iter().filter(|done| *done).count()
}

/// Half of them are the customer, half its agent, both out of one wallet.
fn spender(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "" } else { "bot" }
}

#[test]
fn debits_spend_exactly_what_there_is() {
    on_both(async |_, mut to| {
        to.grant("", 40 * USD).await;
        let won = race(&to, async |mut to: Clients, number| {
            let spent = to.debit(spender(number), 3 * USD).await;
            spent.is_ok()
        });
        assert_eq!(won.await, 13);
        assert_eq!(to.balance("").await, (USD, 0, 0));
        to.prove().await;
    });
}

#[test]
fn holds_are_captured_up_to_exactly_what_there_is() {
    on_both(async |_, mut to| {
        to.grant("", 40 * USD).await;
        let won = race(&to, async |mut to: Clients, number| {
            let Ok(held) = to.hold(spender(number), 3 * USD).await else {
                return false;
            };
            // Each is captured by two at once, and resolves once.
            let mut other = to.clone();
            let (one, two) = tokio::join!(
                to.capture(&held.hold_id, None),
                other.capture(&held.hold_id, None)
            );
            assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
            true
        });
        assert_eq!(won.await, 13);
        assert_eq!(to.balance("").await, (USD, 0, 0));
        to.prove().await;
    });
}

#[test]
fn transfers_move_exactly_what_there_is() {
    on_both(async |_, mut to| {
        to.grant("", 40 * USD).await;
        let won = race(&to, async |mut to: Clients, _| {
            let moved = to.transfer("", "bot", 3 * USD).await;
            moved.is_ok()
        });
        assert_eq!(won.await, 13);
        assert_eq!(to.balance("").await, (USD, 0, 0));
        assert_eq!(to.balance("bot").await, (39 * USD, 0, 0));
        to.prove().await;
    });
}

#[test]
fn reservations_pledge_exactly_what_there_is() {
    on_both(async |_, mut to| {
        // 20 calls of two cents, three at a time.
        to.grant("", 20 * USD / 50).await;
        let won = race(&to, async |mut to: Clients, number| {
            let request = pb::ReserveRequest {
                subaccount_id: spender(number).to_owned(),
                ..reserving(number)
            };
            let answer = to.entitlements.reserve(request).await.unwrap();
            let answer = answer.into_inner();
            let Some(held) = answer.reservation else {
                let reason = answer.decision.unwrap().reason();
                assert_eq!(reason, pb::DecisionReason::CreditsInsufficient);
                return false;
            };
            let request = pb::CommitReservationRequest {
                request_id: format!("c-{number}"),
                customer_id: "acme".to_owned(),
                reservation_id: held.reservation_id,
                events: vec![pb::UsageEvent {
                    event_id: format!("e-{number}"),
                    meter_id: "calls".to_owned(),
                    subaccount_id: spender(number).to_owned(),
                    quantity: 3,
                    ..pb::UsageEvent::default()
                }],
            };
            to.entitlements.commit_reservation(request).await.unwrap();
            true
        });
        assert_eq!(won.await, 6);
        assert_eq!(to.balance("").await, (2 * USD / 50, 0, 0));
        to.prove().await;
    });
}

fn reserving(number: usize) -> pb::ReserveRequest {
    pb::ReserveRequest {
        request_id: format!("r-{number}"),
        customer_id: "acme".to_owned(),
        items: vec![pb::ReserveItem {
            feature_id: "calls".to_owned(),
            quantity: Some(3),
            ..pb::ReserveItem::default()
        }],
        ..pb::ReserveRequest::default()
    }
}
