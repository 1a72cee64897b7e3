//! A call happens once per request id: repeats get the first answer, other content is refused.

use std::fmt::Debug;

use bursar::domain::time::Span;
use bursar::grpc::pb;
use tonic::{Code, Response, Status};

use super::{Clients, USD, on_both, refusal, usd};

/// Makes a call, the same again much later, and the same id with other content.
async fn once<Q: Clone, A: PartialEq + Debug>(
    to: &mut Clients,
    later: impl Fn(),
    request: Q,
    other: impl FnOnce(&mut Q),
    call: impl AsyncFn(&mut Clients, Q) -> Result<Response<A>, Status>,
) -> A {
    let first = call(to, request.clone()).await.unwrap().into_inner();
    let before = (to.balance("").await, to.balance("bot").await);
    let length = to.ledger("").await.len() + to.ledger("bot").await.len();
    later();
    let again = call(to, request.clone()).await.unwrap().into_inner();
    assert_eq!(again, first, "a repeat returns the first answer");
    let mut changed = request;
    other(&mut changed);
    let (code, reason, _) = refusal(call(to, changed).await);
    assert_eq!((code, &*reason), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    let after = (to.balance("").await, to.balance("bot").await);
    assert_eq!(after, before, "nothing moves twice");
    let now = to.ledger("").await.len() + to.ledger("bot").await.len();
    assert_eq!(now, length, "nothing is noted twice");
    first
}

#[test]
fn credits_come_and_go_once_per_request() {
    on_both(async |server, mut to| {
        let to = &mut to;
        let minute = || server.clock.advance(Span::from_minutes(1));
        let request = pb::GrantCreditsRequest {
            category: pb::CreditCategory::Paid.into(),
            ..to.granting("", 50 * USD)
        };
        let granted = once(
            to,
            minute,
            request,
            |other| other.priority = 1,
            async |to, request| to.wallets.grant_credits(request).await,
        );
        let grant_id = granted.await.grant.unwrap().grant_id;
        let request = to.debiting("bot", 5 * USD);
        let debited = once(
            to,
            minute,
            request,
            |other| other.allow_receivable = true,
            async |to, request| to.wallets.debit_credits(request).await,
        );
        assert_eq!(super::balance(debited.await.balance), (45 * USD, 0, 0));
        let request = to.transferring("", "bot", 5 * USD);
        once(
            to,
            minute,
            request,
            |other| other.note = "for tools".to_owned(),
            async |to, request| to.wallets.transfer_credits(request).await,
        )
        .await;
        let request = pb::ClawBackGrantRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            grant_id: grant_id.clone(),
            amount_micros: Some(USD),
            note: String::new(),
        };
        once(
            to,
            minute,
            request,
            |other| other.amount_micros = None,
            async |to, request| to.wallets.claw_back_grant(request).await,
        )
        .await;
        let request = pb::ExpireGrantRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            grant_id,
            note: String::new(),
        };
        once(
            to,
            minute,
            request,
            |other| other.note = "again".to_owned(),
            async |to, request| to.wallets.expire_grant(request).await,
        )
        .await;
        assert_eq!(to.balance("").await, (0, 0, 0));
        assert_eq!(to.balance("bot").await, (5 * USD, 0, 0));
        to.prove().await;
    });
}

#[test]
fn holds_are_made_and_end_once_per_request() {
    on_both(async |server, mut to| {
        let to = &mut to;
        // Longer than a hold lives: a repeat still answers as it was.
        let minute = || server.clock.advance(Span::from_minutes(1));
        to.grant("", 10 * USD).await;
        let request = to.holding("bot", 4 * USD);
        let held = once(
            to,
            minute,
            request.clone(),
            |other| {
                other.ttl = Some(prost_types::Duration {
                    seconds: 5,
                    nanos: 0,
                });
            },
            async |to, request| to.wallets.hold_credits(request).await,
        );
        let held = held.await.hold.unwrap();
        assert_eq!(
            (held.state(), held.held_micros),
            (pb::HoldState::Open, 4 * USD)
        );
        let part = pb::CaptureHoldRequest {
            keep_open: true,
            ..to.capturing(&held.hold_id, Some(USD))
        };
        let captured = once(
            to,
            minute,
            part,
            |other| other.keep_open = false,
            async |to, request| to.wallets.capture_hold(request).await,
        );
        assert_eq!(captured.await.hold.unwrap().held_micros, 3 * USD);
        let release = pb::ReleaseHoldRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            hold_id: held.hold_id.clone(),
            note: String::new(),
        };
        once(
            to,
            minute,
            release,
            |other| other.note = "done".to_owned(),
            async |to, request| to.wallets.release_hold(request).await,
        )
        .await;
        server.clock.advance(Span::from_days(1));
        let again = to.wallets.hold_credits(request).await.unwrap().into_inner();
        assert_eq!(again.hold.unwrap(), held, "as it was when it was made");
        to.prove().await;
    });
}

#[test]
fn terms_are_set_once_per_request() {
    on_both(async |server, mut to| {
        let to = &mut to;
        let minute = || server.clock.advance(Span::from_minutes(1));
        let cap = pb::SetSpendCapRequest {
            request_id: to.fresh(),
            wallet: usd("bot"),
            amount_micros: Some(USD),
            window: "hour".to_owned(),
        };
        let capped = once(
            to,
            minute,
            cap,
            |other| other.amount_micros = None,
            async |to, request| to.wallets.set_spend_cap(request).await,
        );
        assert!(capped.await.wallet.unwrap().spend_cap.is_some());
        let off = pb::SetAutoTopUpRequest {
            request_id: to.fresh(),
            wallet: usd("bot"),
            terms: None,
        };
        once(
            to,
            minute,
            off,
            |other| other.wallet = usd(""),
            async |to, request| to.wallets.set_auto_top_up(request).await,
        )
        .await;
    });
}

#[test]
fn a_refused_call_keeps_no_answer() {
    on_both(async |_, mut to| {
        let request = to.debiting("", USD);
        let refused = to.wallets.debit_credits(request.clone()).await;
        assert_eq!(refusal(refused).1, "CREDITS_INSUFFICIENT");
        to.grant("", USD).await;
        to.wallets.debit_credits(request).await.unwrap();
        assert_eq!(to.balance("").await, (0, 0, 0));
    });
}
