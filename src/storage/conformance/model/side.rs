//! A store under random batches: gives it turns and writes down what it shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use super::decide::decide;
use super::turn::{Move, Sketch, Turn};
use super::{CUSTOMERS, anchor, event_id, feature};
use crate::domain::id::EventId;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::wallet::{Posted, Wallet, WalletKey, audit};
use crate::domain::window::TimeRange;
use crate::storage::conformance::fixture::purse::{charge, ledger_of};
use crate::storage::conformance::fixture::{
    all_events, answer, create_tracking, customer_id, event, mark, meter, spec, spec_where,
    subaccount_id,
};
use crate::storage::conformance::lists::read;
use crate::storage::{
    AccountRows, AuditQuery, Batch, BatchMark, CustomerNo, CustomerQuery, Denial, DenialQuery,
    EventKey, EventKind, EventRow, Fold, Found, LedgerQuery, Named, ReservationQuery, Store,
    StoreError, StoredEvent, UsageQuery,
};

const KEEP: Span = Span::from_days(40);

/// A store with the numbers that it gave.
pub(super) struct Side<'a> {
    store: &'a dyn Store,
    numbers: Vec<CustomerNo>,
    epoch: i64,
    batches: i64,
}

impl<'a> Side<'a> {
    pub(super) async fn open(store: &'a dyn Store) -> Self {
        let tracked = [spec("hour"), spec_where("lifetime", &[("model", "m1")])];
        let mut numbers = Vec::new();
        for id in CUSTOMERS {
            numbers.push(create_tracking(store, id, &tracked).await);
        }
        Self {
            store,
            numbers,
            epoch: mark(store).await.epoch,
            batches: 0,
        }
    }

    /// Goes on with a store that another one was copied to.
    pub(super) async fn reopen(store: &'a dyn Store, now: Timestamp) -> Self {
        let mut numbers = Vec::new();
        for id in CUSTOMERS {
            let account = store.account(&customer_id(id), now).await.unwrap();
            numbers.push(account.unwrap().no);
        }
        Self {
            store,
            numbers,
            epoch: mark(store).await.epoch,
            batches: 0,
        }
    }

    fn event(&self, sketch: &Sketch, now: Timestamp) -> EventRow {
        let customer = (self.numbers[sketch.customer], CUSTOMERS[sketch.customer]);
        let back = Span::from_minutes(u32::try_from(sketch.minutes_back).unwrap());
        let id = event_id(sketch.id);
        let mut row = event(customer, &id, sketch.quantity, now.minus(back)).received(now);
        if sketch.subaccount > 0 {
            row = row.of_subaccount(&format!("s{}", sketch.subaccount));
        }
        if sketch.calls {
            row = row.of_meter("calls");
        }
        let (model, user) = (
            format!("m{}", sketch.dimensions % 2),
            format!("u{}", sketch.id),
        );
        if sketch.calls && sketch.quantity > 20 {
            row.charge = Some(charge(sketch.quantity));
        }
        match sketch.dimensions {
            0 => row,
            1 | 2 => row.with(&[("model", &model)]),
            _more => row.with(&[("model", &model), ("user", &user)]),
        }
    }

    /// Commits a turn and writes down what was found and what became of it.
    pub(super) async fn play(&mut self, turn: &Turn, now: Timestamp) -> String {
        self.batches += 1;
        let mut said = String::new();
        if turn.trims {
            while self.store.trim(now, KEEP).await.unwrap() {}
        }
        let plain: Vec<Arc<Vec<EventRow>>> = turn
            .plain
            .iter()
            .map(|chunk| Arc::new(chunk.iter().map(|one| self.event(one, now)).collect()))
            .collect();
        let probe_events = turn.voids.iter().map(|(customer, id)| EventKey {
            customer: self.numbers[*customer],
            event: EventId::new(event_id(*id)).unwrap(),
            kind: EventKind::Usage,
        });
        let fold = |spec, index: usize| Fold {
            customer: self.numbers[index],
            subaccount: (index == 1).then(|| subaccount_id("s1")),
            spec,
            anchor: anchor(),
            since: now.minus(Span::from_hours(5)),
        };
        let found = Arc::new(Mutex::new(String::new()));
        let (write, decided) = (Arc::clone(&found), turn.clone());
        let batch = Batch {
            mark: BatchMark {
                epoch: self.epoch,
                number: self.batches,
            },
            now,
            plain,
            probe_events: probe_events.collect(),
            probe_requests: (0..40).map(|n| answer(&format!("r{n}"), "").key).collect(),
            probe_billing: Vec::new(),
            catalog: 0,
            changes_catalog: false,
            customers: CUSTOMERS
                .iter()
                .map(|id| Named {
                    id: customer_id(id),
                    version: 0,
                })
                .collect(),
            folds: vec![
                fold(spec("day"), 0),
                fold(spec("5h"), 1),
                fold(spec_where("lifetime", &[("model", "m1")]), 2),
            ],
            decide: Box::new(move |found| {
                write.lock().unwrap().push_str(&describe(found));
                decide(&decided, found, now)
            }),
        };
        let outcome = match self.store.commit(batch).await {
            Ok(committed) => format!("{} {}", committed.repeated, committed.created.len()),
            Err(StoreError::Constraint(_)) => String::from("constraint"),
            Err(other) => panic!("{other}"),
        };
        writeln!(said, "{}{outcome}", found.lock().unwrap()).unwrap();
        self.store.log_denials(denials(turn, now)).await.unwrap();
        said
    }

    /// Writes down the ledgers of a customer's wallets, which must be sound, and the holds that they tell of.
    async fn show_credits(&self, id: &str, wallets: &[Wallet]) -> String {
        let mut said = String::new();
        let mut holds = BTreeSet::new();
        for wallet in wallets {
            let rising = ledger(self.store, id, wallet.key(), true).await;
            let mut falling = ledger(self.store, id, wallet.key(), false).await;
            falling.reverse();
            assert_eq!(rising, falling);
            assert_eq!(audit(wallet, &rising), []);
            holds.extend(rising.iter().filter_map(|posted| posted.about.hold.clone()));
            writeln!(said, "ledger {rising:#?}").unwrap();
        }
        for hold in holds {
            let found = self.store.hold(&customer_id(id), &hold).await.unwrap();
            writeln!(said, "hold {hold} {found:?}").unwrap();
        }
        said
    }

    /// Writes down everything that can be asked.
    pub(super) async fn show(&self, now: Timestamp) -> String {
        let mut said = String::new();
        for id in CUSTOMERS {
            let account = self.store.account(&customer_id(id), now).await.unwrap();
            said.push_str(&describe_account(account.as_ref()));
            let page = self.store.events(all_events(id)).await.unwrap();
            let events: Vec<_> = page.items.iter().map(numberless).collect();
            writeln!(said, "events {events:#?}").unwrap();
            for group in [vec![], vec![Box::from("model")], vec![Box::from("user")]] {
                let rows = self.store.usage(usage_of(id, group, now)).await.unwrap();
                writeln!(said, "usage {rows:#?}").unwrap();
            }
            let query = ReservationQuery {
                customer: customer_id(id),
                id: None,
                subaccount: None,
                state: None,
                holder: None,
                after: None,
                limit: 1_000,
            };
            let page = self.store.reservations(query).await.unwrap();
            writeln!(said, "reservations {:#?}", page.items).unwrap();
            let wallets = account.map(|rows| rows.wallets).unwrap_or_default();
            said.push_str(&self.show_credits(id, &wallets).await);
            let query = DenialQuery {
                customer: customer_id(id),
                feature: None,
                reason: None,
                range: TimeRange::ALWAYS,
                after: None,
                limit: 1_000,
            };
            let page = self.store.denials(query).await.unwrap();
            writeln!(said, "denials {:#?}", page.items).unwrap();
        }
        let query = AuditQuery {
            customer: None,
            after: None,
            limit: 10,
        };
        let mut found = self.store.audit(query).await.unwrap().mismatches;
        found.sort_by_key(|row| {
            let owner = (row.customer.clone(), row.subaccount.clone());
            (owner, row.spec.clone(), row.start)
        });
        writeln!(said, "audit {found:#?}").unwrap();
        let mut overdue = self.store.overdue(now, 100).await.unwrap();
        overdue.sort();
        writeln!(said, "overdue {overdue:?}").unwrap();
        let query = CustomerQuery {
            limit: 100,
            ..CustomerQuery::default()
        };
        let page = self.store.customers(query).await.unwrap();
        writeln!(said, "customers {:#?}", page.items).unwrap();
        said
    }
}

/// Reads a ledger in one direction.
async fn ledger(
    store: &dyn Store,
    customer: &str,
    key: &WalletKey,
    is_rising: bool,
) -> Vec<Posted> {
    read(7, async |after| {
        let query = LedgerQuery {
            is_rising,
            after,
            limit: 7,
            ..ledger_of(customer, key.clone())
        };
        store.ledger(query).await.unwrap()
    })
    .await
}

/// Asks for three days, in steps that cut hours.
fn usage_of(customer: &str, group_by: Vec<Box<str>>, now: Timestamp) -> UsageQuery {
    let mut unique = meter();
    unique.unique_by = Some(Box::from("user"));
    let step = |index: u32| TimeRange {
        start: now.minus(Span::from_minutes(4_000 - index * 1_333)),
        end: now.minus(Span::from_minutes(4_000 - (index + 1) * 1_333)),
    };
    UsageQuery {
        customer: customer_id(customer),
        subaccount: None,
        meter: Arc::new(unique),
        steps: (0..3).map(step).collect(),
        group_by,
        filter: Labels::new(),
    }
}

/// Returns what a turn adds to the denial log.
fn denials(turn: &Turn, now: Timestamp) -> Vec<Denial> {
    let denied = turn.moves.iter().filter_map(|(customer, one)| match one {
        Move::Deny(reason) => Some(Denial {
            customer: customer_id(CUSTOMERS[*customer]),
            feature: feature(),
            reason: Box::from(format!("R{reason}")),
            minute: Timestamp::from_micros_clamped(now.as_micros() / 60_000_000 * 60_000_000),
            count: 3,
            sample: Box::from(format!("at {now}")),
        }),
        Move::Reserve(..)
        | Move::End(_)
        | Move::Allocate(_)
        | Move::Free(_)
        | Move::Override(_)
        | Move::Unoverride(_)
        | Move::Adjust(_)
        | Move::Subaccount(_)
        | Move::Rename(_)
        | Move::Answer(_)
        | Move::Plant(_)
        | Move::Overflow => None,
    });
    denied.collect()
}

fn numberless(stored: &StoredEvent) -> StoredEvent {
    let mut stored = stored.clone();
    stored.row.customer = 0;
    stored
}

fn describe(found: &Found<'_>) -> String {
    let mut said = String::new();
    let mut duplicates: Vec<_> = found.duplicates.iter().collect();
    duplicates.sort_by_key(|one| (one.chunk, one.index));
    for one in duplicates {
        let stored = numberless(&one.stored);
        writeln!(said, "duplicate {} {} {stored:?}", one.chunk, one.index).unwrap();
    }
    let events: Vec<_> = found
        .events
        .iter()
        .map(|one| one.as_ref().map(numberless))
        .collect();
    writeln!(
        said,
        "{events:#?}\n{:?}\n{:#?}",
        found.requests, found.folds
    )
    .unwrap();
    for account in &found.accounts {
        said.push_str(&describe_account(account.rows()));
    }
    said
}

/// Writes down an account, in an order of its own.
fn describe_account(account: Option<&AccountRows>) -> String {
    let Some(account) = account else {
        return String::from("none\n");
    };
    let mut rows = account.clone();
    rows.no = 0;
    rows.version = 0;
    rows.tracked.sort();
    rows.counters
        .sort_by_key(|row| (row.subaccount.clone(), row.spec.clone(), row.start));
    rows.overrides
        .sort_by_key(|row| (row.feature.clone(), row.subaccount.clone()));
    rows.reservations.sort_by_key(|row| row.id.clone());
    rows.allocations
        .sort_by_key(|row| (row.feature.clone(), row.id.clone()));
    rows.subaccounts
        .sort_by_key(|row| row.subaccount.id.clone());
    rows.wallets.sort_by_key(|wallet| wallet.key().clone());
    format!("{rows:#?}\n")
}
