//! What was copied is what there was, whatever it came from and went to; half a copy is none.

mod damage;
mod interrupted;
mod rich;

use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tempfile::TempDir;

use super::{
    ArchiveError, ArchiveReader, ArchiveWriter, Copied, Scope, Source, Tally, Target, copy, save,
};
use crate::storage::conformance::model::same_after_a_copy;
use crate::storage::postgres::cluster::Database;
use crate::storage::postgres::{self, PostgresSnapshot, PostgresStore, PostgresTarget};
use crate::storage::sqlite::{self, SqliteSnapshot, SqliteStore, SqliteTarget};
use crate::storage::{Store, StoreError};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// All ways from one to another.
const WAYS: [(Kind, Kind); 4] = [
    (Kind::Sqlite, Kind::Sqlite),
    (Kind::Sqlite, Kind::Postgres),
    (Kind::Postgres, Kind::Sqlite),
    (Kind::Postgres, Kind::Postgres),
];

/// A place for a database, where there is none yet.
enum Place {
    Sqlite(TempDir),
    Postgres(Database),
}

impl Place {
    async fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
            Kind::Postgres => Self::Postgres(Database::empty().await),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("bursar.db"),
            Self::Postgres(_) => panic!("a file is asked for"),
        }
    }

    /// Opens it as a server does.
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Sqlite(_) => {
                Box::new(SqliteStore::open(self.path(), sqlite::Options::default())?.0)
            }
            Self::Postgres(database) => {
                let options = postgres::Options::default();
                Box::new(PostgresStore::open(&database.url(), options).await?.0)
            }
        })
    }

    async fn snapshot(&self) -> Box<dyn Source> {
        match self {
            Self::Sqlite(_) => Box::new(SqliteSnapshot::open(&self.path()).unwrap()),
            Self::Postgres(database) => {
                Box::new(PostgresSnapshot::open(&database.url()).await.unwrap())
            }
        }
    }

    async fn target(&self) -> Result<Box<dyn Target>, ArchiveError> {
        Ok(match self {
            Self::Sqlite(_) => Box::new(SqliteTarget::create(&self.path())?),
            Self::Postgres(database) => Box::new(PostgresTarget::create(&database.url()).await?),
        })
    }

    /// Returns what a snapshot of it holds.
    async fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let mut snapshot = self.snapshot().await;
        snapshot.send(&Scope::all(), &mut tally).await.unwrap();
        tally
    }
}

/// What an archive was written to.
#[derive(Clone, Default)]
struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes an archive of a place.
async fn archive(place: &Place) -> Vec<u8> {
    let bytes = Bytes::default();
    let writer = ArchiveWriter::new(Path::new("test"), Box::new(bytes.clone()));
    let mut snapshot = place.snapshot().await;
    save(&mut *snapshot, writer, &mut |_, _, _| {})
        .await
        .unwrap();
    bytes.0.take()
}

fn reader(bytes: &[u8]) -> Result<ArchiveReader, ArchiveError> {
    ArchiveReader::open(Path::new("test"), Box::new(Cursor::new(bytes.to_vec())))
}

/// Copies an archive into a place.
async fn restore(bytes: &[u8], to: &Place) -> Result<Copied, ArchiveError> {
    let mut reader = reader(bytes)?;
    copy(&mut reader, to.target().await?, &mut |_, _, _| {}).await
}

/// Copies one place into another.
async fn transfer(from: &Place, to: &Place) -> Result<Copied, ArchiveError> {
    let mut snapshot = from.snapshot().await;
    copy(&mut *snapshot, to.target().await?, &mut |_, _, _| {}).await
}

/// Plays histories, each copied at half time while the original is open, and holds both copies equal from then on.
async fn histories(seeds: std::ops::Range<u64>) {
    for (at, seed) in seeds.enumerate() {
        let (from, to) = WAYS[at % WAYS.len()];
        let (from, to) = (Place::empty(from).await, Place::empty(to).await);
        let store = from.open().await.unwrap();
        let by_file = at < WAYS.len();
        same_after_a_copy(&*store, seed, async || {
            if by_file {
                restore(&archive(&from).await, &to).await.unwrap();
            } else {
                transfer(&from, &to).await.unwrap();
            }
            assert_eq!(from.tally().await, to.tally().await);
            to.open().await.unwrap()
        })
        .await;
    }
}

#[tokio::test]
async fn copies_of_random_histories_show_the_same_and_go_on_the_same() {
    histories(100..108).await;
}

#[tokio::test]
async fn copies_of_more_random_histories_go_on_the_same() {
    histories(200..208).await;
}

#[tokio::test]
async fn a_copy_is_a_new_life_of_the_database() {
    for (from, to) in WAYS {
        let (from, to) = (Place::empty(from).await, Place::empty(to).await);
        drop(from.open().await.unwrap());
        transfer(&from, &to).await.unwrap();
        let (first, second) = (from.snapshot().await, to.snapshot().await);
        let lives = [first.header(), second.header()].map(|header| &header.incarnation);
        assert_eq!(lives.map(String::len), [16, 16]);
        assert_ne!(lives[0], lives[1]);
        drop(second);
        to.open().await.unwrap();
        // The name stays when it is opened.
        assert_eq!(to.snapshot().await.header().incarnation.len(), 16);
    }
}

#[tokio::test]
async fn a_copy_goes_only_where_nothing_is() {
    for (from, to) in WAYS {
        let (from, to) = (Place::empty(from).await, Place::empty(to).await);
        for place in [&from, &to] {
            let store = place.open().await.unwrap();
            crate::storage::conformance::fixture::create(&*store, "acme").await;
        }
        let before = to.tally().await;
        let refused = transfer(&from, &to).await;
        assert!(
            matches!(refused, Err(ArchiveError::NotEmpty(_))),
            "{refused:?}"
        );
        assert_eq!(to.tally().await, before);
        to.open().await.unwrap();
    }
}
