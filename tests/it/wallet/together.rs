//! A reservation over quota, concurrency and credits is all or none: whichever item refuses, nothing of the others stays
//! held.

use bursar::grpc::pb;
use pb::DecisionReason as Reason;

use super::{Clients, USD, on_both};

/// All that can be seen of what is held.
#[derive(Debug, PartialEq)]
struct Seen {
    entitlements: Vec<pb::ListEntitlementsResponse>,
    wallets: [pb::Wallet; 2],
    ledgers: [Vec<pb::LedgerTransaction>; 2],
    reservations: Vec<pb::Reservation>,
}

impl Seen {
    async fn of(to: &mut Clients) -> Self {
        let mut entitlements = Vec::new();
        for subaccount in ["", "bot"] {
            let request = pb::ListEntitlementsRequest {
                customer_id: "acme".to_owned(),
                subaccount_id: subaccount.to_owned(),
                ..pb::ListEntitlementsRequest::default()
            };
            let listed = to.entitlements.list_entitlements(request).await;
            entitlements.push(listed.unwrap().into_inner());
        }
        let request = pb::ListReservationsRequest {
            customer_id: "acme".to_owned(),
            ..pb::ListReservationsRequest::default()
        };
        let listed = to.entitlements.list_reservations(request).await;
        Self {
            entitlements,
            wallets: [to.wallet("").await, to.wallet("bot").await],
            ledgers: [to.ledger("").await, to.ledger("bot").await],
            reservations: listed.unwrap().into_inner().reservations,
        }
    }
}

/// What is reserved: units of a feature.
type Items = [(&'static str, i64); 4];

/// Of everything something: quota, a thing in flight, credits from the first unit, and credits beyond what is included.
const ITEMS: Items = [("tokens", 40), ("jobs", 1), ("calls", 50), ("pages", 12)];
/// What these cost: 50 calls at two cents, 2 of 12 pages at ten.
const COST: i64 = USD + USD / 5;

fn reserving(to: &Clients, items: &[(&str, i64)], ttl: i64) -> pb::ReserveRequest {
    let item = |(feature, quantity): &(&str, i64)| pb::ReserveItem {
        feature_id: (*feature).to_owned(),
        quantity: Some(*quantity),
        ..pb::ReserveItem::default()
    };
    pb::ReserveRequest {
        request_id: to.fresh(),
        customer_id: "acme".to_owned(),
        subaccount_id: "bot".to_owned(),
        items: items.iter().map(item).collect(),
        ttl: Some(prost_types::Duration {
            seconds: ttl,
            nanos: 0,
        }),
        ..pb::ReserveRequest::default()
    }
}

async fn reserve(to: &mut Clients, items: &[(&str, i64)]) -> pb::ReserveResponse {
    let request = reserving(to, items, 3600);
    to.entitlements.reserve(request).await.unwrap().into_inner()
}

/// One way in which an item refuses.
struct Case {
    /// The item.
    refuses: &'static str,
    reason: Reason,
    /// What has made it so.
    prepare: Preparation,
    /// Units in place of what [`ITEMS`] asks for.
    quantity: Option<i64>,
}

/// What happens before.
#[derive(Clone, Copy)]
enum Preparation {
    Nothing,
    /// As many jobs run as may.
    Busy,
    /// So much of the credits is gone.
    Spent(i64),
    /// The agent may spend so much.
    Capped(i64),
    /// The customer's wallet lets go of so much.
    OwnCapped(i64),
    /// Usage came that nobody asked for, and is owed.
    Owing,
}

const GRANTED: i64 = 10 * USD;

impl Preparation {
    async fn make(self, to: &mut Clients) {
        to.grant("", GRANTED).await;
        match self {
            Self::Nothing => {}
            Self::Busy => {
                let busy = reserve(to, &[("jobs", 2)]).await;
                assert!(busy.reservation.is_some());
            }
            Self::Spent(amount) => {
                to.debit("", amount).await.unwrap();
            }
            Self::Capped(amount) => {
                to.cap("bot", amount).await;
            }
            Self::OwnCapped(amount) => {
                to.cap("", amount).await;
            }
            Self::Owing => {
                let request = pb::DebitCreditsRequest {
                    allow_receivable: true,
                    ..to.debiting("", GRANTED + 1)
                };
                to.wallets.debit_credits(request).await.unwrap();
                // What was given does not settle it, so that only the debt stands against it.
                let given = to.granting("", GRANTED);
                to.wallets.grant_credits(given).await.unwrap();
            }
        }
    }
}

fn cases() -> Vec<Case> {
    let case = |refuses, reason, prepare, quantity| Case {
        refuses,
        reason,
        prepare,
        quantity,
    };
    use Preparation::{Busy, Capped, Nothing, Owing, OwnCapped, Spent};
    vec![
        case("tokens", Reason::LimitExceeded, Nothing, Some(101)),
        case("jobs", Reason::ConcurrencyLimitExceeded, Busy, None),
        case("calls", Reason::CreditsInsufficient, Nothing, Some(501)),
        case("pages", Reason::CreditsInsufficient, Nothing, Some(111)),
        // Each alone is covered, both are not: whichever comes last refuses.
        case(
            "",
            Reason::CreditsInsufficient,
            Spent(GRANTED - COST + 1),
            None,
        ),
        case("", Reason::SpendCapExceeded, Capped(COST - 1), None),
        case("", Reason::SpendCapExceeded, OwnCapped(COST - 1), None),
        case("calls", Reason::WalletBlocked, Owing, None),
    ]
}

#[test]
fn whichever_item_refuses_nothing_stays_held() {
    for case in cases() {
        on_both(async |_, mut to| {
            case.prepare.make(&mut to).await;
            let before = Seen::of(&mut to).await;
            let mut items = ITEMS;
            for item in &mut items {
                if item.0 == case.refuses {
                    item.1 = case.quantity.unwrap_or(item.1);
                }
            }
            // Each item once at each place.
            for turn in 0..items.len() {
                items.rotate_left(1);
                let answer = reserve(&mut to, &items).await;
                assert_eq!(answer.reservation, None);
                let decision = answer.decision.unwrap();
                assert_eq!(decision.reason(), case.reason, "turn {turn}");
                let denied = answer.items.iter().filter(|item| {
                    let decision = item.decision.as_ref();
                    assert_eq!(item.granted_quantity, 0);
                    decision.is_some_and(|made| !made.allowed)
                });
                let denied: Vec<&str> = denied.map(|item| &*item.feature_id).collect();
                let mut draws = items
                    .iter()
                    .filter(|item| ["calls", "pages"].contains(&item.0));
                let expected = match case.refuses {
                    "" => vec![draws.next_back().unwrap().0],
                    // What is owed stands against all that draws.
                    _ if case.reason == Reason::WalletBlocked => draws.map(|item| item.0).collect(),
                    refuses => vec![refuses],
                };
                assert_eq!(denied, expected, "turn {turn}");
                assert_eq!(Seen::of(&mut to).await, before, "turn {turn}");
            }
            to.prove().await;
        });
    }
}

#[test]
fn what_is_not_there_leaves_nothing_held_either() {
    on_both(async |_, mut to| {
        to.grant("", GRANTED).await;
        let before = Seen::of(&mut to).await;
        for turn in 0..5 {
            let mut items = ITEMS.to_vec();
            items.insert(turn, ("nothing", 1));
            let request = reserving(&to, &items, 60);
            let refused = to.entitlements.reserve(request).await;
            assert_eq!(super::refusal(refused).1, "FEATURE_NOT_FOUND");
            assert_eq!(Seen::of(&mut to).await, before);
        }
    });
}

#[test]
fn all_is_held_together_and_given_back_together() {
    on_both(async |server, mut to| {
        to.grant("", GRANTED).await;
        to.cap("bot", COST).await;
        let before = Seen::of(&mut to).await;
        let held = reserve(&mut to, &ITEMS).await.reservation.unwrap();
        assert_eq!(to.balance("").await, (GRANTED - COST, COST, 0));
        let cap = to.wallet("bot").await.spend_cap.unwrap();
        assert_eq!((cap.spent_micros, cap.left_micros), (COST, 0));
        let wallet = to.wallet("").await;
        let mut pools: Vec<_> = wallet.holds.iter().collect();
        pools.sort_by_key(|pool| pool.held_micros);
        let names: Vec<&str> = pools.iter().map(|pool| &*pool.hold_id).collect();
        assert_eq!(names, ["pages", "calls"]);
        for pool in pools {
            assert!(pool.for_reservations && pool.expire_time.is_none());
        }
        let more = reserve(&mut to, &[("calls", 1)]).await;
        let reason = more.decision.unwrap().reason();
        assert_eq!(reason, Reason::SpendCapExceeded);
        let release = pb::ReleaseReservationRequest {
            request_id: to.fresh(),
            customer_id: "acme".to_owned(),
            reservation_id: held.reservation_id,
        };
        to.entitlements.release_reservation(release).await.unwrap();
        let after = Seen::of(&mut to).await;
        assert_eq!(after.entitlements, before.entitlements);
        assert_eq!(after.wallets[0].balance, before.wallets[0].balance);
        assert_eq!(after.wallets[1].spend_cap, before.wallets[1].spend_cap);
        assert_eq!(after.wallets[0].holds, []);
        to.prove().await;
        // As well when nobody ends it.
        let request = reserving(&to, &ITEMS, 60);
        to.entitlements.reserve(request).await.unwrap();
        server
            .clock
            .advance(bursar::domain::time::Span::from_secs(60));
        let again = reserve(&mut to, &ITEMS).await;
        assert!(again.reservation.is_some(), "{:?}", again.decision);
        to.prove().await;
    });
}
