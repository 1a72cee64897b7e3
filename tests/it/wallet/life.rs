//! How credits age: what is used first, what runs out, and what stays of a customer that is deleted.

use bursar::domain::time::Span;
use bursar::grpc::pb;
use pb::LedgerCause as Cause;
use tonic::Code;

use super::{Clients, USD, at, balance, on_both, refusal, said, usd};
use crate::harness::TestServer;

fn causes(ledger: &[pb::LedgerTransaction]) -> Vec<Cause> {
    ledger.iter().map(pb::LedgerTransaction::cause).collect()
}

/// Waits until the sweep has booked what is over.
async fn swept(to: &mut Clients, length: usize) -> Vec<pb::LedgerTransaction> {
    for _ in 0..200 {
        let ledger = to.ledger("").await;
        if ledger.len() >= length {
            return ledger;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the sweep did not book what is over");
}

#[test]
fn grants_are_used_by_priority_then_expiry_then_age() {
    on_both(async |server, mut to| {
        let wanted = [(1, None), (0, at(900)), (0, None), (0, at(600))];
        for (number, (priority, expire_time)) in wanted.into_iter().enumerate() {
            let request = pb::GrantCreditsRequest {
                priority,
                expire_time,
                reference: number.to_string(),
                ..to.granting("", 2 * USD)
            };
            to.wallets.grant_credits(request).await.unwrap();
            server.clock.advance(Span::from_secs(1));
        }
        let young = pb::GrantCreditsRequest {
            reference: "4".to_owned(),
            ..to.granting("", 2 * USD)
        };
        to.wallets.grant_credits(young).await.unwrap();
        let order = ["3", "1", "2", "4", "0"];
        let grants = to.wallet("").await.grants;
        let listed: Vec<_> = grants.iter().map(|grant| &*grant.reference).collect();
        assert_eq!(listed, order);
        for used in order {
            let before = to.wallet("").await.grants;
            to.debit("", 2 * USD).await.unwrap();
            let after = to.wallet("").await.grants;
            let grants = before.iter().zip(&after);
            let mut changed = grants.filter(|(before, after)| before != after);
            assert_eq!(changed.next().unwrap().1.reference, used);
            assert!(changed.next().is_none());
        }
        to.prove().await;
    });
}

#[test]
fn credits_run_out_by_time_and_what_is_held_does_not() {
    on_both(async |server, mut to| {
        let request = pb::GrantCreditsRequest {
            expire_time: at(60),
            ..to.granting("", 10 * USD)
        };
        to.wallets.grant_credits(request).await.unwrap();
        let kept = to.hold("", 3 * USD).await.unwrap().hold_id;
        let lost = to.hold("", 2 * USD).await.unwrap().hold_id;
        server.clock.advance(Span::from_secs(59));
        assert_eq!(to.wallet("").await.spendable_micros, 5 * USD);
        server.clock.advance(Span::from_secs(1));
        // At once, whether the sweep was there or not.
        assert_eq!(to.wallet("").await.spendable_micros, 0);
        let numbers = [("available_micros", "0"), ("needed_micros", "1")];
        let expected = said(Code::FailedPrecondition, "CREDITS_INSUFFICIENT", &numbers);
        assert_eq!(refusal(to.debit("", 1).await), expected);
        let ledger = swept(&mut to, 4).await;
        let expected = [Cause::Grant, Cause::Hold, Cause::Hold, Cause::GrantExpiry];
        assert_eq!(causes(&ledger), expected);
        assert_eq!(balance(ledger[3].balance), (0, 5 * USD, 0));
        // What was set aside in time is spent; what of it goes back is gone.
        to.capture(&kept, Some(2 * USD)).await.unwrap();
        assert_eq!(to.balance("").await, (0, 2 * USD, 0));
        server.clock.advance(Span::from_minutes(15));
        let ledger = swept(&mut to, 6).await;
        assert_eq!(causes(&ledger)[4..], [Cause::Capture, Cause::HoldExpiry]);
        assert_eq!(ledger[5].hold_id, lost);
        assert_eq!(to.balance("").await, (0, 0, 0));
        let grant = &to.wallet("").await.grants[0];
        assert_eq!((grant.used_micros, grant.lapsed_micros), (2 * USD, 8 * USD));
        to.prove().await;
    });
}

#[test]
fn a_hold_that_nobody_ends_gives_back() {
    on_both(async |server, mut to| {
        to.grant("", 10 * USD).await;
        let held = to.hold("", 4 * USD).await.unwrap();
        server.clock.advance(Span::from_minutes(15));
        let wallet = to.wallet("").await;
        assert_eq!(wallet.spendable_micros, 10 * USD);
        // Whether the sweep was there or not, it is not open any more.
        assert!(wallet.holds.iter().all(|over| {
            over.state() == pb::HoldState::Expired
                && (over.held_micros, over.end_time) == (0, at(900))
        }));
        let over = refusal(to.capture(&held.hold_id, None).await);
        assert_eq!(over.1, "HOLD_RESOLVED");
        to.debit("", 10 * USD).await.unwrap();
        let ledger = to.ledger("").await;
        let expected = [Cause::Grant, Cause::Hold, Cause::HoldExpiry, Cause::Debit];
        assert_eq!(causes(&ledger), expected);
        to.prove().await;
    });
}

#[test]
fn credits_go_to_an_agent_and_come_back() {
    on_both(async |_, mut to| {
        to.grant("", 10 * USD).await;
        // Until it has credits of its own, it spends the customer's.
        to.debit("bot", USD).await.unwrap();
        let moved = to.transfer("", "bot", 4 * USD).await.unwrap();
        assert_eq!(moved, [(5 * USD, 0, 0), (4 * USD, 0, 0)]);
        let request = to.debiting("bot", 3 * USD);
        let paid = to
            .wallets
            .debit_credits(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(paid.wallet, usd("bot"));
        assert_eq!(balance(paid.balance), (USD, 0, 0));
        let short = refusal(to.debit("bot", 2 * USD).await);
        assert_eq!(short.1, "CREDITS_INSUFFICIENT", "its own wallet pays");
        // What it gives back counts under its own cap, not under the customer's.
        to.cap("", 1).await;
        let moved = to.transfer("bot", "", USD).await.unwrap();
        assert_eq!(moved, [(0, 0, 0), (6 * USD, 0, 0)]);
        assert_eq!(to.wallet("").await.spend_cap.unwrap().spent_micros, 0);
        let delete = pb::DeleteSubaccountRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            subaccount_id: "bot".to_owned(),
        };
        to.cap("", 100 * USD).await;
        to.transfer("", "bot", 2 * USD).await.unwrap();
        to.customers.delete_subaccount(delete).await.unwrap();
        for refused in [
            refusal(to.debit("bot", 1).await),
            refusal(to.transfer("", "bot", 1).await),
        ] {
            assert_eq!(refused.1, "SUBACCOUNT_NOT_FOUND");
        }
        assert_eq!(to.balance("bot").await, (2 * USD, 0, 0), "it is not lost");
        to.transfer("bot", "", 2 * USD).await.unwrap();
        assert_eq!(to.balance("").await, (6 * USD, 0, 0));
        to.prove().await;
    });
}

#[test]
fn credits_from_another_wallet_settle_what_is_owed() {
    on_both(async |_, mut to| {
        to.grant("bot", USD).await;
        let request = pb::DebitCreditsRequest {
            allow_receivable: true,
            ..to.debiting("bot", 6 * USD)
        };
        to.wallets.debit_credits(request).await.unwrap();
        assert_eq!(to.balance("bot").await, (0, 0, 5 * USD));
        // Those that were given do not.
        let given = to.granting("", 2 * USD);
        to.wallets.grant_credits(given).await.unwrap();
        let moved = to.transfer("", "bot", 2 * USD).await.unwrap();
        assert_eq!(moved, [(0, 0, 0), (2 * USD, 0, 5 * USD)]);
        assert_eq!(refusal(to.debit("bot", 1).await).1, "WALLET_BLOCKED");
        to.grant("", 3 * USD).await;
        let moved = to.transfer("", "bot", 3 * USD).await.unwrap();
        assert_eq!(moved, [(0, 0, 0), (2 * USD, 0, 2 * USD)]);
        to.grant("", 6 * USD).await;
        let moved = to.transfer("", "bot", 6 * USD).await.unwrap();
        assert_eq!(moved, [(0, 0, 0), (6 * USD, 0, 0)]);
        to.debit("bot", 6 * USD).await.unwrap();
        // Nothing of the second was ever to be spent; the ledger knows it all the same.
        let grants = to.wallet("bot").await.grants;
        let whole = grants.iter().find(|grant| grant.amount_micros == 3 * USD);
        let whole = whole.unwrap();
        assert_eq!((whole.used_micros, whole.available_micros), (3 * USD, 0));
        let request = pb::ListLedgerEntriesRequest {
            wallet: usd("bot"),
            grant_id: whole.grant_id.clone(),
            ..pb::ListLedgerEntriesRequest::default()
        };
        let found = to.wallets.list_ledger_entries(request).await.unwrap();
        let [posted] = &found.into_inner().transactions[..] else {
            panic!("one moved it");
        };
        let entries = posted.entries.iter();
        let entries: Vec<_> = entries
            .map(|entry| (entry.account(), entry.amount_micros))
            .collect();
        let expected = [
            (pb::LedgerAccount::Transfers, -3 * USD),
            (pb::LedgerAccount::Receivable, 3 * USD),
        ];
        assert_eq!(
            (posted.cause(), &*entries),
            (Cause::Transfer, &expected[..])
        );
        to.prove().await;
    });
}

/// Calls of every kind that change something.
async fn all_refused(to: &mut Clients, hold: &str, grant: &str) {
    let expected = said(
        Code::FailedPrecondition,
        "CUSTOMER_DELETED",
        &[("customer_id", "acme")],
    );
    let request = to.granting("", USD);
    assert_eq!(refusal(to.wallets.grant_credits(request).await), expected);
    assert_eq!(refusal(to.debit("", USD).await), expected);
    assert_eq!(refusal(to.hold("bot", USD).await), expected);
    assert_eq!(refusal(to.capture(hold, None).await), expected);
    assert_eq!(refusal(to.release(hold).await), expected);
    assert_eq!(refusal(to.transfer("", "bot", USD).await), expected);
    let request = pb::ExpireGrantRequest {
        request_id: to.fresh(),
        customer_id: "acme".to_owned(),
        grant_id: grant.to_owned(),
        note: String::new(),
    };
    assert_eq!(refusal(to.wallets.expire_grant(request).await), expected);
    let request = pb::ClawBackGrantRequest {
        request_id: to.fresh(),
        customer_id: "acme".to_owned(),
        grant_id: grant.to_owned(),
        ..pb::ClawBackGrantRequest::default()
    };
    assert_eq!(refusal(to.wallets.claw_back_grant(request).await), expected);
    let request = pb::SetSpendCapRequest {
        request_id: to.fresh(),
        wallet: usd(""),
        ..pb::SetSpendCapRequest::default()
    };
    assert_eq!(refusal(to.wallets.set_spend_cap(request).await), expected);
    let request = pb::SetAutoTopUpRequest {
        request_id: to.fresh(),
        wallet: usd(""),
        terms: None,
    };
    assert_eq!(refusal(to.wallets.set_auto_top_up(request).await), expected);
}

#[test]
fn a_deleted_customer_refuses_and_keeps_its_books() {
    on_both(async |server: &TestServer, mut to| {
        let grant = to.grant("", 10 * USD).await.grant_id;
        to.transfer("", "bot", USD).await.unwrap();
        let hold = to.hold("", 2 * USD).await.unwrap().hold_id;
        let before = to.ledger("").await;
        let request = pb::DeleteCustomerRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
        };
        to.customers.delete_customer(request).await.unwrap();
        all_refused(&mut to, &hold, &grant).await;
        assert_eq!(to.ledger("").await, before);
        assert_eq!(to.balance("").await, (7 * USD, 2 * USD, 0));
        assert_eq!(to.ledger("bot").await.len(), 1);
        server.clock.advance(Span::from_minutes(15));
        let after = swept(&mut to, before.len() + 1).await;
        assert_eq!(causes(&after).last(), Some(&Cause::HoldExpiry));
        to.prove().await;
    });
}
