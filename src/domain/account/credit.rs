//! Features that draw on a wallet: what use costs, what reservations have pledged, and whether credits cover more.
//!
//! What the open reservations of one feature may come to draw is pledged: their units, priced as if all were used now.
//! Credits for that lie in one pool per feature and wallet. So whoever of them uses first, the pool covers all.

use super::{Account, Ask, Overdue};
use crate::domain::catalog::{Charge, CreditUnit, EntitlementSpec, MeteredSpec, Pricing};
use crate::domain::decision::{CreditStatus, Decision, Reason};
use crate::domain::id::{FeatureId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::rights::Right;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Refusal, Wallet, WalletKey};
use crate::domain::window::{TimeRange, Window};

/// The terms under which a feature draws on a wallet.
#[derive(Clone, Copy)]
pub(super) struct Drawing<'a> {
    pub(super) right: &'a Right,
    pub(super) metered: &'a MeteredSpec,
    pub(super) unit: &'a str,
    pub(super) from_first_unit: bool,
    pub(super) pricing: &'a Pricing,
}

/// What items of a reservation will pledge that is being decided.
#[derive(Default)]
pub(super) struct Pending {
    items: Vec<Pledged>,
}

/// What one item will pledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pledged {
    pub(super) feature: FeatureId,
    pub(super) wallet: WalletKey,
    pub(super) quantity: Milli,
    /// What counts under caps.
    pub(super) cost: i64,
    /// What the pool lacks for it.
    pub(super) extra: i64,
}

impl Pending {
    pub(super) fn push(&mut self, pledged: Pledged) {
        self.items.push(pledged);
    }

    fn quantity(&self, feature: &FeatureId, wallet: &WalletKey) -> Milli {
        let same = self.items.iter();
        same.filter(|item| item.feature == *feature && item.wallet == *wallet)
            .fold(Milli::ZERO, |sum, item| sum.plus_saturating(item.quantity))
    }

    fn sum(&self, wallet: &WalletKey, of: fn(&Pledged) -> i64) -> i64 {
        let same = self.items.iter().filter(|item| item.wallet == *wallet);
        same.fold(0, |sum, item| sum.saturating_add(of(item)))
    }
}

/// What an ask would draw, and from where.
struct Quote {
    wallet: WalletKey,
    cost: i64,
    extra: i64,
}

impl<'a> Drawing<'a> {
    /// Returns how much the wallet may owe before more is refused.
    pub(super) fn owed_max(&self) -> i64 {
        self.right.unit.as_ref().map_or(0, CreditUnit::owed_max)
    }

    pub(super) fn of(right: &'a Right) -> Option<Self> {
        let EntitlementSpec::Metered(metered) = &right.spec else {
            return None;
        };
        match &metered.charge {
            Some(Charge::Wallet {
                credit_unit,
                from_first_unit,
                pricing,
            }) => Some(Self {
                right,
                metered,
                unit: credit_unit,
                from_first_unit: *from_first_unit,
                pricing,
            }),
            Some(Charge::Overage(_)) | None => None,
        }
    }
}

impl Account {
    /// Returns the billing period that holds `now`.
    #[must_use]
    pub fn billing_period(&self, now: Timestamp) -> TimeRange {
        Window::BillingPeriod.range(self.anchor, now)
    }

    /// Returns what open reservations have pledged of a feature in other wallets.
    pub(super) fn pledged_by_others(&self, feature: &FeatureId, wallet: &WalletKey) -> Milli {
        let others = self.pledges.wallets(feature).filter(|of| of.0 != wallet);
        others.fold(Milli::ZERO, |sum, of| sum.plus_saturating(of.1))
    }

    /// Returns what lies in the pool of a feature.
    pub(super) fn pool(&self, feature: &FeatureId, wallet: &WalletKey) -> i64 {
        let pool = pool_id(feature);
        let wallet = self.book.wallet(wallet);
        let hold = wallet
            .zip(pool)
            .and_then(|(wallet, id)| wallet.hold_of(&id));
        hold.map_or(0, crate::domain::wallet::Hold::held)
    }

    /// Looks whether credits cover what is asked for, or as much of it as will do.
    pub(super) fn ask_credits(
        &self,
        right: &Right,
        ask: &Ask<'_>,
        (overdue, pending): (&Overdue, &Pending),
        now: Timestamp,
        decision: &mut Decision,
    ) {
        let Some(terms) = Drawing::of(right) else {
            return;
        };
        let quote = |units: i64| {
            let ask = &Ask {
                quantity: units,
                ..*ask
            };
            self.quote(&terms, ask, (overdue, pending), now)
        };
        let wanted = quote(decision.granted);
        let wallet = self.book.wallet(&wanted.wallet);
        let status = self.status(&terms, ask.subaccount, &wanted, pending, now);
        decision.credits = Some(Box::new(status));
        let covers = |quote: &Quote| self.covers(&terms, ask.subaccount, quote, pending, now);
        let Err(refusal) = covers(&wanted) else {
            return;
        };
        let owes = wallet.is_some_and(|wallet| wallet.receivable() > terms.owed_max());
        let (mut low, mut high) = (0, decision.granted);
        if !owes && ask.min_quantity < ask.quantity {
            // The most units that are covered: more never cost less.
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if covers(&quote(middle)).is_ok() {
                    low = middle;
                } else {
                    high = middle;
                }
            }
        }
        if low > 0 && low >= ask.min_quantity {
            decision.granted = low;
            let status = self.status(&terms, ask.subaccount, &quote(low), pending, now);
            decision.credits = Some(Box::new(status));
            return;
        }
        deny(decision, &refusal, now);
    }

    /// Says what an item pledges that was granted.
    pub(super) fn pledge_of(
        &self,
        ask: &Ask<'_>,
        overdue: &Overdue,
        pending: &Pending,
        now: Timestamp,
    ) -> Option<Pledged> {
        let right = self.rights.get(ask.feature.as_str())?;
        let terms = Drawing::of(right)?;
        let quote = self.quote(&terms, ask, (overdue, pending), now);
        Some(Pledged {
            feature: ask.feature.clone(),
            wallet: quote.wallet,
            quantity: super::limits::weigh(right, ask),
            cost: quote.cost,
            extra: quote.extra,
        })
    }

    /// Prices what is asked for on top of what is pledged.
    fn quote(
        &self,
        terms: &Drawing<'_>,
        ask: &Ask<'_>,
        (overdue, pending): (&Overdue, &Pending),
        now: Timestamp,
    ) -> Quote {
        let feature = &terms.right.feature.id;
        let wallet = self.book.payer(ask.subaccount, terms.unit);
        let before = self
            .pledges
            .quantity(feature, &wallet)
            .minus_saturating(overdue.pledged(feature, &wallet))
            .plus_saturating(pending.quantity(feature, &wallet));
        let more = super::limits::weigh(terms.right, ask);
        let others = self
            .pledged_by_others(feature, &wallet)
            .minus_saturating(overdue.pledged_by_others(feature, &wallet));
        let (old, new) = (
            self.cost(terms, (others, before), now),
            self.cost(terms, (others, before.plus_saturating(more)), now),
        );
        let pool = self.pool(feature, &wallet);
        let lacks = |cost: i64| cost.saturating_sub(pool).max(0);
        Quote {
            wallet,
            cost: new.saturating_sub(old).max(0),
            extra: lacks(new).saturating_sub(lacks(old)).max(0),
        }
    }

    /// Refuses what caps and balance do not cover.
    fn covers(
        &self,
        terms: &Drawing<'_>,
        spender: Option<&SubaccountId>,
        quote: &Quote,
        pending: &Pending,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if quote.cost == 0 {
            return Ok(());
        }
        let counted = pending.sum(&quote.wallet, |item| item.cost);
        let needed = quote.cost.saturating_add(counted);
        self.book
            .check_caps((spender, &quote.wallet), needed, now)?;
        let wallet = self.book.wallet(&quote.wallet);
        wallet.map_or(Ok(()), Wallet::check_frozen)?;
        let owed = wallet.map_or(0, Wallet::receivable);
        if owed > terms.owed_max() {
            return Err(Refusal::BlockedByReceivable { owed });
        }
        let available = self.free_credits(&quote.wallet, pending, now);
        if quote.extra > available {
            return Err(Refusal::InsufficientCredits {
                needed: quote.extra,
                available,
            });
        }
        Ok(())
    }

    /// Returns what a wallet has left to spend when what is pending is pledged.
    fn free_credits(&self, wallet: &WalletKey, pending: &Pending, now: Timestamp) -> i64 {
        let taken = pending.sum(wallet, |item| item.extra);
        let wallet = self.book.wallet(wallet);
        let has = |wallet: &Wallet| wallet.available(now).saturating_add(wallet.overdue(now));
        wallet.map_or(0, has).saturating_sub(taken)
    }

    fn status(
        &self,
        terms: &Drawing<'_>,
        spender: Option<&SubaccountId>,
        quote: &Quote,
        pending: &Pending,
        now: Timestamp,
    ) -> CreditStatus {
        let wallet = self.book.wallet(&quote.wallet);
        let own = WalletKey::of(spender, terms.unit);
        let own = self.book.wallet(&own).and_then(Wallet::cap);
        let caps = [own, wallet.and_then(Wallet::cap)];
        let tightest = caps.into_iter().flatten().min_by_key(|cap| cap.left(now));
        CreditStatus {
            unit: terms.unit.into(),
            of_subaccount: quote.wallet.owner.is_some(),
            needed: quote.cost,
            available: self.free_credits(&quote.wallet, pending, now),
            owed: wallet.map_or(0, Wallet::receivable),
            cap: tightest.map(|cap| (cap.amount, cap.left(now), cap.range(now))),
        }
    }
}

/// Turns a decision into the denial that a refusal of credits is.
fn deny(decision: &mut Decision, refusal: &Refusal, now: Timestamp) {
    match refusal {
        Refusal::CapReached { window_end, .. } => {
            decision.deny(Reason::SpendCapExceeded);
            let ends = *window_end != Timestamp::MAX;
            decision.retry_after = ends.then(|| window_end.since(now));
        }
        Refusal::BlockedByReceivable { .. } => decision.deny(Reason::WalletBlocked),
        Refusal::Frozen { .. } => decision.deny(Reason::WalletFrozen),
        _ => decision.deny(Reason::CreditsInsufficient),
    }
}

/// Names the pool of a feature; ids have one alphabet.
pub(super) fn pool_id(feature: &FeatureId) -> Option<crate::domain::id::HoldId> {
    crate::domain::id::HoldId::new(feature.as_str()).ok()
}
