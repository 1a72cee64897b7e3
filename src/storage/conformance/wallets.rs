//! Wallets: what stands of them, and what leaves memory.

use super::fixture::purse::{
    agents, book_of, changes_of, draw, grant_id, hold_id, keep, new_grant, new_hold, own, posted,
    rich, spend,
};
use super::fixture::{Draft, START, create, customer_id, customer_write, day, minute};
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{
    About, Book, BookChanges, Hold, HoldState, NewGrant, SPENT_GRANTS_KEPT, Source, Wallet,
    WalletHead, WalletKey,
};
use crate::domain::window::TimeRange;
use crate::storage::{Changes, Reread, Store};

/// Puts wallets together from what was written of them: grants, and holds that are open.
fn wallets_of(changes: &BookChanges) -> Vec<Wallet> {
    let mut heads = changes.heads.clone();
    heads.sort_by(|one, other| one.key.cmp(&other.key));
    let of = |head: WalletHead| {
        let key = head.key.clone();
        let grants = changes.grants.iter().filter(|row| row.0 == key);
        let open = |row: &&(WalletKey, _, Hold)| row.0 == key && row.2.is_open();
        let holds = changes.holds.iter().filter(open);
        Wallet::restore(
            head,
            grants.map(|row| row.1.clone()).collect(),
            holds.map(|row| (row.1.clone(), row.2.clone())).collect(),
        )
    };
    heads.into_iter().map(of).collect()
}

async fn stored(store: &dyn Store, customer: &str, now: Timestamp) -> Vec<Wallet> {
    let account = store.account(&customer_id(customer), now).await.unwrap();
    let mut wallets = account.unwrap().wallets;
    wallets.sort_by(|one, other| one.key().cmp(other.key()));
    wallets
}

pub(super) async fn write(store: &dyn Store, customer: &str, changes: BookChanges) {
    let changes = changes_of(customer, changes);
    Draft::new().changes(changes).run(store).await;
}

pub async fn wallets_come_back_as_they_were_written(store: &dyn Store) {
    create(store, "acme").await;
    create(store, "bolt").await;
    let changes = rich(minute(3));
    let ledger = |key: &WalletKey| {
        let own = changes.posted.iter().filter(|posted| posted.wallet == *key);
        own.cloned().collect::<Vec<_>>()
    };
    write(store, "acme", changes.clone()).await;
    let wallets = stored(store, "acme", minute(3)).await;
    assert_eq!(wallets, wallets_of(&changes));
    assert_eq!(wallets.len(), 4);
    for wallet in &wallets {
        let key = wallet.key();
        assert_eq!(posted(store, "acme", key.clone()).await, ledger(key));
    }
    for (key, id, hold) in &changes.holds {
        let found = store.hold(&customer_id("acme"), id).await.unwrap();
        assert_eq!(found, Some((key.clone(), hold.clone())), "{id}");
    }
    // A batch reads the same, and of others nothing.
    let batch = Draft::new().at(minute(3)).load("acme").load("bolt");
    let (_, seen) = batch.run(store).await;
    let Reread::Rows(rows) = &seen.accounts[0] else {
        panic!("{:?}", seen.accounts[0]);
    };
    let mut read = rows.wallets.clone();
    read.sort_by(|one, other| one.key().cmp(other.key()));
    assert_eq!(read, wallets);
    let drawn: Vec<_> = rows.draws.iter().map(|row| row.feature.as_str()).collect();
    assert_eq!(drawn, ["a/b", "chat"]);
    assert_eq!(rows.draws[1], draw("chat", 0, 31));
    assert!(seen.accounts[1].rows().unwrap().wallets.is_empty());
}

pub async fn what_changes_in_a_wallet_replaces_what_stood(store: &dyn Store) {
    create(store, "acme").await;
    let mut book = Book::default();
    let about = About::default;
    let mut first = new_grant("g1", 100);
    first.expire_time = Some(day(9));
    book.grant(&own(), first, about(), minute(0)).unwrap();
    book.hold("USD", new_hold("h1", 30, day(1)), 0, about(), minute(0))
        .unwrap();
    keep(store, "acme", &mut book, minute(0)).await;
    assert_eq!(book_of(store, "acme", minute(0)).await, book);
    // Everything that may change does: parts of the grant, its end, the hold, the head.
    book.capture(&hold_id("h1"), (10, false), about(), minute(1))
        .unwrap();
    spend(&mut book, 5, minute(1));
    book.claw_back(&grant_id("g1"), 7, about(), minute(1))
        .unwrap();
    keep(store, "acme", &mut book, minute(1)).await;
    assert_eq!(book_of(store, "acme", minute(1)).await, book);
    book.expire_grant(&grant_id("g1"), about(), minute(2))
        .unwrap();
    spend(&mut book, 5, minute(2));
    book.release(&hold_id("h1"), about(), minute(2)).unwrap();
    keep(store, "acme", &mut book, minute(2)).await;
    let read = book_of(store, "acme", minute(2)).await;
    assert_eq!(read, book);
    let wallet = read.wallet(&own()).unwrap();
    assert_eq!((wallet.receivable(), wallet.held()), (5, 0));
    let ledger = posted(store, "acme", own()).await;
    assert_eq!(crate::domain::wallet::audit(wallet, &ledger), []);
    assert_eq!(ledger.len(), 8);
}

pub async fn wallets_of_customers_stand_apart(store: &dyn Store) {
    let mut books = Vec::new();
    for (id, amount) in [("acme", 100), ("bolt", 200)] {
        create(store, id).await;
        let mut book = Book::default();
        let bought = NewGrant {
            source: Source::X402,
            reference: "tx1".into(),
            ..new_grant("g1", amount)
        };
        book.grant(&own(), bought, About::default(), START).unwrap();
        let hold = new_hold("h1", amount / 2, day(1));
        book.hold("USD", hold, 0, About::default(), START).unwrap();
        keep(store, id, &mut book, START).await;
        books.push(book);
    }
    assert_eq!(book_of(store, "acme", START).await, books[0]);
    assert_eq!(book_of(store, "bolt", START).await, books[1]);
    for (id, held) in [("acme", 50), ("bolt", 100)] {
        let found = store.hold(&customer_id(id), &hold_id("h1")).await.unwrap();
        assert_eq!(found.unwrap().1.held(), held);
        assert_eq!(posted(store, id, own()).await[1].balance.held, held);
    }
}

pub async fn spent_grants_leave_memory_in_time(store: &dyn Store) {
    create(store, "acme").await;
    let about = About::default;
    let mut book = Book::default();
    for id in ["a-spent", "b-held", "c-left"] {
        book.grant(&own(), new_grant(id, 10), about(), START)
            .unwrap();
    }
    spend(&mut book, 10, START);
    book.hold("USD", new_hold("h1", 10, Timestamp::MAX), 0, about(), START)
        .unwrap();
    keep(store, "acme", &mut book, START).await;
    let known = async |now: Timestamp| {
        let book = book_of(store, "acme", now).await;
        let grants = book.wallet(&own()).unwrap().grants().iter();
        grants.map(|grant| grant.id.to_string()).collect::<Vec<_>>()
    };
    let gone = START.plus(SPENT_GRANTS_KEPT);
    let all = ["a-spent", "b-held", "c-left"];
    assert_eq!(known(gone.minus(Span::from_secs(1))).await, all);
    assert_eq!(known(gone).await, all[1..]);
    assert_eq!(known(Timestamp::MAX).await, all[1..]);
    // What comes back to it brings it back.
    let mut again = book_of(store, "acme", day(1)).await.take_changes(day(1));
    assert!(again.is_empty());
    let wallet = book.wallet(&own()).unwrap();
    let spent = wallet.grants().iter().find(|grant| grant.used == 10);
    let mut spent = spent.unwrap().clone();
    spent.used = 9;
    again.grants.push((own(), spent));
    write(store, "acme", again).await;
    assert_eq!(known(gone).await, all);
}

pub async fn holds_are_found_whatever_became_of_them(store: &dyn Store) {
    create(store, "acme").await;
    let about = About::default;
    let mut book = Book::default();
    book.grant(&own(), new_grant("g1", 100), about(), START)
        .unwrap();
    for id in ["open", "captured", "released", "expired"] {
        let end = if id == "expired" { minute(5) } else { day(1) };
        book.hold("USD", new_hold(id, 10, end), 0, about(), START)
            .unwrap();
    }
    keep(store, "acme", &mut book, START).await;
    let find = async |customer: &str, id: &str| {
        let customer = customer_id(customer);
        store.hold(&customer, &hold_id(id)).await.unwrap()
    };
    for id in ["open", "captured", "released", "expired"] {
        assert!(find("acme", id).await.unwrap().1.is_open(), "{id}");
    }
    let captured = hold_id("captured");
    book.capture(&captured, (4, true), about(), minute(6))
        .unwrap();
    book.release(&hold_id("released"), about(), minute(6))
        .unwrap();
    book.sweep(minute(6));
    keep(store, "acme", &mut book, minute(6)).await;
    for (id, state, spent, end) in [
        ("open", HoldState::Open, 0, None),
        ("captured", HoldState::Captured, 4, Some(minute(6))),
        ("released", HoldState::Released, 0, Some(minute(6))),
        ("expired", HoldState::Expired, 0, Some(minute(5))),
    ] {
        let (key, hold) = find("acme", id).await.unwrap();
        assert_eq!((key, hold.state), (own(), state), "{id}");
        assert_eq!((hold.captured, hold.end_time), (spent, end), "{id}");
    }
    assert_eq!(find("acme", "Open").await, None);
    assert_eq!(find("nobody", "open").await, None);
    let read = book_of(store, "acme", minute(6)).await;
    let open: Vec<_> = read.wallet(&own()).unwrap().holds().keys().collect();
    assert_eq!(open, [&hold_id("open")]);
}

pub async fn pools_of_one_name_stand_apart(store: &dyn Store) {
    create(store, "acme").await;
    let mut changes = rich(START);
    let pool = changes.holds.pop().unwrap();
    assert!(pool.2.is_pool);
    let mut amounts = Vec::new();
    for (key, amount) in [(agents(), 11), (own(), 12), (WalletKey::own("LUC"), 13)] {
        let mut pool = pool.clone();
        (pool.0, pool.2.amount) = (key.clone(), amount);
        changes.holds.push(pool);
        amounts.push((key, amount));
    }
    write(store, "acme", changes.clone()).await;
    let chat = hold_id("chat");
    let read = book_of(store, "acme", START).await;
    for (key, amount) in &amounts {
        let wallet = read.wallet(key).unwrap();
        assert_eq!(wallet.hold_of(&chat).unwrap().amount, *amount);
    }
    let found = async || store.hold(&customer_id("acme"), &chat).await.unwrap();
    assert!(found().await.unwrap().1.is_pool);
    // A hold that somebody made is what a question by its id means.
    let mut made = pool;
    (made.0, made.2.is_pool) = (WalletKey::own("LUC"), false);
    let more = BookChanges {
        holds: vec![made.clone()],
        ..BookChanges::default()
    };
    write(store, "acme", more).await;
    assert_eq!(found().await, Some((made.0, made.2)));
}

pub async fn what_was_drawn_in_ended_periods_is_left_out(store: &dyn Store) {
    create(store, "acme").await;
    let mut last = draw("chat", 10, 30);
    last.amount = 77;
    let changes = BookChanges {
        draws: vec![last.clone(), draw("chat", 0, 20), draw("a/b", 0, 31)],
        ..BookChanges::default()
    };
    write(store, "acme", changes).await;
    let drawn = async |now| {
        let account = store.account(&customer_id("acme"), now).await.unwrap();
        let draws = account.unwrap().draws.into_iter();
        let place = |period: TimeRange| (period.end.since(START).as_micros()) / 86_400_000_000;
        draws
            .map(|row| format!("{} {}", row.feature, place(row.period)))
            .collect::<Vec<_>>()
    };
    let all = ["a/b 31", "chat 20", "chat 40"];
    assert_eq!(drawn(START).await, all);
    assert_eq!(drawn(day(20).minus(Span::from_secs(1))).await, all);
    assert_eq!(drawn(day(20)).await, ["a/b 31", "chat 40"]);
    assert_eq!(drawn(day(40)).await, [""; 0]);
    // Of two that run, the later counts, and it may be replaced.
    let read = book_of(store, "acme", START).await;
    assert_eq!(read.draw(&last.feature), Some(&last));
    last.amount = 78;
    let changes = BookChanges {
        draws: vec![last.clone()],
        ..BookChanges::default()
    };
    write(store, "acme", changes).await;
    assert_eq!(drawn(START).await, all);
    let read = book_of(store, "acme", START).await;
    assert_eq!(read.draw(&last.feature), Some(&last));
}

pub async fn an_erased_customer_keeps_its_wallets(store: &dyn Store) {
    create(store, "acme").await;
    let changes = rich(START);
    write(store, "acme", changes.clone()).await;
    let mut gone = customer_write("acme");
    gone.customer.display_name = Box::default();
    gone.customer.delete_time = Some(minute(9));
    let erased = Changes {
        customers: vec![gone],
        ..Changes::default()
    };
    Draft::new().changes(erased).run(store).await;
    assert_eq!(stored(store, "acme", START).await, wallets_of(&changes));
    assert!(!posted(store, "acme", own()).await.is_empty());
}
