//! Features that draw on a wallet: totals, cover and pools, over random histories of one account.

mod cover;
mod late;
mod property;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::{account_of, feature, start};
use crate::domain::catalog::parse_catalog;
use crate::domain::decision::Reason;
use crate::domain::id::{GrantId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::time::Span;
use crate::domain::usage::Labels;
use crate::domain::wallet::{
    About, Account as Place, Category, Cause, NewGrant, Posted, Source, UsageCharge, Wallet,
    WalletKey, audit,
};

const CATALOG: &str = r#"
default_plan = "mixed"
[credit_units.LUC]
per_dollar = 100
[meters.calls]
unit = "call"
aggregation = "sum"
[meters.tokens]
unit = "token"
aggregation = "sum"
[meters.pages]
unit = "page"
aggregation = "sum"
[features]
calls = { metered = { meter = "calls" } }
tokens = { metered = { meter = "tokens" } }
pages = { metered = { meter = "pages" } }
[plans.mixed]
[plans.mixed.entitlements]
calls = { wallet = { credit_unit = "LUC", from_first_unit = true, per_unit = "0.000001", per = 7 } }
tokens = { limits = [{ amount = 100, window = "month", on_limit = "allow" }], wallet = { credit_unit = "LUC", per_unit = "0.000003" } }
[plans.mixed.entitlements.pages.wallet]
credit_unit = "LUC"
from_first_unit = true
graduated = [{ up_to = 50, unit = "0.00001" }, { up_to = 90, unit = "0.000004" }, { unit = "0.000007" }]
"#;

const FEATURES: [&str; 3] = ["calls", "tokens", "pages"];

struct History {
    account: Account,
    now: Timestamp,
    made: usize,
    open: Vec<ReservationId>,
    ledger: Vec<Posted>,
    events: Vec<Event>,
    charges: Vec<(usize, UsageCharge, i64)>,
    used: [i64; 3],
    charged: [i64; 3],
}

/// What was recorded and not taken back.
struct Event {
    of: usize,
    units: i64,
    at: Timestamp,
    recorded: Timestamp,
    charge: Option<UsageCharge>,
}

fn key() -> WalletKey {
    WalletKey::own("LUC")
}

impl History {
    fn new() -> Self {
        let catalog = parse_catalog(CATALOG).unwrap_or_else(|faults| panic!("{faults:?}"));
        Self {
            account: account_of(&catalog, "mixed"),
            now: start(),
            made: 0,
            open: Vec::new(),
            ledger: Vec::new(),
            events: Vec::new(),
            charges: Vec::new(),
            used: [0; 3],
            charged: [0; 3],
        }
    }

    fn grant(&mut self, amount: i64) {
        self.grant_to(&key(), amount);
    }

    fn grant_to(&mut self, key: &WalletKey, amount: i64) {
        self.made += 1;
        let new = NewGrant {
            id: GrantId::new(format!("g{}", self.made)).unwrap(),
            amount,
            priority: 0,
            category: Category::Paid,
            source: Source::Manual,
            reference: "".into(),
            expire_time: None,
        };
        let book = &mut self.account.book;
        book.grant(key, new, About::default(), self.now).unwrap();
    }

    fn reserve(&mut self, items: &[(usize, i64, i64)]) -> Option<ReservationId> {
        self.reserve_for(None, items)
    }

    fn reserve_for(
        &mut self,
        agent: Option<&SubaccountId>,
        items: &[(usize, i64, i64)],
    ) -> Option<ReservationId> {
        self.made += 1;
        let item = |(of, quantity, min_quantity): &(usize, i64, i64)| ReserveItem {
            feature: feature(FEATURES[*of]),
            quantity: *quantity,
            min_quantity: *min_quantity,
            dimensions: Labels::new(),
        };
        let ask = ReserveAsk {
            id: ReservationId::new(format!("r{}", self.made)).unwrap(),
            subaccount: agent.cloned(),
            holder: "".into(),
            metadata: Labels::new(),
            expire_time: self.now.plus(Span::from_secs(60)),
            items: items.iter().map(item).collect(),
        };
        let effects = &mut Effects::default();
        let reserved = self.account.reserve(&ask, self.now, effects).unwrap();
        reserved.reservation.map(|made| made.id)
    }

    /// Records usage, under a reservation if one is named.
    fn record(&mut self, of: usize, units: i64, reservation: Option<&ReservationId>) -> i64 {
        self.record_at((of, units), self.now, None, reservation)
    }

    /// Records usage of another time, or of an agent; returns what is owed for it.
    fn record_at(
        &mut self,
        (of, units): (usize, i64),
        at: Timestamp,
        agent: Option<&SubaccountId>,
        reservation: Option<&ReservationId>,
    ) -> i64 {
        let (meter, dimensions) = (MeterId::new(FEATURES[of]).unwrap(), Labels::new());
        let usage = Counted {
            subaccount: agent,
            meter: &meter,
            dimensions: &dimensions,
            weighted: Milli::from_units(units).unwrap(),
            at,
        };
        let effects = &mut Effects::default();
        let (charge, _) = self
            .account
            .record(&usage, reservation, self.now, effects)
            .unwrap();
        self.used[of] += units;
        let owed = charge.as_ref().map_or(0, |charge| charge.owed);
        if let Some(charge) = &charge {
            self.charged[of] += charge.amount;
            self.charges.push((of, charge.clone(), units));
        }
        self.events.push(Event {
            of,
            units,
            at,
            recorded: self.now,
            charge,
        });
        owed
    }

    fn void(&mut self, which: usize) {
        if self.events.is_empty() {
            return;
        }
        let event = self.events.remove(which % self.events.len());
        let (meter, dimensions) = (MeterId::new(FEATURES[event.of]).unwrap(), Labels::new());
        let usage = Counted {
            subaccount: None,
            meter: &meter,
            dimensions: &dimensions,
            weighted: Milli::from_units(-event.units).unwrap(),
            at: event.at,
        };
        let effects = &mut Effects::default();
        let drawn = (event.charge.as_ref(), event.recorded);
        let void = self.account.take_back(&usage, drawn, self.now, effects);
        let amount = void.unwrap().map_or(0, |charge| charge.amount);
        self.charged[event.of] += amount;
        self.used[event.of] -= event.units;
    }

    fn consume(&mut self, of: usize, units: i64) -> i64 {
        let (feature, dimensions) = (feature(FEATURES[of]), Labels::new());
        let ask = Ask {
            feature: &feature,
            quantity: units,
            min_quantity: units,
            subaccount: None,
            dimensions: &dimensions,
            verbose: false,
        };
        let decision = self.account.check(&ask, self.now);
        if decision.allowed {
            return self.record(of, units, None);
        }
        let credits = decision.credits.unwrap();
        let reason = if credits.owed > 0 {
            Reason::WalletBlocked
        } else {
            Reason::CreditsInsufficient
        };
        assert_eq!(decision.reason, reason);
        assert!(credits.needed > 0, "{credits:?}");
        0
    }

    /// Uses what a reservation has left of an item; returns what is owed for that.
    fn use_up(&mut self, which: usize, item: usize, units: i64) -> i64 {
        if self.open.is_empty() {
            return 0;
        }
        let id = self.open[which % self.open.len()].clone();
        let Some(held) = self.account.open_reservation(&id, self.now) else {
            return 0;
        };
        let item = &held.items[item % held.items.len()];
        let units = units.min(item.hold.reserved().0 / 1000);
        let of = FEATURES.iter().position(|id| *id == item.feature.as_str());
        if units == 0 {
            return 0;
        }
        self.record(of.unwrap(), units, Some(&id))
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let changes = self.account.book.take_changes(self.now);
        self.ledger.extend(changes.posted);
        let empty = Wallet::new(key());
        let wallet = self.account.book.wallet(&key()).unwrap_or(&empty);
        prop_assert_eq!(audit(wallet, &self.ledger), []);
        // What usage drew is what its events say.
        let mut drawn: BTreeMap<&str, i64> = BTreeMap::new();
        for posted in &self.ledger {
            let of = posted.about.meter.as_ref().map_or("", MeterId::as_str);
            if matches!(posted.transaction.cause, Cause::Usage | Cause::Refund) {
                let to = posted.transaction.entries.iter();
                let revenue = to.filter(|entry| entry.account == Place::Revenue);
                *drawn.entry(of).or_default() += revenue.map(|entry| entry.amount).sum::<i64>();
            }
        }
        for (number, name) in FEATURES.iter().enumerate() {
            let sum = self.charged[number];
            prop_assert_eq!(drawn.get(name).copied().unwrap_or(0), sum, "{}", name);
            let draw = self.account.book.draw(&feature(name));
            prop_assert_eq!(draw.map_or(0, |draw| draw.amount), sum, "{}", name);
        }
        // Pledges are the fold of open reservations, and pools hold nothing without them.
        let reservations = self.account.reservations.values();
        prop_assert_eq!(
            &self.account.pledges,
            &super::super::pledges::Pledges::of(reservations)
        );
        if self.account.reservations.is_empty() {
            prop_assert_eq!(wallet.held(), 0);
        }
        Ok(())
    }

    fn charged_is_due(&self) -> Result<(), TestCaseError> {
        for (of, name) in FEATURES.iter().enumerate() {
            let due = self.price(of) - self.charged[of];
            // A fraction of a micro-unit that nothing could pay yet.
            prop_assert!((-1..=1).contains(&due), "{name}: {due}");
        }
        Ok(())
    }

    /// The price of all that was used and not taken back, by hand.
    fn price(&self, of: usize) -> i64 {
        let used = self.used[of];
        match of {
            // 100 LUC a dollar: 100 / 7 micro-units a call, rounded half to even.
            0 => (2 * used * 100 + 7) / 14,
            1 => (used - 100).max(0) * 300,
            _ => {
                let first = used.min(50) * 1_000;
                let second = (used.min(90) - 50).max(0) * 400;
                first + second + (used - 90).max(0) * 700
            }
        }
    }
}
