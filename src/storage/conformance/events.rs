//! Events: stored once, found again, taken out again.

use super::fixture::{Draft, create, event, events_of, labels, minute};
use crate::domain::id::ReservationId;
use crate::storage::{Changes, EventFlags, EventRow, Store, StoredEvent};

fn fresh(row: &EventRow) -> StoredEvent {
    StoredEvent {
        row: row.clone(),
        voided: false,
    }
}

pub async fn an_event_comes_back_as_it_was_given(store: &dyn Store) {
    let no = create(store, "acme").await;
    let mut full = event(
        (no, "acme"),
        "0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c3d4e",
        5,
        minute(7),
    )
    .of_subaccount("agent/1")
    .with(&[("model", "large"), ("user", "caf\u{e9} \"x\"")]);
    full.event.metadata = labels(&[("trace", "a=b;c"), ("empty", "")]);
    full.event.reservation_id = Some(ReservationId::new("r~1").unwrap());
    full.event_time = minute(8);
    full.event.event_time = Some(minute(8));
    full.record_time = minute(9);
    full.flags = EventFlags {
        reservation_closed: true,
        beyond_reservation: true,
    };
    let mut bare = event((no, "acme"), "plain-id", -3, minute(6));
    bare.event.event_time = None;
    bare.weighted = crate::domain::quantity::Milli(-4_501);
    bare.flags.beyond_reservation = true;
    let rows = vec![full.clone(), bare.clone()];
    let (_, seen) = Draft::new().plain(rows).run(store).await;
    assert!(seen.duplicates.is_empty());
    assert_eq!(events_of(store, "acme").await, [fresh(&full), fresh(&bare)]);
}

pub async fn a_repeat_in_a_later_batch_is_a_duplicate(store: &dyn Store) {
    let no = create(store, "acme").await;
    let first = event((no, "acme"), "e1", 5, minute(1));
    let second = event((no, "acme"), "e2", 6, minute(2));
    Draft::new().plain(vec![first.clone()]).run(store).await;
    let rows = vec![second.clone(), first.clone()];
    let (_, seen) = Draft::new().plain(rows).run(store).await;
    assert_eq!(seen.duplicates, [(0, 1, fresh(&first))]);
    assert_eq!(
        events_of(store, "acme").await,
        [fresh(&second), fresh(&first)]
    );
}

pub async fn a_repeat_in_the_same_batch_is_a_duplicate(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = event((no, "acme"), "e1", 5, minute(1));
    let mut other = row.clone();
    other.event.quantity = 6;
    let (_, seen) = Draft::new()
        .plain(vec![row.clone(), other])
        .plain(vec![row.clone()])
        .run(store)
        .await;
    let mut duplicates = seen.duplicates;
    duplicates.sort_by_key(|duplicate| (duplicate.0, duplicate.1));
    assert_eq!(duplicates, [(0, 1, fresh(&row)), (1, 0, fresh(&row))]);
    assert_eq!(events_of(store, "acme").await, [fresh(&row)]);
}

/// A store may take many rows in another way than few.
pub async fn many_at_once_are_kept_like_few(store: &dyn Store) {
    let acme = create(store, "acme").await;
    let bolt = create(store, "bolt").await;
    let row = |nth: i64| {
        let customer = if nth % 3 == 0 {
            (bolt, "bolt")
        } else {
            (acme, "acme")
        };
        let mut row = event(customer, &format!("e{nth:04}"), nth, minute(nth % 7));
        if nth % 2 == 0 {
            row = row
                .of_subaccount("agent")
                .with(&[("user", "caf\u{e9} \"x\"\n")]);
            row.event.metadata = labels(&[("trace", "a=b;c")]);
            row.event.reservation_id = Some(ReservationId::new("r~1").unwrap());
            row.event_time = minute(8);
            row.event.event_time = Some(minute(8));
            row.record_time = minute(9);
            row.flags.reservation_closed = true;
        }
        row
    };
    let first: Vec<EventRow> = (0..600).map(row).collect();
    let (_, seen) = Draft::new().plain(first.clone()).run(store).await;
    assert!(seen.duplicates.is_empty());
    // Half of them again, the others twice.
    let second: Vec<EventRow> = (300..900).map(row).collect();
    let third: Vec<EventRow> = (600..900).map(row).collect();
    let (_, seen) = Draft::new()
        .plain(second.clone())
        .plain(third)
        .run(store)
        .await;
    let mut duplicates = seen.duplicates;
    duplicates.sort_by_key(|duplicate| (duplicate.0, duplicate.1));
    let of = |chunk: usize, index: usize, nth: i64| (chunk, index, fresh(&row(nth)));
    let old = (300..600).zip(0..).map(|(nth, index)| of(0, index, nth));
    let twice = (600..900).zip(0..).map(|(nth, index)| of(1, index, nth));
    assert_eq!(duplicates, old.chain(twice).collect::<Vec<_>>());
    for customer in ["acme", "bolt"] {
        let mut found = events_of(store, customer).await;
        found.sort_by(|one, other| one.row.event.event_id.cmp(&other.row.event.event_id));
        let all = (0..900).map(row);
        let own = all.filter(|row| row.event.customer_id.as_str() == customer);
        assert_eq!(found, own.map(|row| fresh(&row)).collect::<Vec<_>>());
    }
}

pub async fn other_content_is_answered_with_what_is_stored(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = event((no, "acme"), "e1", 5, minute(1)).with(&[("model", "small")]);
    Draft::new().plain(vec![row.clone()]).run(store).await;
    let other = event((no, "acme"), "e1", 9, minute(2)).of_meter("calls");
    let (_, seen) = Draft::new().plain(vec![other]).run(store).await;
    assert_eq!(seen.duplicates, [(0, 0, fresh(&row))]);
    assert_eq!(events_of(store, "acme").await, [fresh(&row)]);
}

pub async fn the_same_id_of_another_customer_is_another_event(store: &dyn Store) {
    let acme = create(store, "acme").await;
    let bolt = create(store, "bolt").await;
    let ours = event((acme, "acme"), "e1", 5, minute(1));
    let theirs = event((bolt, "bolt"), "e1", 6, minute(1));
    let rows = vec![ours.clone(), theirs.clone()];
    let (_, seen) = Draft::new().plain(rows).run(store).await;
    assert!(seen.duplicates.is_empty());
    assert_eq!(events_of(store, "acme").await, [fresh(&ours)]);
    assert_eq!(events_of(store, "bolt").await, [fresh(&theirs)]);
}

pub async fn ids_that_differ_only_in_case_are_different(store: &dyn Store) {
    let no = create(store, "acme").await;
    let ids = [
        "0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c3d4e",
        "0190B7A4-6F0E-7C3A-9D2E-5B8F1A2C3D4E",
        "0190b7a46f0e7c3a9d2e5b8f1a2c3d4e",
        "{0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c3d4e}",
    ];
    let rows: Vec<EventRow> = ids
        .iter()
        .map(|id| event((no, "acme"), id, 1, minute(1)))
        .collect();
    let (_, seen) = Draft::new().plain(rows.clone()).run(store).await;
    assert!(seen.duplicates.is_empty());
    let (_, seen) = Draft::new().plain(rows.clone()).run(store).await;
    let mut found: Vec<_> = seen.duplicates.iter().map(|one| one.2.clone()).collect();
    found.sort_by_key(|stored| rows.iter().position(|row| *row == stored.row));
    assert_eq!(found, rows.iter().map(fresh).collect::<Vec<_>>());
}

pub async fn a_void_has_a_key_of_its_own(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = event((no, "acme"), "e1", 5, minute(1));
    Draft::new().plain(vec![row.clone()]).run(store).await;
    let void = row.voided(minute(5));
    let changes = Changes {
        events: vec![void.clone()],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let voided = StoredEvent {
        row: row.clone(),
        voided: true,
    };
    assert_eq!(
        events_of(store, "acme").await,
        [voided.clone(), fresh(&void)]
    );
    let (_, seen) = Draft::new()
        .plain(vec![row.clone(), void.clone()])
        .probe(void.key())
        .run(store)
        .await;
    let mut duplicates = seen.duplicates;
    duplicates.sort_by_key(|duplicate| duplicate.1);
    assert_eq!(duplicates, [(0, 0, voided), (0, 1, fresh(&void))]);
    assert_eq!(seen.events, [Some(fresh(&void))]);
}

pub async fn a_refused_event_vanishes_and_may_come_again(store: &dyn Store) {
    let no = create(store, "acme").await;
    let (a, b) = (
        event((no, "acme"), "a", 1, minute(1)),
        event((no, "acme"), "b", 2, minute(2)),
    );
    let changes = Changes {
        refused: vec![(0, 0)],
        ..Changes::default()
    };
    let rows = vec![a.clone(), b.clone()];
    Draft::new().plain(rows).changes(changes).run(store).await;
    assert_eq!(events_of(store, "acme").await, [fresh(&b)]);
    let (_, seen) = Draft::new().plain(vec![a.clone()]).run(store).await;
    assert!(seen.duplicates.is_empty());
    assert_eq!(events_of(store, "acme").await, [fresh(&b), fresh(&a)]);
}

pub async fn refusing_a_duplicate_leaves_what_is_stored(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = event((no, "acme"), "a", 1, minute(1));
    Draft::new().plain(vec![row.clone()]).run(store).await;
    let new = event((no, "acme"), "b", 1, minute(1));
    let changes = Changes {
        refused: vec![(0, 0), (0, 2)],
        ..Changes::default()
    };
    let rows = vec![row.clone(), new.clone(), new.clone()];
    Draft::new().plain(rows).changes(changes).run(store).await;
    assert_eq!(events_of(store, "acme").await, [fresh(&row), fresh(&new)]);
}

pub async fn probes_find_what_is_stored_and_what_the_batch_inserts(store: &dyn Store) {
    let no = create(store, "acme").await;
    let stored = event((no, "acme"), "a", 1, minute(1));
    let plain = event((no, "acme"), "b", 2, minute(2));
    let absent = event((no, "acme"), "c", 3, minute(3));
    Draft::new().plain(vec![stored.clone()]).run(store).await;
    let (_, seen) = Draft::new()
        .plain(vec![plain.clone()])
        .probe(absent.key())
        .probe(plain.key())
        .probe(stored.voided(minute(4)).key())
        .probe(stored.key())
        .run(store)
        .await;
    let expected = [None, Some(fresh(&plain)), None, Some(fresh(&stored))];
    assert_eq!(seen.events, expected);
}

pub async fn changes_may_store_events(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = event((no, "acme"), "a", 1, minute(1)).with(&[("model", "x")]);
    let changes = Changes {
        events: vec![row.clone()],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    assert_eq!(events_of(store, "acme").await, [fresh(&row)]);
    let (_, seen) = Draft::new().plain(vec![row.clone()]).run(store).await;
    assert_eq!(seen.duplicates, [(0, 0, fresh(&row))]);
}

pub async fn a_refused_event_may_be_stored_by_changes(store: &dyn Store) {
    let no = create(store, "acme").await;
    let plain = event((no, "acme"), "a", 1, minute(1));
    let mut decided = plain.clone();
    decided.count_time = minute(9);
    decided.flags.reservation_closed = true;
    let changes = Changes {
        refused: vec![(0, 0)],
        events: vec![decided.clone()],
        ..Changes::default()
    };
    let draft = Draft::new().plain(vec![plain]).changes(changes);
    draft.run(store).await;
    assert_eq!(events_of(store, "acme").await, [fresh(&decided)]);
}

pub async fn an_event_in_changes_must_be_new(store: &dyn Store) {
    let no = create(store, "acme").await;
    let row = event((no, "acme"), "a", 1, minute(1));
    Draft::new().plain(vec![row.clone()]).run(store).await;
    let other = event((no, "acme"), "b", 1, minute(2));
    let changes = Changes {
        events: vec![other, row.clone()],
        ..Changes::default()
    };
    Draft::new().changes(changes).must_break(store).await;
    assert_eq!(events_of(store, "acme").await, [fresh(&row)]);
}
