//! Audits find planted differences, and rebuilds put them right.

use std::sync::Arc;

use super::setting::{Setting, customer, subaccount};
use super::usage::setting;
use crate::domain::counter::Ring;
use crate::domain::quantity::Milli;
use crate::domain::time::Span;
use crate::domain::window::Window;
use crate::storage::conformance::fixture::Draft;
use crate::storage::{AuditQuery, Changes, CounterSet, Store, Use};

fn query() -> AuditQuery {
    AuditQuery {
        customer: Some(customer("acme")),
        after: None,
        limit: 10,
    }
}

impl Setting {
    /// Writes wrong numbers behind the engine's back.
    async fn plant(&self) -> usize {
        let now = self.engine.now();
        let rows = self.store.account(&customer("acme"), now).await.unwrap();
        let mut counters = Vec::new();
        for mut row in rows.unwrap().counters {
            row.used = match row.used {
                Use::Fixed(used) => Use::Fixed(Milli(used.0 + 9_000)),
                Use::Rolling(Ring(mut ring)) => {
                    for entry in &mut ring {
                        entry.1.0 -= 500;
                    }
                    Use::Rolling(Ring(ring))
                }
            };
            row.reserved = Milli(row.reserved.0 + 4_000);
            counters.push(row.clone());
            // A window that is over, and in which nothing was used.
            if row.spec.window == Window::Day {
                row.end = row.start;
                row.start = row.start.minus(Span::from_days(1));
                counters.push(row);
            }
        }
        let planted = counters.len();
        let set = |row| CounterSet {
            customer: customer("acme"),
            row,
        };
        let changes = Changes {
            counters: counters.into_iter().map(set).collect(),
            ..Changes::default()
        };
        let draft = Draft::new().at(now).changes(changes);
        draft.run(&*self.store).await;
        self.engine.forget_all();
        planted
    }
}

#[tokio::test]
async fn a_rebuild_puts_planted_differences_right() {
    let setting = setting().await;
    for minutes in [0, 100, 5_000] {
        setting
            .used_ago(40, Span::from_minutes(minutes), None)
            .await;
        let bot = Some("bot");
        setting.used_ago(30, Span::from_minutes(minutes), bot).await;
    }
    setting.reserve("tokens", 50, Some("bot")).await;
    let before = setting.counted().await;
    let planted = setting.plant().await;
    assert!(planted > 7, "{planted}");
    let page = setting.engine.audit(query()).await.unwrap();
    assert_eq!(page.mismatches.len(), planted);
    let rebuilt = setting
        .engine
        .rebuild("t", setting.fresh(), customer("acme"));
    let rebuilt = rebuilt.await.unwrap();
    assert_eq!(rebuilt.corrections, page.mismatches);
    assert!(rebuilt.counters >= planted, "{rebuilt:?}");
    assert_eq!(setting.counted().await, before);
    setting.counters_are_right().await;
    let again = setting
        .engine
        .rebuild("t", setting.fresh(), customer("acme"));
    assert_eq!(again.await.unwrap().corrections, []);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_rebuild_sees_what_memory_alone_holds_wrong() {
    let setting = setting().await;
    setting.used(40).await;
    let cell = setting.engine.shared.accounts.get("acme").unwrap();
    if let Some(account) = cell.lock().account.as_mut() {
        account.counters[0].reserved = Milli(7);
    }
    drop(cell);
    let request = setting.fresh();
    let rebuilt = setting.engine.rebuild("t", request, customer("acme"));
    let corrections = rebuilt.await.unwrap().corrections;
    assert_eq!(corrections.len(), 1);
    let (held, expected) = (corrections[0].reserved, corrections[0].reserved_expected);
    assert_eq!((held, expected), (Milli(7), Milli::ZERO));
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_rebuild_ends_what_is_overdue_once() {
    let setting = setting().await;
    // Held in the hour that is over by the time of the rebuild.
    let large = crate::engine::ReserveCall {
        customer: customer("acme"),
        subaccount: Some(subaccount("bot")),
        items: vec![(
            super::setting::feature("large"),
            20,
            20,
            super::setting::labels(&[("model", "large")]),
        )],
        ttl: Span::from_hours(2),
        holder: Box::default(),
        metadata: super::setting::labels(&[]),
        verbose: false,
    };
    let made = setting.engine.reserve("t", setting.fresh(), large).await;
    assert!(made.unwrap().reservation.is_some());
    setting.pass(0, 5);
    let request = setting.fresh();
    let rebuilt = setting.engine.rebuild("t", request, customer("acme"));
    assert_eq!(rebuilt.await.unwrap().corrections, []);
    setting.counters_are_right().await;
    let store: Arc<dyn Store> = setting.store.clone();
    let overdue = store.overdue(setting.engine.now(), 10).await.unwrap();
    assert_eq!(overdue, []);
}
