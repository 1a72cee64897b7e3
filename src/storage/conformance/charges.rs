//! What events drew on wallets: fixed with the event, however it is stored and found.

use super::fixture::purse::{agents, charge};
use super::fixture::{Draft, create, event, events_of, minute};
use crate::storage::{Changes, EventRow, Store, StoredEvent};

fn charged(mut row: EventRow, amount: i64) -> EventRow {
    row.charge = Some(charge(amount));
    row
}

fn stored(row: &EventRow, voided: bool) -> StoredEvent {
    StoredEvent {
        row: row.clone(),
        voided,
    }
}

pub async fn a_charge_comes_back_with_its_event(store: &dyn Store) {
    let no = create(store, "acme").await;
    let own = charged(event((no, "acme"), "a", 5, minute(4)), 1_000_000_000_000);
    let free = event((no, "acme"), "b", 5, minute(3));
    let mut other = charged(event((no, "acme"), "c", 5, minute(2)), 7).of_subaccount("s1");
    if let Some(charge) = &mut other.charge {
        charge.wallet = agents();
        charge.owed = 0;
    }
    let decided = charged(event((no, "acme"), "d", 5, minute(1)), 9);
    let plain = vec![own.clone(), free.clone(), other.clone()];
    let changes = Changes {
        events: vec![decided.clone()],
        ..Changes::default()
    };
    let batch = Draft::new().plain(plain).changes(changes);
    batch.run(store).await;
    let rows = [&own, &free, &other, &decided];
    let expected = rows.map(|row| stored(row, false));
    assert_eq!(events_of(store, "acme").await, expected);
    // What is found before a decision has it as well.
    let mut repeat = own.clone();
    repeat.charge = None;
    let batch = Draft::new().plain(vec![repeat]);
    let batch = rows.iter().fold(batch, |batch, row| batch.probe(row.key()));
    let (_, seen) = batch.run(store).await;
    assert_eq!(seen.duplicates, [(0, 0, stored(&own, false))]);
    let probed: Vec<_> = seen.events.into_iter().flatten().collect();
    assert_eq!(probed, expected);
}

pub async fn a_void_has_a_charge_of_its_own(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = charged(event((no, "acme"), "a", 5, minute(4)), 100);
    Draft::new().plain(vec![row.clone()]).run(store).await;
    let void = row.voided(minute(9));
    assert_eq!(void.charge.as_ref().map(|back| back.amount), Some(-100));
    let changes = Changes {
        events: vec![void.clone()],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let expected = [stored(&row, true), stored(&void, false)];
    assert_eq!(events_of(store, "acme").await, expected);
    let batch = Draft::new().probe(row.key()).probe(void.key());
    let (_, seen) = batch.run(store).await;
    let probed: Vec<_> = seen.events.into_iter().flatten().collect();
    assert_eq!(probed, expected);
}
