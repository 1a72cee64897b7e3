//! Refusals are told apart, each with the numbers behind it, and leave nothing behind.

use bursar::domain::time::Span;
use bursar::grpc::pb;
use tonic::Code;

use super::{Clients, USD, at, on_both, refusal, said, usd};

const FAILED: Code = Code::FailedPrecondition;

/// Asserts that a refused call changed nothing that can be seen of the wallets.
async fn unchanged(to: &mut Clients, test: impl AsyncFnOnce(&mut Clients)) {
    let before = (to.wallet("").await, to.wallet("bot").await);
    test(to).await;
    assert_eq!((to.wallet("").await, to.wallet("bot").await), before);
}

#[test]
fn credits_that_are_not_there() {
    on_both(async |_, mut to| {
        let short = |needed: &str, available: &str| {
            let numbers = [("available_micros", available), ("needed_micros", needed)];
            said(FAILED, "CREDITS_INSUFFICIENT", &numbers)
        };
        assert_eq!(refusal(to.debit("", 1).await), short("1", "0"));
        to.grant("", 5 * USD).await;
        to.hold("", 2 * USD).await.unwrap();
        unchanged(&mut to, async |to| {
            let expected = short("3000001", "3000000");
            assert_eq!(refusal(to.debit("", 3 * USD + 1).await), expected);
            assert_eq!(refusal(to.hold("bot", 3 * USD + 1).await), expected);
            let moved = to.transfer("", "bot", 3 * USD + 1).await;
            assert_eq!(refusal(moved), expected);
            let nothing = to.transfer("bot", "", 1).await;
            assert_eq!(refusal(nothing), short("1", "0"));
        })
        .await;
        assert_eq!(to.debit("bot", 3 * USD).await.unwrap(), (0, 2 * USD, 0));
        to.prove().await;
    });
}

#[test]
fn a_cap_that_is_reached() {
    on_both(async |server, mut to| {
        to.grant("", 100 * USD).await;
        let capped = to.cap("bot", 10 * USD).await.spend_cap.unwrap();
        assert_eq!((&*capped.window, capped.left_micros), ("day", 10 * USD));
        assert_eq!(
            (capped.window_start, capped.window_end),
            (at(0), at(86_400))
        );
        to.debit("bot", 4 * USD).await.unwrap();
        let held = to.hold("bot", 5 * USD).await.unwrap();
        let full = |needed: &str, left: &str| {
            let numbers = [
                ("cap_micros", "10000000"),
                ("left_micros", left),
                ("needed_micros", needed),
                ("window_end", "2026-02-03T02:40:00Z"),
            ];
            said(FAILED, "SPEND_CAP_REACHED", &numbers)
        };
        unchanged(&mut to, async |to| {
            let expected = full("1000001", "1000000");
            assert_eq!(refusal(to.debit("bot", USD + 1).await), expected);
            assert_eq!(refusal(to.hold("bot", USD + 1).await), expected);
        })
        .await;
        // The customer itself has none, and what the agent gives back is there again.
        to.debit("", 50 * USD).await.unwrap();
        to.capture(&held.hold_id, Some(USD)).await.unwrap();
        let refused = to.debit("bot", 6 * USD).await;
        assert_eq!(refusal(refused), full("6000000", "5000000"));
        let left = to.wallet("bot").await.spend_cap.unwrap();
        assert_eq!((left.spent_micros, left.left_micros), (5 * USD, 5 * USD));
        server.clock.advance(Span::from_days(1));
        to.debit("bot", 10 * USD).await.unwrap();
        to.prove().await;
    });
}

#[test]
fn a_cap_for_ever_has_no_end() {
    on_both(async |_, mut to| {
        to.grant("", 100 * USD).await;
        let request = pb::SetSpendCapRequest {
            request_id: "cap".to_owned(),
            wallet: usd("bot"),
            amount_micros: Some(30_000),
            window: "lifetime".to_owned(),
        };
        let set = to.wallets.set_spend_cap(request).await.unwrap();
        let set = set.into_inner().wallet.unwrap().spend_cap.unwrap();
        assert_eq!((set.window_start, set.window_end), (None, None));
        let numbers = [
            ("cap_micros", "30000"),
            ("left_micros", "30000"),
            ("needed_micros", "30001"),
        ];
        let expected = said(FAILED, "SPEND_CAP_REACHED", &numbers);
        assert_eq!(refusal(to.debit("bot", 30_001).await), expected);
        let check = pb::CheckEntitlementRequest {
            customer_id: "acme".to_owned(),
            subaccount_id: "bot".to_owned(),
            feature_id: "calls".to_owned(),
            quantity: Some(2),
            ..pb::CheckEntitlementRequest::default()
        };
        let made = to.entitlements.check_entitlement(check).await.unwrap();
        let made = made.into_inner().decision.unwrap();
        assert_eq!(made.reason(), pb::DecisionReason::SpendCapExceeded);
        assert_eq!(made.retry_after, None, "waiting does not help");
        let credits = made.credits.unwrap();
        assert_eq!(
            (credits.needed_micros, credits.cap_left_micros),
            (40_000, Some(30_000))
        );
        assert_eq!(credits.cap_window_end, None);
    });
}

#[test]
fn a_wallet_that_owes() {
    on_both(async |_, mut to| {
        to.grant("", 5 * USD).await;
        let request = pb::DebitCreditsRequest {
            allow_receivable: true,
            ..to.debiting("", 7 * USD)
        };
        let owing = to.wallets.debit_credits(request).await.unwrap();
        assert_eq!(super::balance(owing.into_inner().balance), (0, 0, 2 * USD));
        // Credits that were given do not settle it.
        let given = to.granting("", 10 * USD);
        to.wallets.grant_credits(given).await.unwrap();
        unchanged(&mut to, async |to| {
            let expected = said(FAILED, "WALLET_BLOCKED", &[("owed_micros", "2000000")]);
            assert_eq!(refusal(to.debit("", 1).await), expected);
            assert_eq!(refusal(to.hold("bot", 1).await), expected);
            assert_eq!(refusal(to.transfer("", "bot", 1).await), expected);
        })
        .await;
        let paid = to.grant("", 3 * USD).await;
        assert_eq!((paid.used_micros, paid.available_micros), (2 * USD, USD));
        assert_eq!(to.balance("").await, (11 * USD, 0, 0));
        to.debit("", USD).await.unwrap();
        to.prove().await;
    });
}

#[test]
fn a_grant_whose_time_is_over() {
    on_both(async |server, mut to| {
        let past = pb::GrantCreditsRequest {
            expire_time: at(0),
            ..to.granting("", USD)
        };
        let expected = said(
            FAILED,
            "GRANT_EXPIRED",
            &[("expire_time", "2026-02-02T02:40:00Z")],
        );
        assert_eq!(refusal(to.wallets.grant_credits(past).await), expected);
        let soon = pb::GrantCreditsRequest {
            expire_time: at(60),
            ..to.granting("", USD)
        };
        let soon = to.wallets.grant_credits(soon).await.unwrap().into_inner();
        server.clock.advance(Span::from_secs(60));
        let expire = |to: &Clients, grant_id: &str| pb::ExpireGrantRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            grant_id: grant_id.to_owned(),
            note: "by mistake".to_owned(),
        };
        let request = expire(&to, &soon.grant.unwrap().grant_id);
        let expected = said(
            FAILED,
            "GRANT_EXPIRED",
            &[("expire_time", "2026-02-02T02:41:00Z")],
        );
        assert_eq!(refusal(to.wallets.expire_grant(request).await), expected);
        let lasting = to.grant("", 3 * USD).await;
        let request = expire(&to, &lasting.grant_id);
        let ended = to.wallets.expire_grant(request).await.unwrap().into_inner();
        let grant = ended.grant.unwrap();
        assert_eq!((grant.lapsed_micros, grant.expire_time), (3 * USD, at(60)));
        let again = expire(&to, &lasting.grant_id);
        assert_eq!(refusal(to.wallets.expire_grant(again).await), expected);
        let numbers = [("grant_id", "none")];
        let expected = said(Code::NotFound, "GRANT_NOT_FOUND", &numbers);
        let request = expire(&to, "none");
        assert_eq!(refusal(to.wallets.expire_grant(request).await), expected);
        to.prove().await;
    });
}

#[test]
fn a_hold_that_has_ended() {
    on_both(async |server, mut to| {
        to.grant("", 10 * USD).await;
        let mut holds = Vec::new();
        for _ in 0..4 {
            holds.push(to.hold("", USD).await.unwrap().hold_id);
        }
        let too_much = [("amount_micros", "1000001"), ("left_micros", "1000000")];
        let refused = to.capture(&holds[0], Some(USD + 1)).await;
        assert_eq!(
            refusal(refused),
            said(FAILED, "AMOUNT_TOO_LARGE", &too_much)
        );
        let part = to.capture(&holds[0], Some(USD / 4)).await.unwrap();
        assert_eq!(part.state(), pb::HoldState::Captured);
        let whole = to.capture(&holds[1], None).await.unwrap();
        assert_eq!(whole.captured_micros, USD);
        to.release(&holds[2]).await.unwrap();
        assert_eq!(to.balance("").await, (8 * USD - USD / 4, USD, 0));
        server.clock.advance(Span::from_minutes(15));
        for (hold, state, captured) in [
            (&holds[0], "CAPTURED", "250000"),
            (&holds[1], "CAPTURED", "1000000"),
            (&holds[2], "RELEASED", "0"),
            (&holds[3], "EXPIRED", "0"),
        ] {
            let numbers = [("captured_micros", captured), ("state", state)];
            let expected = said(FAILED, "HOLD_RESOLVED", &numbers);
            assert_eq!(refusal(to.capture(hold, None).await), expected);
            assert_eq!(refusal(to.release(hold).await), expected);
        }
        let unknown = said(Code::NotFound, "HOLD_NOT_FOUND", &[("hold_id", "calls")]);
        assert_eq!(refusal(to.capture("calls", None).await), unknown);
        assert_eq!(to.wallet("").await.spendable_micros, 9 * USD - USD / 4);
        to.prove().await;
    });
}

#[test]
fn money_that_came_or_was_taken_back_before() {
    on_both(async |_, mut to| {
        let pay = |to: &Clients, owner: &str, source: pb::CreditSource| pb::GrantCreditsRequest {
            category: pb::CreditCategory::Paid.into(),
            source: source.into(),
            reference: "pi_1".to_owned(),
            ..to.granting(owner, 5 * USD)
        };
        let first = pay(&to, "", pb::CreditSource::Stripe);
        let first = to.wallets.grant_credits(first).await.unwrap();
        let grant_id = first.into_inner().grant.unwrap().grant_id;
        let numbers = [("grant_id", &*grant_id), ("reference", "pi_1")];
        let expected = said(Code::AlreadyExists, "PAYMENT_GRANTED", &numbers);
        for owner in ["", "bot"] {
            let again = pay(&to, owner, pb::CreditSource::Stripe);
            assert_eq!(refusal(to.wallets.grant_credits(again).await), expected);
        }
        let other = pay(&to, "bot", pb::CreditSource::X402);
        to.wallets.grant_credits(other).await.unwrap();
        let take = |to: &Clients, amount| pb::ClawBackGrantRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            grant_id: grant_id.clone(),
            amount_micros: amount,
            note: "disputed".to_owned(),
        };
        to.debit("", 4 * USD).await.unwrap();
        let part = take(&to, Some(2 * USD));
        let part = to.wallets.claw_back_grant(part).await.unwrap().into_inner();
        assert_eq!(super::balance(part.balance), (0, 0, USD));
        assert_eq!(part.grant.unwrap().returned_micros, 2 * USD);
        let numbers = [("amount_micros", "3000001"), ("left_micros", "3000000")];
        let expected = said(FAILED, "AMOUNT_TOO_LARGE", &numbers);
        let more = take(&to, Some(3 * USD + 1));
        assert_eq!(refusal(to.wallets.claw_back_grant(more).await), expected);
        let rest = take(&to, None);
        let rest = to.wallets.claw_back_grant(rest).await.unwrap().into_inner();
        assert_eq!(super::balance(rest.balance), (0, 0, 4 * USD));
        let nothing = take(&to, None);
        let refused = to.wallets.claw_back_grant(nothing).await;
        assert_eq!(refusal(refused).1, "AMOUNT_TOO_LARGE");
        to.prove().await;
    });
}

#[test]
fn money_is_taken_back_from_the_grant_that_it_brought() {
    on_both(async |_, mut to| {
        let origin = to.grant("", 5 * USD).await.grant_id;
        to.transfer("", "bot", 2 * USD).await.unwrap();
        let request = pb::GetWalletRequest { wallet: usd("bot") };
        let bot = to.wallets.get_wallet(request).await.unwrap().into_inner();
        let grant_id = bot.wallet.unwrap().grants[0].grant_id.clone();
        let request = pb::ClawBackGrantRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            grant_id: grant_id.clone(),
            amount_micros: None,
            note: String::new(),
        };
        let numbers = [("grant_id", &*grant_id), ("origin_grant_id", &*origin)];
        let expected = said(FAILED, "GRANT_TRANSFERRED", &numbers);
        let refused = to.wallets.claw_back_grant(request).await;
        assert_eq!(refusal(refused), expected);
        to.prove().await;
    });
}
