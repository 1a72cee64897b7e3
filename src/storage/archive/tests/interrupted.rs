//! Half a copy: no server opens it, and the copy may be made again.

use super::super::{ArchiveError, Record, Scope, Sink, Source as _, Tally, Target};
use super::{Kind, Place, archive, reader, restore, rich};
use crate::storage::StoreError;

/// Passes on so many pieces, then fails.
struct Failing<'a> {
    target: &'a mut dyn Target,
    left: usize,
}

#[async_trait::async_trait(?Send)]
impl Sink for Failing<'_> {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        if self.left == 0 {
            return Err(ArchiveError::Damaged(
                "the end of the test's patience".to_owned(),
            ));
        }
        self.left -= 1;
        self.target.take(records).await
    }
}

#[tokio::test]
async fn half_a_copy_is_opened_by_no_server_and_may_be_made_again() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let original = Place::empty(Kind::Sqlite).await;
        rich::fill(&*original.open().await.unwrap()).await;
        let bytes = archive(&original).await;
        let place = Place::empty(kind).await;
        for pieces in [0, 3, 7] {
            let mut target = place.target().await.unwrap();
            let mut half = Failing {
                target: &mut *target,
                left: pieces,
            };
            let mut reader = reader(&bytes).unwrap();
            reader.send(&Scope::all(), &mut half).await.unwrap_err();
            // As when the process is killed: neither finished nor abandoned.
            drop(target);
            let Err(StoreError::Unavailable(why)) = place.open().await else {
                panic!("{kind:?}: half a copy was opened");
            };
            assert!(why.contains("run the same `bursar restore`"), "{why}");
        }
        restore(&bytes, &place).await.unwrap();
        place.open().await.unwrap();
        assert_eq!(place.tally().await, original.tally().await);
    }
}

#[tokio::test]
async fn nobody_opens_a_place_while_it_is_being_written() {
    let place = Place::empty(Kind::Sqlite).await;
    let target = place.target().await.unwrap();
    let Err(StoreError::Unavailable(why)) = place.open().await else {
        panic!("a server opened it");
    };
    assert!(why.contains("already open in another process"), "{why}");
    target.abandon().await;
    // A server that has it open keeps copies away.
    let store = place.open().await.unwrap();
    let refused = place.target().await.err().unwrap().to_string();
    assert!(
        refused.contains("already open in another process"),
        "{refused}"
    );
    drop(store);

    // Servers of PostgreSQL wait until the copy is there.
    let original = Place::empty(Kind::Postgres).await;
    rich::fill(&*original.open().await.unwrap()).await;
    let place = Place::empty(Kind::Postgres).await;
    let mut target = place.target().await.unwrap();
    let mut snapshot = original.snapshot().await;
    let write = async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        super::copy(&mut *snapshot, target, &mut |_, _, _| {})
            .await
            .unwrap();
    };
    let (opened, ()) = tokio::join!(place.open(), write);
    opened.unwrap();
    assert_eq!(place.tally().await, original.tally().await);

    // Two copies into one place: the second finds what the first brought.
    target = Place::empty(Kind::Postgres).await.target().await.unwrap();
    target.abandon().await;
    assert!(place.target().await.is_err());
    let mut tally = Tally::default();
    place
        .snapshot()
        .await
        .send(&Scope::all(), &mut tally)
        .await
        .unwrap();
    assert_eq!(tally, original.tally().await);
}
