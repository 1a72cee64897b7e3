//! Random moves of credits, made by the rules of wallets.

use proptest::prelude::*;

use super::{CUSTOMERS, anchor, feature};
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::quantity::Milli;
use crate::domain::rating::Amount;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{
    About, Book, BookChanges, Category, Cover, Draw, Hold, NewGrant, NewHold, Refusal, Source,
    Transaction, Wallet, WalletKey,
};
use crate::domain::window::Window;
use crate::storage::conformance::fixture::purse::{agents, grant_id, hold_id, own};
use crate::storage::conformance::fixture::{customer_id, subaccount_id};
use crate::storage::{AccountRows, Found};

/// What is done to the wallets of a customer. Numbers name grants and holds that are there, wrapped around; what the rules
/// refuse is left out.
#[derive(Debug, Clone)]
pub(super) enum Credit {
    /// Whether the agent gets it, how much, for how many hours, and the payment that it may come from.
    Grant(bool, i64, Option<u32>, Option<u8>),
    Debit(bool, i64, bool),
    Hold(bool, i64, u32),
    Capture(usize, i64, bool),
    Release(usize),
    Transfer(i64),
    Expire(usize),
    ClawBack(usize, i64),
    /// What the pool of the customer's or the agent's wallet is to hold.
    Pool(bool, i64),
    Draw(i64),
    Sweep,
    /// Breaks the batch: a number that stands, a grant that is overdrawn.
    Repeat,
    Overdraw(usize),
}

pub(super) fn credits() -> impl Strategy<Value = Credit> {
    let amount = || 1..60_i64;
    let grant = (
        any::<bool>(),
        1..200_i64,
        prop::option::of(1..900_u32),
        prop::option::of(0..60_u8),
    );
    let nth = || 0..9_usize;
    prop_oneof![
        8 => grant.prop_map(|(agent, amount, hours, payment)| Credit::Grant(agent, amount, hours, payment)),
        8 => (any::<bool>(), amount(), any::<bool>()).prop_map(|(agent, amount, owe)| Credit::Debit(agent, amount, owe)),
        8 => (any::<bool>(), amount(), 1..5_000_u32).prop_map(|(agent, amount, minutes)| Credit::Hold(agent, amount, minutes)),
        5 => (nth(), 0..40_i64, any::<bool>()).prop_map(|(hold, amount, last)| Credit::Capture(hold, amount, last)),
        3 => nth().prop_map(Credit::Release),
        3 => amount().prop_map(Credit::Transfer),
        1 => nth().prop_map(Credit::Expire),
        2 => (nth(), amount()).prop_map(|(grant, amount)| Credit::ClawBack(grant, amount)),
        3 => (any::<bool>(), 0..90_i64).prop_map(|(agent, target)| Credit::Pool(agent, target)),
        3 => amount().prop_map(Credit::Draw),
        3 => Just(Credit::Sweep),
        1 => Just(Credit::Repeat),
        1 => nth().prop_map(Credit::Overdraw),
    ]
}

/// Makes the moves and returns what changed.
pub(super) fn books(
    moves: &[(usize, Credit)],
    found: &Found<'_>,
    now: Timestamp,
) -> Vec<(CustomerId, BookChanges)> {
    let mut changes = Vec::new();
    for (index, id) in CUSTOMERS.iter().enumerate() {
        let own: Vec<&Credit> = moves
            .iter()
            .filter(|(customer, _)| *customer == index)
            .map(|(_, one)| one)
            .collect();
        let Some(rows) = found.accounts[index].rows() else {
            continue;
        };
        let book = one_book(&own, rows, now);
        if !book.is_empty() {
            changes.push((customer_id(id), book));
        }
    }
    changes
}

fn one_book(moves: &[&Credit], rows: &AccountRows, now: Timestamp) -> BookChanges {
    let mut wallets = rows.wallets.clone();
    let pooled = pools(moves, &mut wallets, now);
    let mut book = Book::restore(wallets, rows.draws.clone());
    for (key, done) in pooled {
        book.post(&key, done, About::default(), now);
    }
    for (number, one) in moves.iter().enumerate() {
        // A refusal changes nothing, and both stores are shown the same.
        let _ = make(one, number, &mut book, now);
    }
    let mut changes = book.take_changes(now);
    for one in moves {
        match one {
            Credit::Repeat => {
                if let Some(last) = changes.posted.last().cloned() {
                    changes.posted.push(last);
                }
            }
            Credit::Overdraw(nth) if !changes.grants.is_empty() => {
                let at = nth % changes.grants.len();
                let grant = &mut changes.grants[at].1;
                grant.held = grant.amount + 1;
            }
            _ => {}
        }
    }
    changes
}

/// Raises and lowers pools, each wallet's once, so that what is posted then states its balance. Returns what is to be
/// posted.
fn pools(
    moves: &[&Credit],
    wallets: &mut [Wallet],
    now: Timestamp,
) -> Vec<(WalletKey, Transaction)> {
    let pool = hold_id("chat");
    let mut done: Vec<(WalletKey, Transaction)> = Vec::new();
    for one in moves {
        let Credit::Pool(agent, target) = one else {
            continue;
        };
        let key = key(*agent);
        let wallet = wallets.iter_mut().find(|wallet| *wallet.key() == key);
        let Some(wallet) = wallet.filter(|_| done.iter().all(|pooled| pooled.0 != key)) else {
            continue;
        };
        let held = wallet.hold_of(&pool).map_or(0, Hold::held);
        let transaction = if *target > held {
            wallet.raise_pool(&pool, target - held, 0, now).ok()
        } else {
            Some(wallet.lower_pool(&pool, *target, now))
        };
        done.extend(transaction.map(|done| (key, done)));
    }
    done
}

fn key(agent: bool) -> WalletKey {
    if agent { agents() } else { own() }
}

/// Names a grant or a hold that is there.
fn nth_grant(book: &Book, nth: usize) -> crate::domain::id::GrantId {
    let grants = book.wallets().flat_map(Wallet::grants);
    let ids: Vec<_> = grants.map(|grant| grant.id.clone()).collect();
    ids.get(nth % ids.len().max(1))
        .cloned()
        .unwrap_or_else(|| grant_id("none"))
}

fn nth_hold(book: &Book, nth: usize) -> HoldId {
    let holds = book.wallets().flat_map(Wallet::holds);
    let ids: Vec<_> = holds.map(|(id, _)| id.clone()).collect();
    ids.get(nth % ids.len().max(1))
        .cloned()
        .unwrap_or_else(|| hold_id("none"))
}

fn make(one: &Credit, number: usize, book: &mut Book, now: Timestamp) -> Result<(), Refusal> {
    let name = format!("{}-{number}", now.as_micros());
    let about = About {
        note: format!("{one:?} \"{now}\"").into(),
        ..About::default()
    };
    let spender = |agent: bool| agent.then(|| subaccount_id("s1"));
    match one {
        Credit::Grant(agent, amount, hours, payment) => {
            let new = NewGrant {
                expire_time: hours.map(|hours| now.plus(Span::from_hours(hours))),
                ..new_grant(&name, *amount, *payment)
            };
            book.grant(&key(*agent), new, about, now).map(drop)
        }
        Credit::Debit(agent, amount, owe) => {
            let cover = if *owe {
                Cover::Owe
            } else {
                Cover::Full { owed_max: 20 }
            };
            let spender = spender(*agent);
            book.debit(spender.as_ref(), "USD", (*amount, cover), about, now)
                .map(drop)
        }
        Credit::Hold(agent, amount, minutes) => {
            let new = NewHold {
                id: hold_id(&name),
                amount: *amount,
                spender: spender(*agent),
                expire_time: now.plus(Span::from_minutes(*minutes)),
            };
            book.hold("USD", new, 20, about, now).map(drop)
        }
        Credit::Capture(nth, amount, last) => {
            let id = nth_hold(book, *nth);
            book.capture(&id, (*amount, *last), about, now).map(drop)
        }
        Credit::Release(nth) => {
            let id = nth_hold(book, *nth);
            book.release(&id, about, now).map(drop)
        }
        Credit::Transfer(amount) => {
            let ways = (&own(), &agents());
            book.transfer(ways, &grant_id(&name), (*amount, 20), &about, now)
        }
        Credit::Expire(nth) => {
            let id = nth_grant(book, *nth);
            book.expire_grant(&id, about, now).map(drop)
        }
        Credit::ClawBack(nth, amount) => {
            let id = nth_grant(book, *nth);
            book.claw_back(&id, *amount, about, now).map(drop)
        }
        Credit::Draw(amount) => {
            draw(book, *amount, now);
            Ok(())
        }
        Credit::Sweep => {
            book.sweep(now);
            Ok(())
        }
        Credit::Pool(..) | Credit::Repeat | Credit::Overdraw(_) => Ok(()),
    }
}

/// Returns a grant that does not end, bought by a payment or given.
fn new_grant(name: &str, amount: i64, payment: Option<u8>) -> NewGrant {
    let (category, source) = match payment {
        Some(_) => (Category::Paid, Source::Stripe),
        None => (Category::Promotional, Source::Promotion),
    };
    NewGrant {
        id: grant_id(name),
        amount,
        priority: i32::try_from(amount % 3).unwrap_or(0),
        category,
        source,
        reference: payment.map_or_else(Box::default, |n| format!("pi_{n}").into()),
        expire_time: None,
    }
}

/// Notes what usage drew in the billing period of an instant, a third of a micro-unit for each unit.
fn draw(book: &mut Book, units: i64, now: Timestamp) {
    let period = Window::BillingPeriod.range(anchor(), now);
    let fresh = || Draw::new(feature(), period, "USD".into());
    let draw = book.draws_mut().entry(feature()).or_insert_with(fresh);
    if draw.period != period {
        *draw = fresh();
    }
    let exact = Amount::from_micros(units).times(1, 3);
    let taken = exact.and_then(|exact| draw.due(exact));
    if let (Ok(exact), Ok(taken)) = (exact, taken) {
        let noted = draw.charge(Milli(units * 1_000), exact, taken);
        assert!(noted.is_ok(), "small amounts fit");
    }
}
