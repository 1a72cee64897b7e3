//! What no batch may write to a wallet: nothing of it is stored then.

use super::fixture::purse::{
    agents, book_of, changes_of, grant_id, keep, new_grant, own, posted, spend,
};
use super::fixture::{Draft, START, create};
use super::wallets::write;
use crate::domain::wallet::{About, Book, BookChanges, Grant, NewGrant, Source, WalletKey};
use crate::storage::Store;

/// Refuses changes and finds nothing of them.
async fn must_break(store: &dyn Store, customer: &str, changes: BookChanges) {
    let before = book_of(store, customer, START).await;
    let changes = changes_of(customer, changes);
    Draft::new().changes(changes).must_break(store).await;
    assert_eq!(book_of(store, customer, START).await, before);
}

pub async fn a_number_that_stands_in_a_ledger_is_refused(store: &dyn Store) {
    create(store, "acme").await;
    let mut book = Book::default();
    let about = About::default;
    book.grant(&own(), new_grant("g1", 100), about(), START)
        .unwrap();
    let first = book.take_changes(START);
    write(store, "acme", first.clone()).await;
    spend(&mut book, 1, START);
    let mut second = book.take_changes(START);
    second.posted[0].number = 1;
    must_break(store, "acme", second.clone()).await;
    assert_eq!(posted(store, "acme", own()).await, first.posted);
    // Nor may one batch append it twice.
    second.posted[0].number = 2;
    second.posted.push(second.posted[0].clone());
    must_break(store, "acme", second.clone()).await;
    second.posted.pop();
    write(store, "acme", second).await;
    assert_eq!(posted(store, "acme", own()).await.len(), 2);
}

pub async fn a_grant_is_never_overdrawn(store: &dyn Store) {
    create(store, "acme").await;
    let mut book = Book::default();
    let new = new_grant("g1", 100);
    book.grant(&own(), new, About::default(), START).unwrap();
    keep(store, "acme", &mut book, START).await;
    spend(&mut book, 10, START);
    let sound = book.take_changes(START);
    let changes: [fn(&mut Grant); 6] = [
        |grant| grant.used = 101,
        |grant| (grant.used, grant.held) = (50, 51),
        |grant| (grant.used, grant.held, grant.lapsed) = (40, 30, 31),
        |grant| grant.used = -1,
        |grant| grant.held = -1,
        |grant| grant.lapsed = -1,
    ];
    for (case, change) in changes.into_iter().enumerate() {
        let mut broken = sound.clone();
        change(&mut broken.grants[0].1);
        must_break(store, "acme", broken).await;
        assert_eq!(posted(store, "acme", own()).await.len(), 1, "case {case}");
        // Nor when it is new.
        let mut broken = sound.clone();
        broken.grants[0].1.id = grant_id("g2");
        change(&mut broken.grants[0].1);
        must_break(store, "acme", broken).await;
    }
    let mut broken = sound.clone();
    broken.heads[0].receivable = -1;
    must_break(store, "acme", broken).await;
    write(store, "acme", sound).await;
    assert_eq!(book_of(store, "acme", START).await, book);
}

pub async fn a_payment_brings_one_grant(store: &dyn Store) {
    create(store, "acme").await;
    let bought = |id: &str, source, reference: &str| NewGrant {
        source,
        reference: reference.into(),
        ..new_grant(id, 100)
    };
    let made = |key: WalletKey, new: NewGrant| {
        let mut book = Book::default();
        book.grant(&key, new, About::default(), START).unwrap();
        book.take_changes(START)
    };
    let first = made(own(), bought("g1", Source::Stripe, "pi_1"));
    write(store, "acme", first.clone()).await;
    let again = || bought("g2", Source::Stripe, "pi_1");
    for key in [agents(), WalletKey::own("LUC")] {
        must_break(store, "acme", made(key.clone(), again())).await;
        assert!(posted(store, "acme", key).await.is_empty());
    }
    // Twice in one batch.
    let mut twice = made(agents(), bought("g3", Source::X402, "tx1"));
    let more = made(agents(), bought("g4", Source::X402, "tx1"));
    twice.grants.extend(more.grants);
    must_break(store, "acme", twice).await;
    // The same grant may be written again, and what is no payment, or another, may bear any name.
    let mut changed = first;
    changed.posted.clear();
    changed.grants[0].1.used = 5;
    write(store, "acme", changed).await;
    for (at, (source, reference)) in [
        (Source::X402, "pi_1"),
        (Source::Stripe, "pi_2"),
        (Source::Manual, "pi_1"),
        (Source::Promotion, "pi_1"),
        (Source::Stripe, ""),
        (Source::Stripe, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let key = WalletKey::own(format!("U{at}"));
        let other = bought(&format!("other{at}"), source, reference);
        write(store, "acme", made(key, other)).await;
    }
}

pub async fn a_grant_keeps_what_it_is(store: &dyn Store) {
    create(store, "acme").await;
    let mut book = Book::default();
    let bought = NewGrant {
        source: Source::Stripe,
        reference: "pi_1".into(),
        ..new_grant("g1", 100)
    };
    book.grant(&own(), bought, About::default(), START).unwrap();
    let mut changes = book.take_changes(START);
    write(store, "acme", changes.clone()).await;
    changes.posted.clear();
    for change in [
        |row: &mut (WalletKey, Grant)| row.0 = agents(),
        |row: &mut (WalletKey, Grant)| row.0 = WalletKey::own("LUC"),
        |row: &mut (WalletKey, Grant)| row.1.amount = 101,
        |row: &mut (WalletKey, Grant)| row.1.reference = "pi_2".into(),
        |row: &mut (WalletKey, Grant)| row.1.source = Source::Manual,
    ] {
        let mut broken = changes.clone();
        broken.heads[0].receivable = 9;
        change(&mut broken.grants[0]);
        must_break(store, "acme", broken).await;
    }
    write(store, "acme", changes).await;
}
