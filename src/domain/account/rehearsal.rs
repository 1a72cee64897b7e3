//! What use would draw on a wallet, tried out on a copy by the functions that charge it. Nothing of the account changes.

use std::sync::Arc;

use super::credit::Drawing;
use super::draw::too_dear;
use super::{Account, AccountParts, Counted, Effects};
use crate::domain::catalog::{Catalog, FeatureKind, Interval, Plan};
use crate::domain::counter::Counter;
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, FeatureId, InvalidId, MeterId};
use crate::domain::quantity::{Excess, Milli, Overflow};
use crate::domain::rating::{Amount, Line, Money, Percent};
use crate::domain::rights::{Owner, Right, Rights, Tracked, needed};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::wallet::Book;
use crate::domain::window::Anchor;

/// A copy of what charges depend on, to be used up.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    account: Account,
    /// What open reservations have pledged: it counts as used before anything else is.
    pledged: Vec<(FeatureId, Milli)>,
    now: Timestamp,
}

/// What some use would draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldDraw {
    /// The feature that draws.
    pub feature: FeatureId,
    /// The part that is charged, with what it adds to what the feature draws in the billing period, in dollars.
    pub line: Line,
}

impl Account {
    /// Prepares to try out use at `now`.
    #[must_use]
    pub fn rehearse(&self, now: Timestamp) -> Rehearsal {
        let overdue = self.overdue(now);
        let open = self.pledges.iter();
        let pledged = open.map(|(feature, wallet, quantity)| {
            let over = overdue.pledged(feature, wallet);
            (feature.clone(), quantity.minus_saturating(over))
        });
        let parts = AccountParts {
            customer: self.customer.clone(),
            subscription: None,
            plan: None,
            anchor: self.anchor,
            overrides: Vec::new(),
            rights: Arc::clone(&self.rights),
            counters: self.counters.clone(),
            adjustments: self.adjustments.clone(),
            reservations: Vec::new(),
            allocations: Vec::new(),
            subaccounts: Vec::new(),
            // Who pays does not change what is charged, nor does what a wallet has.
            book: Book::restore(Vec::new(), self.book.draws().cloned().collect()),
        };
        Rehearsal {
            account: Account::new(parts, now),
            pledged: pledged.collect(),
            now,
        }
    }
}

impl Rehearsal {
    /// Prepares to try out use by someone who comes to a plan now.
    ///
    /// # Errors
    /// When the plan's id names no customer; ids have one alphabet.
    pub fn of_plan(catalog: &Catalog, plan: &Plan, now: Timestamp) -> Result<Self, InvalidId> {
        let needed = needed(Owner::Customer, catalog, Some(plan), &[]);
        let tracked: Tracked = needed.into_iter().map(Arc::new).collect();
        let anchor = Anchor {
            start: now,
            interval: Interval::Month,
        };
        let counters = tracked.iter();
        let counters = counters.map(|spec| Counter::empty(spec.window, anchor, now));
        let counters = counters.collect();
        let owner = Owner::Customer;
        let rights = Rights::compile(owner, catalog, Some(plan), &[], tracked, now);
        let customer = Customer {
            id: CustomerId::new(plan.id.as_str())?,
            display_name: Box::default(),
            email: Box::default(),
            metadata: Labels::new(),
            anchor: now,
            discount: Percent::ZERO,
            payer: None,
            create_time: now,
            update_time: now,
            delete_time: None,
        };
        let parts = AccountParts {
            customer,
            subscription: None,
            plan: None,
            anchor,
            overrides: Vec::new(),
            rights: Arc::new(rights),
            counters,
            adjustments: Vec::new(),
            reservations: Vec::new(),
            allocations: Vec::new(),
            subaccounts: Vec::new(),
            book: Book::default(),
        };
        Ok(Self {
            account: Account::new(parts, now),
            pledged: Vec::new(),
            now,
        })
    }

    /// Uses a weighted quantity and says what that draws; `None`: it draws on no wallet.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits, or an amount its own.
    pub fn draw(
        &mut self,
        meter: &MeterId,
        dimensions: &Labels,
        weighted: Milli,
    ) -> Result<Option<WouldDraw>, Excess> {
        let rights = Arc::clone(&self.account.rights);
        let Some(right) = rights.drawing(meter, dimensions) else {
            return Ok(None);
        };
        for (feature, quantity) in std::mem::take(&mut self.pledged) {
            self.use_pledged(rights.get(feature.as_str()), quantity)?;
        }
        let before = self.drawn(right)?;
        let charged = self.record(meter, dimensions, weighted)?;
        let amount = self.drawn(right)?.minus(before);
        let amount = amount.map_err(|Overflow| too_dear(None))?;
        Ok(Some(WouldDraw {
            feature: right.feature.id.clone(),
            line: Line::settled(charged, amount),
        }))
    }

    /// Uses what reservations of a feature have pledged.
    fn use_pledged(&mut self, right: Option<&Right>, quantity: Milli) -> Result<(), Excess> {
        let drawing = right.filter(|right| Drawing::of(right).is_some());
        if let Some(FeatureKind::Metered { meter, filter }) =
            drawing.map(|right| &right.feature.kind)
        {
            self.record(meter, &filter.0, quantity)?;
        }
        Ok(())
    }

    /// Records use now and returns how much of it is charged.
    fn record(
        &mut self,
        meter: &MeterId,
        dimensions: &Labels,
        weighted: Milli,
    ) -> Result<Milli, Excess> {
        let usage = Counted {
            subaccount: None,
            meter,
            dimensions,
            weighted,
            at: self.now,
        };
        let mut effects = Effects::default();
        let (charge, _) = self.account.record(&usage, None, self.now, &mut effects)?;
        Ok(charge.map_or(Milli::ZERO, |charge| charge.quantity))
    }

    /// Returns what a feature drew in the billing period, in dollars.
    fn drawn(&self, right: &Right) -> Result<Money, Excess> {
        let terms = Drawing::of(right);
        let feature = &right.feature.id;
        let draw = terms.map(|terms| self.account.running_draw(feature, terms.unit, self.now));
        let amount = Amount::from_micros(draw.map_or(0, |draw| draw.amount));
        let rate = right.unit.as_ref().map_or(1, |unit| unit.per_dollar);
        let dollars = amount.times(1, i128::from(rate)).and_then(Amount::round);
        dollars.map_err(|Overflow| too_dear(None))
    }
}
