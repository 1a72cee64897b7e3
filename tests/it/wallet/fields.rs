//! Bad input, and things that are not there: each with its reason and the path of its field. Nothing of it is applied.

use bursar::grpc::pb;
use prost_types::{Duration, Timestamp};
use tonic::{Code, Status};

use super::{Clients, Refused, USD, at, on_both, refusal, said, usd};
use crate::harness::seen;

const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// Asserts that a call is refused for a field.
fn names<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) {
    let (code, reason, named) = seen(&answer.unwrap_err());
    assert_eq!(
        (Code::from_i32(code), &*reason, &*named),
        (Code::InvalidArgument, "FIELD_INVALID", field)
    );
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

#[test]
fn grants_have_rules() {
    type Change = fn(&mut pb::GrantCreditsRequest);
    let wrong: [(Change, &str); 15] = [
        (|to| to.request_id.clear(), "request_id"),
        (|to| to.wallet = None, "wallet"),
        (|to| named(to).customer_id.clear(), "wallet.customer_id"),
        (
            |to| named(to).subaccount_id = "a b".to_owned(),
            "wallet.subaccount_id",
        ),
        (|to| named(to).credit_unit.clear(), "wallet.credit_unit"),
        (
            |to| named(to).credit_unit = "\0".to_owned(),
            "wallet.credit_unit",
        ),
        (|to| to.amount_micros = 0, "amount_micros"),
        (|to| to.amount_micros = AMOUNT_MAX + 1, "amount_micros"),
        (|to| to.category = 3, "category"),
        (|to| to.source = pb::CreditSource::Transfer.into(), "source"),
        (|to| to.source = -1, "source"),
        (|to| to.reference = "x".repeat(257), "reference"),
        (|to| to.note = "ä".repeat(129), "note"),
        (|to| to.note = "a\0".to_owned(), "note"),
        (
            |to| {
                to.expire_time = Some(Timestamp {
                    seconds: 0,
                    nanos: -1,
                });
            },
            "expire_time",
        ),
    ];
    on_both(async |_, mut to| {
        for (change, field) in wrong {
            let mut request = to.granting("", USD);
            change(&mut request);
            names(to.wallets.grant_credits(request).await, field);
        }
        // At the bounds it is taken; what would be more than a wallet holds is not.
        let most = pb::GrantCreditsRequest {
            priority: i32::MIN,
            reference: "x".repeat(256),
            note: "ä".repeat(128),
            expire_time: at(1),
            ..to.granting("", AMOUNT_MAX)
        };
        let granted = to.wallets.grant_credits(most).await.unwrap().into_inner();
        let grant = granted.grant.unwrap();
        assert_eq!(grant.category(), pb::CreditCategory::Promotional);
        assert_eq!(grant.source(), pb::CreditSource::Manual);
        assert_eq!((grant.create_time, grant.expire_time), (at(0), at(1)));
        let more = to.granting("", 1);
        let numbers = [
            ("amount_micros", "1"),
            ("held_micros", "1000000000000000"),
            ("limit_micros", "1000000000000000"),
        ];
        let full = said(Code::FailedPrecondition, "WALLET_FULL", &numbers);
        assert_eq!(refusal(to.wallets.grant_credits(more).await), full);
    });
}

fn named(request: &mut pb::GrantCreditsRequest) -> &mut pb::WalletName {
    request.wallet.as_mut().unwrap()
}

#[test]
fn spending_has_rules() {
    on_both(async |_, mut to| {
        to.grant("", 10 * USD).await;
        for amount in [0, -1, AMOUNT_MAX + 1, i64::MIN] {
            let request = to.debiting("", amount);
            names(to.wallets.debit_credits(request).await, "amount_micros");
            let request = to.holding("", amount);
            names(to.wallets.hold_credits(request).await, "amount_micros");
            let request = to.transferring("", "bot", amount);
            names(to.wallets.transfer_credits(request).await, "amount_micros");
        }
        for ttl in [seconds(0), seconds(7 * 86_400 + 1), seconds(i64::MAX)] {
            let request = pb::HoldCreditsRequest {
                ttl,
                ..to.holding("", USD)
            };
            names(to.wallets.hold_credits(request).await, "ttl");
        }
        for ttl in [seconds(1), seconds(7 * 86_400), None] {
            let request = pb::HoldCreditsRequest {
                ttl,
                ..to.holding("", USD)
            };
            let held = to.wallets.hold_credits(request).await.unwrap().into_inner();
            let ends = ttl.map_or(900, |ttl| ttl.seconds);
            assert_eq!(held.hold.unwrap().expire_time, at(ends));
        }
        let held = to.hold("", USD).await.unwrap().hold_id;
        for (amount, keep_open) in [(-1, false), (AMOUNT_MAX + 1, false), (0, true)] {
            let request = pb::CaptureHoldRequest {
                keep_open,
                ..to.capturing(&held, Some(amount))
            };
            names(to.wallets.capture_hold(request).await, "amount_micros");
        }
        let nothing = to.capture(&held, Some(0)).await.unwrap();
        assert_eq!(nothing.state(), pb::HoldState::Released);
        let request = to.transferring("bot", "bot", 1);
        let field = "to_subaccount_id";
        names(to.wallets.transfer_credits(request).await, field);
        let request = pb::DebitCreditsRequest {
            spender: None,
            ..to.debiting("", 1)
        };
        names(to.wallets.debit_credits(request).await, "spender");
        names(to.capture("", None).await, "hold_id");
        assert_eq!(to.balance("").await, (7 * USD, 3 * USD, 0));
    });
}

#[test]
fn terms_have_rules() {
    on_both(async |_, mut to| {
        let cap = |to: &Clients, amount_micros, window: &str| pb::SetSpendCapRequest {
            request_id: to.fresh(),
            wallet: usd("bot"),
            amount_micros,
            window: window.to_owned(),
        };
        for (amount, window, field) in [
            (Some(-1), "day", "amount_micros"),
            (Some(AMOUNT_MAX + 1), "day", "amount_micros"),
            (Some(1), "5h", "window"),
            (Some(1), "fortnight", "window"),
        ] {
            let request = cap(&to, amount, window);
            names(to.wallets.set_spend_cap(request).await, field);
        }
        for window in ["hour", "day", "week", "month", "billing_period", "lifetime"] {
            let request = cap(&to, Some(0), window);
            let set = to.wallets.set_spend_cap(request).await.unwrap();
            let set = set.into_inner().wallet.unwrap().spend_cap.unwrap();
            assert_eq!((&*set.window, set.left_micros), (window, 0));
        }
        let request = cap(&to, None, "");
        let unset = to.wallets.set_spend_cap(request).await.unwrap();
        assert_eq!(unset.into_inner().wallet.unwrap().spend_cap, None);
        type Change = fn(&mut pb::AutoTopUpTerms);
        let wrong: [(Change, &str); 7] = [
            (|to| to.threshold_micros = 0, "terms.threshold_micros"),
            (|to| to.amount_micros = 0, "terms.amount_micros"),
            (|to| to.window_cap_micros = 1, "terms.window_cap_micros"),
            (|to| to.window = "lifetime".to_owned(), "terms.window"),
            (|to| to.window = "30m".to_owned(), "terms.window"),
            (|to| to.cool_down = seconds(59), "terms.cool_down"),
            (
                |to| to.cool_down = seconds(35 * 86_400 + 1),
                "terms.cool_down",
            ),
        ];
        for (change, field) in wrong {
            let mut request = topping_up(&to);
            change(request.terms.as_mut().unwrap());
            names(to.wallets.set_auto_top_up(request).await, field);
        }
        let request = topping_up(&to);
        let set = to.wallets.set_auto_top_up(request).await.unwrap();
        let set = set.into_inner().wallet.unwrap().auto_top_up.unwrap();
        let terms = set.terms.unwrap();
        assert_eq!((&*terms.window, terms.cool_down), ("month", seconds(3600)));
        assert_eq!(
            (set.crossing_count, set.pending, set.off),
            (0, false, false)
        );
        let request = pb::SetAutoTopUpRequest {
            terms: None,
            ..topping_up(&to)
        };
        let unset = to.wallets.set_auto_top_up(request).await.unwrap();
        assert_eq!(unset.into_inner().wallet.unwrap().auto_top_up, None);
    });
}

/// A call to ask for five dollars whenever there is nothing.
fn topping_up(to: &Clients) -> pb::SetAutoTopUpRequest {
    pb::SetAutoTopUpRequest {
        request_id: to.fresh(),
        wallet: usd("bot"),
        terms: Some(pb::AutoTopUpTerms {
            threshold_micros: 1,
            amount_micros: 5 * USD,
            window_cap_micros: 5 * USD,
            ..pb::AutoTopUpTerms::default()
        }),
    }
}

/// Asserts that every call that names a wallet is refused because it is not there.
async fn all_miss(to: &mut Clients, wallet: Option<pb::WalletName>, expected: &Refused) {
    let request = pb::GetWalletRequest {
        wallet: wallet.clone(),
    };
    assert_eq!(refusal(to.wallets.get_wallet(request).await), *expected);
    let request = pb::GrantCreditsRequest {
        wallet: wallet.clone(),
        ..to.granting("", USD)
    };
    assert_eq!(refusal(to.wallets.grant_credits(request).await), *expected);
    let request = pb::DebitCreditsRequest {
        spender: wallet.clone(),
        allow_receivable: true,
        ..to.debiting("", USD)
    };
    assert_eq!(refusal(to.wallets.debit_credits(request).await), *expected);
    let request = pb::HoldCreditsRequest {
        spender: wallet.clone(),
        ..to.holding("", USD)
    };
    assert_eq!(refusal(to.wallets.hold_credits(request).await), *expected);
    let request = pb::SetSpendCapRequest {
        request_id: to.fresh(),
        wallet: wallet.clone(),
        ..pb::SetSpendCapRequest::default()
    };
    assert_eq!(refusal(to.wallets.set_spend_cap(request).await), *expected);
    let request = pb::SetAutoTopUpRequest {
        wallet,
        ..topping_up(to)
    };
    assert_eq!(
        refusal(to.wallets.set_auto_top_up(request).await),
        *expected
    );
}

#[test]
fn what_is_not_there_is_named() {
    on_both(async |_, mut to| {
        let named = |change: fn(&mut pb::WalletName)| {
            let mut name = usd("").unwrap();
            change(&mut name);
            Some(name)
        };
        let wrong = [
            (
                named(|name| name.customer_id = "nobody".to_owned()),
                ("CUSTOMER_NOT_FOUND", ("customer_id", "nobody")),
            ),
            (
                named(|name| name.subaccount_id = "ghost".to_owned()),
                ("SUBACCOUNT_NOT_FOUND", ("subaccount_id", "ghost")),
            ),
            (
                named(|name| name.credit_unit = "EUR".to_owned()),
                ("CREDIT_UNIT_NOT_FOUND", ("credit_unit", "EUR")),
            ),
        ];
        for (wallet, (reason, id)) in wrong {
            all_miss(&mut to, wallet, &said(Code::NotFound, reason, &[id])).await;
        }
        let request = pb::ListWalletsRequest {
            customer_id: "nobody".to_owned(),
            ..pb::ListWalletsRequest::default()
        };
        let refused = refusal(to.wallets.list_wallets(request).await);
        assert_eq!(refused.1, "CUSTOMER_NOT_FOUND");
        let request = to.transferring("", "ghost", 1);
        let refused = refusal(to.wallets.transfer_credits(request).await);
        assert_eq!(refused.1, "SUBACCOUNT_NOT_FOUND");
        // Nothing was made on the way.
        let request = pb::ListWalletsRequest {
            customer_id: "acme".to_owned(),
            ..pb::ListWalletsRequest::default()
        };
        let listed = to.wallets.list_wallets(request).await.unwrap();
        assert_eq!(listed.into_inner().wallets, []);
    });
}
