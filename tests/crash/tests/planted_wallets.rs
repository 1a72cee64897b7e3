//! The checker must find what is wrong with wallets: each test plants one fault in a history that is right.

use super::scene::Scene;
use super::wallet_scene::{PAYS, available, refused};
use crate::checker::Kind;
use crate::credits::{Credits, Moved};
use crate::journal::{Answer, Line};
use crate::wallets::rows::{About, Account, Posted};
use crate::world::SECOND;

/// The place of the transaction that a request made.
fn place_of(rows: &[Posted], request: &str) -> usize {
    let is_its = |row: &Posted| row.request() == Some(request);
    rows.iter().position(is_its).expect("the scene has it")
}

/// Takes the transaction of a request out of the customer's ledger, as if it had never been: numbers close the gap, and
/// what was noted after it is what would be.
fn forget(scene: &mut Scene, request: &str) -> Posted {
    let rows = scene.ledger(0);
    let gone = rows.remove(place_of(rows, request));
    let moved = |is: fn(&Account) -> bool| i64::try_from(gone.sum(is)).expect("it is small");
    let available = moved(|account| matches!(account, Account::Available(_)));
    let held = moved(|account| matches!(account, Account::Held(_)));
    for row in rows.iter_mut().filter(|row| row.number > gone.number) {
        row.number -= 1;
        row.balance.available -= available;
        row.balance.held -= held;
    }
    let stored = scene.stored.books.heads.get_mut(&(PAYS, 0));
    stored.expect("the scene has it").number -= 1;
    gone
}

pub fn nothing_planted() {
    assert_eq!(Scene::funded().kinds(), []);
    let mut scene = Scene::funded();
    scene.owe_and_pay(500, 30);
    scene.owe_and_be_given(700, 40);
    assert_eq!(scene.kinds(), []);
}

pub fn lost_grant() {
    let mut scene = Scene::funded();
    scene.grant("g9", 0, 7_000, None, 30);
    forget(&mut scene, "rq-g9");
    scene.stored.books.grants.remove(&(PAYS, "g9".to_owned()));
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::CreditsLost]);
}

pub fn lost_debit() {
    let mut scene = Scene::funded();
    scene.debit("d9", 0, "g1", 7_000, 30);
    forget(&mut scene, "d9");
    scene.grant_row("g1").used -= 7_000;
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::CreditsMade]);
}

pub fn twice() {
    let mut scene = Scene::funded();
    let rows = scene.ledger(0);
    let row = rows[place_of(rows, "d1")].clone();
    let entries = row.body.entries.iter();
    let entries = entries.map(|entry| (entry.account.clone(), entry.amount));
    let entries = entries.collect();
    scene.post((PAYS, 0), "debit", row.body.about, entries);
    scene.grant_row("g1").used += 10_000;
    assert_eq!(scene.kinds(), [Kind::Duplicated, Kind::CreditsLost]);
}

pub fn nobody_asked() {
    let mut scene = Scene::funded();
    let entries = vec![(available("g1"), -5), (Account::Revenue, 5)];
    scene.grant_row("g1").used += 5;
    let about = About {
        request: Some("nobody".to_owned()),
        ..About::default()
    };
    scene.post((PAYS, 0), "debit", about, entries);
    assert_eq!(scene.kinds(), [Kind::Unexpected, Kind::CreditsLost]);
    // Without a request only usage, reservations and time move credits.
    let mut scene = Scene::funded();
    let entries = vec![(available("g1"), -5), (Account::Revenue, 5)];
    scene.grant_row("g1").used += 5;
    scene.post((PAYS, 0), "debit", About::default(), entries);
    assert_eq!(scene.kinds(), [Kind::Unexpected, Kind::CreditsLost]);
}

pub fn refused_and_done() {
    let mut scene = Scene::funded();
    scene.debit("d9", 0, "g1", 7_000, 30);
    scene.lines.pop();
    scene.lines.push(Line::CallAnswer {
        at: 31 * SECOND,
        request: "d9".to_owned(),
        answer: refused("CREDITS_INSUFFICIENT"),
    });
    assert_eq!(scene.kinds(), [Kind::Unexpected, Kind::CreditsLost]);
    // Refused first and done in the end: whoever refused did not know yet.
    let mut scene = Scene::funded();
    scene.debit("d9", 0, "g1", 7_000, 30);
    let done = scene.lines.pop().expect("the scene has it");
    scene.lines.push(Line::CallAnswer {
        at: 31 * SECOND,
        request: "d9".to_owned(),
        answer: refused("CREDITS_INSUFFICIENT"),
    });
    scene.lines.push(done);
    assert_eq!(scene.kinds(), []);
}

pub fn otherwise_than_told() {
    let mut scene = Scene::funded();
    let place = scene.lines.iter().position(|line| match line {
        Line::CallAnswer { request, .. } => request == "d1",
        _ => false,
    });
    let Line::CallAnswer {
        answer: Answer::Moved(Moved { wallets, .. }),
        ..
    } = &mut scene.lines[place.expect("the scene has it")]
    else {
        unreachable!("it was done");
    };
    wallets[0].1.available += 1;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
    // Another amount than was asked for.
    let mut scene = Scene::funded();
    for line in &mut scene.lines {
        if let Line::Call { request, ask, .. } = line
            && request == "d1"
        {
            *ask = crate::journal::Ask::Credits(Credits::Debit {
                part: 0,
                amount: 10_001,
                may_owe: false,
            });
        }
    }
    assert_eq!(scene.kinds(), [Kind::CreditsMade, Kind::Ledger]);
}

pub fn paid_twice() {
    let mut scene = Scene::funded();
    scene.grant("g9", 1, 100_000, Some("p1"), 30);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
    // The other one is refused, as it should be; and so is one of a payment that brought nothing, as it should not.
    let again = |name: &str| Credits::Grant {
        part: 1,
        amount: 100_000,
        payment: Some(name.to_owned()),
        expire_time: None,
    };
    let mut scene = Scene::funded();
    scene.wallet_call("rq-2", again("p1"), (30, 31), refused("PAYMENT_GRANTED"));
    assert_eq!(scene.kinds(), []);
    let mut scene = Scene::funded();
    scene.wallet_call("rq-2", again("p2"), (30, 31), refused("PAYMENT_GRANTED"));
    assert_eq!(scene.kinds(), [Kind::Answer]);
}

pub fn unbalanced() {
    let mut scene = Scene::funded();
    let rows = scene.ledger(0);
    let place = place_of(rows, "d1");
    rows[place].body.entries.pop();
    assert_eq!(scene.kinds(), [Kind::Ledger]);
}

pub fn gap() {
    let mut scene = Scene::funded();
    for row in scene.ledger(0).iter_mut().skip(4) {
        row.number += 1;
    }
    let stored = scene.stored.books.heads.get_mut(&(PAYS, 0));
    stored.expect("the scene has it").number += 1;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
    let mut scene = Scene::funded();
    let stored = scene.stored.books.heads.get_mut(&(PAYS, 0));
    stored.expect("the scene has it").number += 1;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
}

pub fn misstated() {
    let mut scene = Scene::funded();
    // One that nobody was told of.
    let usage = scene.ledger(0).iter_mut().find(|row| row.cause == "usage");
    usage.expect("the scene has it").balance.available += 1;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
}

pub fn overdrawn() {
    let mut scene = Scene::funded();
    // What comes in later does not help: a grant never holds less than nothing.
    let over = scene.grant_row("g1").available() + 1;
    scene.debit("d9", 0, "g1", over, 30);
    let entries = vec![(Account::Revenue, -over), (available("g1"), over)];
    scene.grant_row("g1").used -= over;
    let about = About {
        meter: Some("work".to_owned()),
        ..About::default()
    };
    scene.post((PAYS, 0), "refund", about, entries);
    assert_eq!(scene.kinds(), [Kind::CreditsMade, Kind::Ledger]);
}

pub fn stale_grant() {
    let mut scene = Scene::funded();
    scene.grant_row("g1").used -= 10_000;
    assert_eq!(scene.kinds(), [Kind::CreditsMade, Kind::Ledger]);
    let mut scene = Scene::funded();
    scene.grant_row("g1").used += 10_000;
    assert_eq!(scene.kinds(), [Kind::CreditsLost, Kind::Ledger]);
}

pub fn debit_apart() {
    // The event is there with its charge, and the ledger knows nothing of it.
    let mut scene = Scene::funded();
    let (rows, heads) = (
        scene.stored.books.ledger.clone(),
        scene.stored.books.heads.clone(),
    );
    scene.work("w9", 30, "g1", 30);
    scene.stored.books.ledger = rows;
    scene.stored.books.heads = heads;
    scene.grant_row("g1").used -= 10_000;
    scene.stored.books.draws.insert(PAYS, 10_000);
    assert_eq!(scene.kinds(), [Kind::CreditsMade, Kind::Ledger]);
    // The ledger has it, and there is no such event.
    let mut scene = Scene::funded();
    let about = About {
        meter: Some("work".to_owned()),
        ..About::default()
    };
    let entries = vec![(available("g1"), -10_000), (Account::Revenue, 10_000)];
    scene.grant_row("g1").used += 10_000;
    scene.post((PAYS, 0), "usage", about, entries);
    assert_eq!(scene.kinds(), [Kind::CreditsLost]);
}

pub fn wrong_price() {
    let mut scene = Scene::funded();
    let rows = scene.stored.events.get_mut(&(PAYS, "w1".to_owned()));
    let charge = &mut rows.expect("the scene has it")[0].charge;
    charge.as_mut().expect("work is charged for").quantity -= 1;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
    let mut scene = Scene::funded();
    let rows = scene.stored.events.get_mut(&(PAYS, "w1".to_owned()));
    rows.expect("the scene has it")[0].charge = None;
    assert_eq!(scene.kinds(), [Kind::CreditsLost, Kind::Ledger]);
}

pub fn void_without_refund() {
    let mut scene = Scene::funded();
    let voids = scene.stored.voids.get_mut(&(PAYS, "w2".to_owned()));
    voids.expect("the scene has it")[0].charge = None;
    assert_eq!(scene.kinds(), [Kind::CreditsMade, Kind::Ledger]);
    let mut scene = Scene::funded();
    scene.stored.voids.clear();
    scene.stored.noted_voids.clear();
    assert!(scene.kinds().contains(&Kind::Lost));
}

pub fn hold_resolved_twice() {
    // Captured, and released all the same.
    let mut scene = Scene::funded();
    let about = || About {
        hold: Some("h1".to_owned()),
        request: Some("l9".to_owned()),
        ..About::default()
    };
    let entries = vec![(Account::Revenue, -9), (available("g1"), 9)];
    scene.grant_row("g1").used -= 9;
    let balance = scene.post((PAYS, 0), "release", about(), entries);
    let release = Credits::Release {
        hold: "h1".to_owned(),
    };
    let moved = Moved {
        id: "h1".to_owned(),
        told: 20_000,
        wallets: vec![(0, balance)],
    };
    scene.wallet_call("l9", release, (30, 31), Answer::Moved(moved));
    assert_eq!(scene.kinds(), [Kind::CreditsMade, Kind::Ledger]);
    // It is said to have ended, and holds on.
    let mut scene = Scene::funded();
    scene.hold("h9", 0, "g1", 100, 30);
    scene.hold_row("h9").state = 2;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
    // More was captured than was set aside.
    let mut scene = Scene::funded();
    scene.hold_row("h1").body.captured += 1;
    assert_eq!(scene.kinds(), [Kind::Ledger]);
    // It is refused since it has ended, and has not.
    let mut scene = Scene::funded();
    scene.hold("h9", 0, "g1", 100, 30);
    let release = Credits::Release {
        hold: "h9".to_owned(),
    };
    scene.wallet_call("l9", release, (31, 32), refused("HOLD_RESOLVED"));
    assert_eq!(scene.kinds(), [Kind::Answer]);
}

pub fn lost_on_the_way() {
    let mut scene = Scene::funded();
    let wallet = (PAYS, 1);
    scene.stored.books.ledger.remove(&wallet);
    scene.stored.books.heads.remove(&wallet);
    scene.stored.books.grants.remove(&(PAYS, "g1.0".to_owned()));
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::CreditsLost, Kind::Ledger]);
}
