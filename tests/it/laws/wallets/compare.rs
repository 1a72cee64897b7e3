//! What is stored beside what the model holds, and the laws that bind what is stored.

use std::collections::BTreeMap;

use bursar::domain::quantity::Milli;
use bursar::domain::usage::Labels;
use bursar::domain::wallet::{Account, Cause, LateKey, Posted};
use bursar::domain::window::{TimeRange, Window};
use bursar::engine::WalletView;
use bursar::storage::{AuditQuery, EventKind, EventQuery, LedgerQuery, StoredEvent};

use super::super::backends::Backend;
use super::market::{FEATURES, INCLUDED, period_start};
use super::model::Model;
use super::purse::Totals;
use super::system::{System, at, customer, key, owner};
use super::usage::Customer;

/// More than a history has.
const ALL: usize = 1_000;

impl<B: Backend> System<B> {
    pub fn views(&self, who: usize) -> Vec<WalletView> {
        let engine = self.engine();
        let list = async { engine.list_wallets(&customer(who), None, 10).await };
        self.runtime.block_on(list).unwrap().items
    }

    fn events(&self, who: usize) -> Vec<StoredEvent> {
        let query = EventQuery {
            customer: customer(who),
            subaccount: None,
            meter: None,
            range: TimeRange::ALWAYS,
            dimensions: Labels::new(),
            ids: Vec::new(),
            reservation: None,
            standing: false,
            after: None,
            limit: ALL,
        };
        let engine = self.engine();
        let stored = self.runtime.block_on(engine.store().events(query));
        stored.unwrap().items
    }

    fn ledger(&self, who: usize, owner: usize) -> Vec<Posted> {
        let query = LedgerQuery {
            customer: customer(who),
            wallet: key(owner),
            range: TimeRange::ALWAYS,
            cause: None,
            hold: None,
            grant: None,
            is_rising: true,
            after: None,
            limit: ALL,
        };
        let engine = self.engine();
        self.runtime.block_on(engine.ledger(query)).unwrap().items
    }

    /// All that a refusal or a repeat must leave as it is.
    pub fn snapshot(&self, who: usize) -> String {
        let engine = self.engine();
        let now = engine.now();
        let rows = self
            .runtime
            .block_on(engine.store().account(&customer(who), now));
        let rows = rows.unwrap().expect("a known customer");
        let counters = rows.counters.iter().map(|counter| counter.reserved.0);
        let counters: i64 = counters.sum();
        let events = self.events(who).len();
        format!(
            "{:?} {:?} {:?} {counters} {events}",
            rows.wallets, rows.draws, rows.reservations
        )
    }

    pub fn compare(&self, who: usize, model: &Model) {
        let held = &model.customers[who];
        let engine = self.engine();
        let (ledgers, counters) = self.runtime.block_on(async {
            let query = AuditQuery {
                customer: Some(customer(who)),
                after: None,
                limit: 100,
            };
            let counters = engine.store().audit(query).await.unwrap().mismatches;
            let ledgers = engine.audit_ledgers(Some(customer(who)), None, 10).await;
            (ledgers.unwrap().findings, counters)
        });
        assert_eq!(ledgers, [], "L4");
        assert_eq!(counters, [], "L2");
        self.compare_wallets(who, held, model.now);
        let events = self.events(who);
        compare_charges(&events, held);
        self.compare_draws(who, held, model.now);
        for owner in 0..held.vault.purses.len() {
            compare_ledger(&self.ledger(who, owner), owner, held);
        }
        self.compare_usage(who, &events, held);
    }

    fn compare_wallets(&self, who: usize, held: &Customer, now: i64) {
        let views = self.views(who);
        for owner in 0..held.vault.purses.len() {
            let view = views.iter().find(|view| view.key == key(owner));
            let spendable = held.vault.available(owner, now) + held.vault.overdue(owner, now);
            let expected = (held.balance(owner), spendable);
            let Some(view) = view else {
                assert_eq!(expected, ((0, 0, 0), 0), "wallet {owner}");
                assert!(held.vault.purses[owner].cap.is_none(), "cap of {owner}");
                continue;
            };
            let balance = view.balance;
            let balance = (balance.available, balance.held, balance.receivable);
            assert_eq!((balance, view.spendable), expected, "wallet {owner}");
            let cap = view.terms.cap.as_ref();
            let cap = cap.map(|cap| (cap.amount, cap.spent(at(now))));
            let expected = held.vault.purses[owner].cap.as_ref();
            let expected = expected.map(|cap| (cap.amount, cap.spent(now)));
            assert_eq!(cap, expected, "cap of {owner}");
            let (pools, holds): (Vec<_>, Vec<_>) =
                view.holds.iter().partition(|(_, hold)| hold.is_pool);
            let named = |id| self.named[who].holds.iter().position(|known| known == id);
            let holds: BTreeMap<usize, i64> = holds
                .iter()
                .map(|(id, hold)| (named(id).expect("a hold of ours"), hold.held()))
                .collect();
            let open = held.vault.holds.iter().enumerate();
            let open = open.filter(|(_, hold)| hold.payer == owner && hold.ended.is_none());
            let open: BTreeMap<usize, i64> =
                open.map(|(number, hold)| (number, hold.left())).collect();
            assert_eq!(holds, open, "holds of {owner}");
            for (feature, name) in FEATURES.iter().enumerate() {
                let pool = pools.iter().find(|(id, _)| id.as_str() == *name);
                let pool = pool.map_or(0, |(_, hold)| hold.held());
                let purse = &held.vault.purses[owner];
                assert_eq!(pool, purse.pool(feature), "pool of {name}");
            }
        }
    }

    /// Where prices stand is the fold of charges.
    fn compare_draws(&self, who: usize, held: &Customer, model_now: i64) {
        let engine = self.engine();
        let now = engine.now();
        let rows = self
            .runtime
            .block_on(engine.store().account(&customer(who), now));
        let draws = rows.unwrap().expect("a known customer").draws;
        for (feature, name) in FEATURES.iter().enumerate() {
            let mut of = draws.iter().filter(|draw| draw.feature.as_str() == *name);
            let stored = of.rfind(|draw| draw.period.contains(now));
            let key = LateKey::of_window(at(period_start(model_now)));
            let stored = stored.map_or((Milli::ZERO, Milli::ZERO, 0, Milli::ZERO), |draw| {
                let late = draw.late(Window::BillingPeriod, key);
                (draw.base, draw.quantity, draw.amount, late)
            });
            let draw = held.draw(feature, model_now);
            let late = held.late(feature, model_now);
            let units = |units: i64| Milli(1000 * units);
            let expected = (
                units(draw.base),
                units(draw.quantity),
                draw.amount,
                units(late),
            );
            assert_eq!(stored, expected, "where the price of {name} stands");
        }
    }

    /// What events were charged, the ledgers moved for usage, meter by meter.
    fn compare_usage(&self, who: usize, events: &[StoredEvent], held: &Customer) {
        let mut charged = BTreeMap::new();
        for stored in events {
            if let Some(charge) = &stored.row.charge {
                let place = (stored.row.event.meter_id.clone(), charge.wallet.clone());
                *charged.entry(place).or_insert(0) += charge.amount;
            }
        }
        let mut moved = BTreeMap::new();
        for owner in 0..held.vault.purses.len() {
            for posted in self.ledger(who, owner) {
                if !matches!(posted.transaction.cause, Cause::Usage | Cause::Refund) {
                    continue;
                }
                let meter = posted.about.meter.clone().expect("usage of a meter");
                let to = posted.transaction.entries.iter();
                let revenue = to.filter(|entry| entry.account == Account::Revenue);
                let sum: i64 = revenue.map(|entry| entry.amount).sum();
                *moved.entry((meter, posted.wallet)).or_insert(0) += sum;
            }
        }
        charged.retain(|_, sum| *sum != 0);
        moved.retain(|_, sum| *sum != 0);
        assert_eq!(charged, moved, "what events were charged");
    }
}

/// L1 and L11: what is stored is what was sent, and each of its units is included or was charged, never both.
fn compare_charges(events: &[StoredEvent], held: &Customer) {
    let name = |id: usize| format!("e{id}");
    let mut expected = BTreeMap::new();
    for (id, stored) in &held.events {
        expected.insert(
            (name(*id), true),
            (stored.sent.quantity, stored, stored.charge),
        );
        if stored.is_void {
            let back = (-stored.sent.quantity, stored, stored.uncharge);
            expected.insert((name(*id), false), back);
        }
    }
    let units = |units: i64| Milli(1000 * units);
    // Units of tokens that came free, by the period that includes them.
    let mut included: BTreeMap<i64, i64> = BTreeMap::new();
    for stored in events {
        let row = &stored.row;
        let is_usage = row.kind == EventKind::Usage;
        let place = (row.event.event_id.to_string(), is_usage);
        let (quantity, known, drawn) = expected.remove(&place).expect("an event that was sent");
        let told = (row.weighted, row.count_time);
        assert_eq!(told, (units(quantity), at(known.count_time)), "{place:?}");
        if is_usage {
            assert_eq!(row.record_time, at(known.record_time), "{place:?}");
        }
        let charge = row.charge.as_deref();
        let told = charge.map(|charge| {
            assert_eq!(charge.feature.as_str(), row.event.meter_id.as_str());
            let paid = (charge.quantity, charge.amount, charge.owed);
            (owner(&charge.wallet), paid)
        });
        let drawn = drawn.map(|charge| {
            let paid = (units(charge.quantity), charge.amount, charge.owed);
            (charge.wallet, paid)
        });
        assert_eq!(told, drawn, "{place:?}");
        let charged = charge.map_or(0, |charge| charge.quantity.0);
        let free = (row.weighted.0 - charged) * quantity.signum();
        assert!((0..=row.weighted.0.abs()).contains(&free), "L11: {place:?}");
        match known.takes_included() {
            Some(period) => *included.entry(period).or_default() += free * quantity.signum(),
            None => assert_eq!(free, 0, "L11: nothing of it is included: {place:?}"),
        }
    }
    assert_eq!(expected.len(), 0, "L1: every event is stored");
    let most = units(INCLUDED).0;
    let is_kept = included.values().all(|free| (0..=most).contains(free));
    assert!(is_kept, "L11: no unit is included twice: {included:?}");
}

/// L4: every transaction sums to zero, a hold resolves once, and no credit is lost or made.
fn compare_ledger(ledger: &[Posted], owner: usize, held: &Customer) {
    let mut totals = Totals::default();
    let (mut available, mut set_aside, mut owed) = (0, 0, 0);
    let mut funded = 0;
    for posted in ledger {
        assert_eq!(posted.transaction.sum(), 0, "L4: {posted:?}");
        for entry in &posted.transaction.entries {
            match entry.account {
                Account::Available(_) => available += entry.amount,
                Account::Held(_) => set_aside += entry.amount,
                Account::Revenue => totals.revenue += entry.amount,
                Account::Expired => totals.expired += entry.amount,
                Account::Receivable => owed -= entry.amount,
                Account::Transfers => totals.sent += entry.amount,
                Account::Funding(_) if posted.transaction.cause == Cause::Clawback => {
                    totals.returned += entry.amount;
                    funded -= entry.amount;
                }
                Account::Funding(_) => {
                    totals.granted -= entry.amount;
                    funded -= entry.amount;
                }
            }
        }
    }
    assert_eq!(
        totals, held.vault.purses[owner].totals,
        "where credits went"
    );
    assert_eq!(
        (available, set_aside, owed),
        held.balance(owner),
        "the fold"
    );
    let kept = available + set_aside - owed + totals.revenue + totals.expired + totals.sent;
    assert_eq!(funded, kept, "no credit is lost or made");
    for (id, entries) in by_hold(ledger) {
        let made = entries.iter().filter(|held| held.0 == Cause::Hold).count();
        assert_eq!(made, 1, "{id} is made once");
        let mut left = 0;
        let ends = entries.iter().filter(|(_, amount)| {
            left += amount;
            left == 0
        });
        assert!(ends.count() <= 1, "{id} resolves once");
    }
}

/// What holds had set aside, one transaction after the other; pools apart.
fn by_hold(ledger: &[Posted]) -> BTreeMap<String, Vec<(Cause, i64)>> {
    let mut holds: BTreeMap<String, Vec<(Cause, i64)>> = BTreeMap::new();
    for posted in ledger {
        if let Some(id) = &posted.about.hold {
            let held = posted.transaction.entries.iter();
            let held = held.filter(|entry| matches!(entry.account, Account::Held(_)));
            let sum = held.map(|entry| entry.amount).sum();
            let of = holds.entry(id.to_string()).or_default();
            of.push((posted.transaction.cause, sum));
        }
    }
    holds
}
