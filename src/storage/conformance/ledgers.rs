//! Ledgers of wallets: their order, their filters, their pages.

use super::fixture::purse::{
    agents, book_of, grant_id, hold_id, keep, ledger_of, new_grant, new_hold, own, posted, spend,
};
use super::fixture::{create, day, minute};
use super::lists::read;
use crate::domain::time::Span;
use crate::domain::wallet::{About, Book, Cause, Cover, Posted, WalletKey};
use crate::domain::window::TimeRange;
use crate::storage::{LedgerQuery, Store, StoreError};

async fn list(store: &dyn Store, query: LedgerQuery) -> Vec<Posted> {
    read(query.limit, async |after| {
        let query = LedgerQuery {
            after,
            ..query.clone()
        };
        store.ledger(query).await.unwrap()
    })
    .await
}

async fn numbers(store: &dyn Store, query: LedgerQuery) -> Vec<i64> {
    let rows = list(store, query).await;
    rows.into_iter().map(|posted| posted.number).collect()
}

/// Fills a wallet, one transaction a day from day 0 on, and its agent's, and returns the ledger of the first.
async fn fill(store: &dyn Store) -> (Book, Vec<Posted>) {
    create(store, "acme").await;
    create(store, "bolt").await;
    let about = About::default;
    let mut book = Book::default();
    book.grant(&own(), new_grant("g1", 100), about(), day(0))
        .unwrap();
    book.grant(&own(), new_grant("g2", 100), about(), day(1))
        .unwrap();
    book.hold("USD", new_hold("h1", 90, day(50)), 0, about(), day(2))
        .unwrap();
    spend(&mut book, 20, day(3));
    book.hold("USD", new_hold("h2", 10, day(50)), 0, about(), day(4))
        .unwrap();
    book.capture(&hold_id("h1"), (1, false), about(), day(5))
        .unwrap();
    book.capture(&hold_id("h1"), (2, true), about(), day(6))
        .unwrap();
    let ways = (&own(), &agents());
    book.transfer(ways, &grant_id("t"), (7, 0), &about(), day(7))
        .unwrap();
    spend(&mut book, 1, day(8));
    let changes = book.take_changes(day(8));
    let ledger = changes.posted.iter().filter(|row| row.wallet == own());
    let ledger: Vec<Posted> = ledger.cloned().collect();
    let changes = super::fixture::purse::changes_of("acme", changes);
    let batch = super::fixture::Draft::new().at(day(8)).changes(changes);
    batch.run(store).await;
    assert_eq!(ledger.len(), 9);
    (book, ledger)
}

pub async fn ledgers_are_listed_in_both_directions(store: &dyn Store) {
    let (_, mut ledger) = fill(store).await;
    for is_rising in [true, false] {
        for limit in [1, 2, 3, 8, 9, 10, 100] {
            let query = LedgerQuery {
                is_rising,
                limit,
                ..ledger_of("acme", own())
            };
            assert_eq!(list(store, query).await, ledger, "{limit} a page");
        }
        ledger.reverse();
    }
    let agents = posted(store, "acme", agents()).await;
    assert_eq!(agents.len(), 1);
    assert_eq!(agents[0].about.other, Some(own()));
    // Of who has none, nothing.
    for (customer, key) in [
        ("acme", WalletKey::own("LUC")),
        ("bolt", own()),
        ("nobody", own()),
    ] {
        assert!(posted(store, customer, key).await.is_empty(), "{customer}");
    }
}

pub async fn ledgers_are_filtered(store: &dyn Store) {
    fill(store).await;
    let all = || ledger_of("acme", own());
    let grant = |id: &str| LedgerQuery {
        grant: Some(grant_id(id)),
        ..all()
    };
    let hold = |id: &str| LedgerQuery {
        hold: Some(hold_id(id)),
        ..all()
    };
    let cause = |cause| LedgerQuery {
        cause: Some(cause),
        ..all()
    };
    let during = |from, to| LedgerQuery {
        range: TimeRange {
            start: day(from),
            end: day(to),
        },
        ..all()
    };
    let both = LedgerQuery {
        cause: Some(Cause::Capture),
        hold: Some(hold_id("h1")),
        ..during(6, 9)
    };
    // The first hold takes most of g1, what is spent then the rest and some of g2, which gives all that follows until
    // h1 gives back.
    for (query, expected) in [
        (grant("g1"), &[1, 3, 4, 6, 7, 8, 9][..]),
        (grant("g2"), &[2, 4, 5]),
        (grant("g"), &[]),
        (hold("h1"), &[3, 6, 7]),
        (hold("h2"), &[5]),
        (cause(Cause::Hold), &[3, 5]),
        (cause(Cause::Transfer), &[8]),
        (cause(Cause::Refund), &[]),
        (during(3, 6), &[4, 5, 6]),
        (during(3, 3), &[]),
        (during(-9, 1), &[1]),
        (during(8, 90), &[9]),
        (during(30, 90), &[]),
        (both, &[7]),
    ] {
        for limit in [1, 2, 3, 9] {
            let rising = LedgerQuery {
                limit,
                ..query.clone()
            };
            assert_eq!(numbers(store, rising).await, expected, "{query:?}");
            let falling = LedgerQuery {
                limit,
                is_rising: false,
                ..query.clone()
            };
            let mut found = numbers(store, falling).await;
            found.reverse();
            assert_eq!(found, expected, "{query:?}");
        }
    }
}

pub async fn ledgers_name_grants_that_only_paid_what_was_owed(store: &dyn Store) {
    create(store, "acme").await;
    let (mut book, about, agent) = (Book::default(), About::default, agents());
    for (id, amount, wallet) in [("g1", 3, own()), ("g2", 5, own()), ("s", 1, agents())] {
        let new = new_grant(id, amount);
        book.grant(&wallet, new, about(), day(0)).unwrap();
    }
    let owing = (7, Cover::Owe);
    book.debit(agent.owner.as_ref(), "USD", owing, about(), day(1))
        .unwrap();
    let ways = (&own(), &agent);
    book.transfer(ways, &grant_id("t"), (8, 0), &about(), day(2))
        .unwrap();
    keep(store, "acme", &mut book, day(2)).await;
    let rows = posted(store, "acme", agents()).await;
    assert_eq!(rows[2].about.settled, [grant_id("t.0")]);
    // The first paid with all it brought, the second with some.
    for (id, expected) in [("t.0", &[3][..]), ("t.1", &[3]), ("t", &[])] {
        let query = LedgerQuery {
            grant: Some(grant_id(id)),
            ..ledger_of("acme", agents())
        };
        assert_eq!(numbers(store, query).await, expected, "{id}");
    }
    let stored = book_of(store, "acme", day(2)).await;
    let stored = stored.wallet(&agent).unwrap();
    assert_eq!((stored.receivable(), stored.balance().available), (0, 2));
    let settled = stored.grants().iter().map(|grant| grant.settled);
    assert_eq!(settled.collect::<Vec<_>>(), [0, 3, 3]);
}

pub async fn clocks_that_differ_hide_no_transaction(store: &dyn Store) {
    create(store, "acme").await;
    let mut book = Book::default();
    let about = About::default;
    book.grant(&own(), new_grant("g", 100), about(), day(0))
        .unwrap();
    let mut times = vec![day(0)];
    for step in 1..40_i64 {
        // On by five minutes each time, and back by up to nineteen.
        let apart = Span::from_minutes(u32::try_from(step * 13 % 20).unwrap());
        let now = minute(20 + step * 5).minus(apart);
        times.push(now);
        spend(&mut book, 1, now);
    }
    assert!(!times.is_sorted());
    keep(store, "acme", &mut book, day(9)).await;
    for from in (0..230).step_by(3) {
        let range = TimeRange {
            start: minute(from),
            end: minute(from + 11),
        };
        let expected: Vec<i64> = (1..)
            .zip(&times)
            .filter(|(_, time)| range.contains(**time))
            .map(|(number, _)| number)
            .collect();
        let query = LedgerQuery {
            range,
            limit: 50,
            ..ledger_of("acme", own())
        };
        assert_eq!(numbers(store, query).await, expected, "from {from}");
    }
}

pub async fn pages_of_ledgers_hold_still_while_they_grow(store: &dyn Store) {
    let (mut book, _) = fill(store).await;
    let mut query = LedgerQuery {
        is_rising: false,
        limit: 4,
        ..ledger_of("acme", own())
    };
    let first = store.ledger(query.clone()).await.unwrap();
    query.after = first.next;
    assert!(query.after.is_some());
    spend(&mut book, 1, day(9));
    keep(store, "acme", &mut book, day(9)).await;
    query.limit = 9;
    for (is_rising, expected) in [(false, &[5, 4, 3, 2, 1][..]), (true, &[7, 8, 9, 10])] {
        query.is_rising = is_rising;
        let rest = store.ledger(query.clone()).await.unwrap();
        let numbers = rest.items.iter().map(|posted| posted.number);
        assert_eq!(numbers.collect::<Vec<_>>(), expected);
    }
}

pub async fn tokens_of_no_ledger_are_refused(store: &dyn Store) {
    fill(store).await;
    for token in ["", "x", "\"x\"", "1/2", "é", "99999999999999999999"] {
        let query = LedgerQuery {
            after: Some(String::from(token)),
            ..ledger_of("acme", own())
        };
        let outcome = store.ledger(query).await;
        assert!(
            matches!(outcome, Err(StoreError::Constraint(_))),
            "{token}: {outcome:?}"
        );
    }
}
