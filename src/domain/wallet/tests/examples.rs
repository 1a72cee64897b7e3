//! Wallets by example: what an audit finds, what is held, and the order of use.

use super::*;

/// A wallet of 10 that were paid for, and its ledger.
fn funded(lives: Option<i64>) -> (Book, Vec<Posted>) {
    let mut scene = Scene::new();
    let new = scene.new_grant(10, 0, true, lives);
    let key = &keys()[0];
    scene.book.grant(key, new, About::default(), at(0)).unwrap();
    let ledger = scene.book.take_changes(at(0)).posted;
    (scene.book, ledger)
}

#[test]
fn an_audit_names_what_is_wrong() {
    let (mut book, mut ledger) = funded(None);
    book.debit(None, "LUC", (4, full()), About::default(), at(1))
        .unwrap();
    ledger.extend(book.take_changes(at(1)).posted);
    let wallet = book.wallet(&keys()[0]).unwrap();
    assert_eq!(audit(wallet, &ledger), []);
    let mut unbalanced = ledger.clone();
    unbalanced[1].transaction.entries[1].amount += 1;
    let fault = LedgerFault::Unbalanced {
        transaction: 2,
        sum: 1,
    };
    assert_eq!(audit(wallet, &unbalanced), [fault]);
    let mut overdrawn = ledger.clone();
    overdrawn[1].transaction.entries[0].amount -= 7;
    let faults = audit(wallet, &overdrawn);
    let fault = LedgerFault::Overdrawn {
        transaction: 2,
        entry: 0,
        balance: -1,
    };
    assert!(faults.contains(&fault), "{faults:?}");
    let mut misstated = ledger.clone();
    misstated[0].balance.available = 9;
    let faults = audit(wallet, &misstated);
    assert!(
        matches!(&faults[..], [LedgerFault::Misstated { transaction: 1, .. }]),
        "{faults:?}"
    );
    let faults = audit(wallet, &ledger[1..]);
    assert!(
        matches!(
            faults[0],
            LedgerFault::Gap {
                expected: 1,
                found: Some(2)
            }
        ),
        "{faults:?}"
    );
    ledger.pop();
    let faults = audit(wallet, &ledger);
    assert!(
        matches!(
            &faults[..],
            [
                LedgerFault::Gap {
                    expected: 2,
                    found: None
                },
                LedgerFault::Differs { .. }
            ]
        ),
        "{faults:?}"
    );
}

#[test]
fn what_is_held_survives_the_expiry_of_its_grant() {
    let (mut book, _) = funded(Some(5));
    let wallet = book.wallet_mut(&keys()[0]);
    let new = NewHold {
        id: hold_id(1),
        amount: 8,
        spender: None,
        expire_time: at(100),
    };
    wallet.hold(new, 0, at(1)).unwrap();
    assert_eq!(wallet.expire_grants(at(5)).entries.len(), 2);
    assert_eq!((wallet.available(at(6)), wallet.held()), (0, 8));
    wallet.capture(&hold_id(1), 6, true, at(7)).unwrap();
    let grant = &wallet.grants()[0];
    assert_eq!((grant.used, grant.held, grant.lapsed), (6, 0, 4));
}

#[test]
fn grants_are_used_by_priority_then_expiry_then_age_then_id() {
    let mut wallet = Wallet::new(WalletKey::own("LUC"));
    let new = |id: &str, priority, expires: Option<i64>| NewGrant {
        id: GrantId::new(id).unwrap(),
        amount: 1,
        priority,
        category: Category::Paid,
        source: Source::Manual,
        reference: "".into(),
        expire_time: expires.map(at),
    };
    for (grant, now) in [
        (new("f-late", 1, None), 3),
        (new("e-z", 1, None), 2),
        (new("d-a", 1, None), 2),
        (new("c", 1, Some(90)), 2),
        (new("b", 1, Some(80)), 2),
        (new("a", 0, None), 2),
    ] {
        wallet.grant(grant, at(now)).unwrap();
    }
    let order: Vec<&str> = wallet
        .grants()
        .iter()
        .map(|grant| grant.id.as_str())
        .collect();
    assert_eq!(order, ["a", "b", "c", "d-a", "e-z", "f-late"]);
}

#[test]
fn a_period_carries_over_at_least_the_least_and_at_most_the_most() {
    for (left, min, max, next) in [(7, 5, 20, 7), (2, 5, 20, 5), (30, 5, 20, 20), (0, 0, 20, 0)] {
        let mut wallet = Wallet::new(WalletKey::own("LUC"));
        let mut scene = Scene::new();
        let old = scene.new_grant(40, 0, false, None);
        let id = old.id.clone();
        wallet.grant(old, at(0)).unwrap();
        wallet.debit(40 - left, full(), at(1)).unwrap();
        let new = scene.new_grant(0, 0, false, None);
        let done = wallet.roll_over(&[id], (min, max), new, at(2)).unwrap();
        assert_eq!((wallet.available(at(2)), done.sum()), (next, 0));
    }
}

#[test]
fn what_usage_draws_in_one_batch_is_one_transaction_a_meter() {
    let (mut book, mut ledger) = funded(None);
    let key = &keys()[0];
    for (amount, meter) in [(1, "in"), (2, "out"), (3, "in"), (9, "out"), (1, "in")] {
        let mut done = book
            .wallet_mut(key)
            .debit(amount, Cover::Owe, at(1))
            .unwrap();
        done.cause = Cause::Usage;
        let about = About {
            meter: Some(crate::domain::id::MeterId::new(meter).unwrap()),
            ..About::default()
        };
        book.post(key, done, about, at(1));
    }
    let posted = book.take_changes(at(1)).posted;
    assert_eq!(posted.len(), 2);
    let after: Vec<(i64, i64)> = posted
        .iter()
        .map(|posted| (posted.balance.available, posted.balance.receivable))
        .collect();
    assert_eq!(after, [(6, 1), (0, 6)]);
    ledger.extend(posted);
    assert_eq!(audit(book.wallet(key).unwrap(), &ledger), []);
}
