//! What the sandbox remembers: kept when it changes and only then, and honest when it cannot be.

use std::sync::Arc;

use bursar::clock::{Clock, ManualClock};
use bursar::domain::time::Timestamp;
use bursar::storage::sqlite::{Options, SqliteStore};
use bursar::stripe::gateway::{Cursor, Transport as _, TransportFault};
use bursar::stripe::wire::{Method, Request};

use super::Stage;
use crate::harness::{START, run};

async fn version(stage: &Stage) -> i64 {
    stage.engine.sandbox_memory().await.unwrap().version
}

#[test]
fn what_only_looks_is_not_kept() {
    run(async {
        let stage = Stage::new().await;
        let acme = stage.subscribe("acme").await;
        stage.pass(1).await;
        let before = version(&stage).await;
        for _ in 0..3 {
            stage.invoices(&acme).await;
            stage.gateway.list_meters(Cursor::FIRST).await.unwrap();
        }
        assert_eq!(version(&stage).await, before);
        // What became due meanwhile is, whoever looks.
        stage
            .inner
            .advance(bursar::domain::time::Span::from_days(32));
        assert!(stage.invoices(&acme).await.len() > 1);
        assert!(version(&stage).await > before);
    });
}

fn creation() -> Request {
    Request {
        method: Method::Post,
        path: "/v1/customers".to_owned(),
        query: String::new(),
        body: "name=Ann".to_owned(),
        idempotency_key: Some("once".to_owned()),
    }
}

#[test]
fn what_could_not_be_kept_may_have_happened_and_its_repeat_happens_once() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bursar.db");
        let (store, _) = SqliteStore::open(&file, Options::default()).unwrap();
        let inner = Arc::new(ManualClock::at(Timestamp::from_micros_clamped(START)));
        assert_eq!(inner.now().as_micros(), START);
        let stage = Stage::on(Arc::new(store), inner).await;
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let lost = stage.sandbox.send(&creation()).await.unwrap_err();
        assert!(matches!(lost, TransportFault::Unknown(_)), "{lost}");
        other.execute_batch("ROLLBACK").unwrap();
        for _ in 0..2 {
            let made = stage.sandbox.send(&creation()).await.unwrap();
            assert_eq!(made.status, 200);
        }
        let all = stage.gateway.list_customers(None, Cursor::FIRST).await;
        assert_eq!(all.unwrap().data.len(), 1);
    });
}
