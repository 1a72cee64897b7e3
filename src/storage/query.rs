//! Questions to a store that change nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::catalog::Meter;
use crate::domain::counter::CounterSpec;
use crate::domain::customer::Customer;
use crate::domain::id::{
    CustomerId, FeatureId, GrantId, HoldId, MeterId, PlanId, ReservationId, SubaccountId,
};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::rollup::Rollup;
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::wallet::{Account, Cause, Posted, WalletKey};
use crate::domain::window::TimeRange;

/// Part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next part starts, for the store that made it; `None`: this was the last.
    pub next: Option<String>,
}

/// Asks for customers.
#[derive(Debug, Clone, Default)]
pub struct CustomerQuery {
    /// Only this one.
    pub id: Option<CustomerId>,
    /// Only those with exactly this email.
    pub email: Option<Box<str>>,
    /// Only those whose metadata has these values.
    pub metadata: Labels,
    /// Only those with a subscription.
    pub subscribed: bool,
    /// Only those whose subscription is in this status.
    pub status: Option<SubscriptionStatus>,
    /// Only those with this plan in force.
    pub plan: Option<PlanInForce>,
    /// Whether deleted ones are listed.
    pub deleted: bool,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

/// A plan that customers may have by subscription, or by having none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanInForce {
    /// The plan.
    pub plan: PlanId,
    /// Whether it is what customers without a running subscription have.
    pub is_default: bool,
}

impl PlanInForce {
    /// Whether it is in force for a customer with this subscription.
    #[must_use]
    pub fn holds(&self, subscription: Option<&Subscription>) -> bool {
        match subscription.filter(|held| held.status != SubscriptionStatus::Canceled) {
            Some(held) => held.plan == self.plan,
            None => self.is_default,
        }
    }
}

impl CustomerQuery {
    /// Whether a customer is one of those that are asked for, page and id apart.
    pub(super) fn matches(&self, customer: &Customer, subscription: Option<&Subscription>) -> bool {
        let labelled = self
            .metadata
            .iter()
            .all(|(key, value)| customer.metadata.get(key) == Some(value));
        labelled
            && self
                .email
                .as_ref()
                .is_none_or(|only| *only == customer.email)
            && (!self.subscribed || subscription.is_some())
            && (self.deleted || customer.delete_time.is_none())
            && self
                .status
                .is_none_or(|only| subscription.is_some_and(|held| held.status == only))
            && self
                .plan
                .as_ref()
                .is_none_or(|plan| plan.holds(subscription))
    }
}

/// Asks for summed usage.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only this part; `None`: all.
    pub subaccount: Option<SubaccountId>,
    /// Of what.
    pub meter: Arc<Meter>,
    /// Steps to sum over, rising and without gaps between the first start and the last end.
    pub steps: Vec<TimeRange>,
    /// Dimensions to tell apart.
    pub group_by: Vec<Box<str>>,
    /// Only events with these values.
    pub filter: Labels,
}

/// Usage in one step under one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The step, by position.
    pub step: usize,
    /// Values of the dimensions that were to be told apart; a missing one was not stated.
    pub group: Labels,
    /// The summary.
    pub rollup: Rollup,
    /// Distinct values of the meter's `unique_by` among events that no void took back; 0 for meters without.
    pub unique: i64,
    /// Whether combinations of dimensions were too many, so that groups and unique counts are short of some.
    pub overflowed: bool,
}

/// Asks for events.
#[derive(Debug, Clone)]
pub struct EventQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only this part.
    pub subaccount: Option<SubaccountId>,
    /// Only of this meter.
    pub meter: Option<MeterId>,
    /// Only those that count in this range.
    pub range: TimeRange,
    /// Only with these dimension values.
    pub dimensions: Labels,
    /// Only these ids; empty: all.
    pub ids: Vec<crate::domain::id::EventId>,
    /// Only those that name this reservation.
    pub reservation: Option<ReservationId>,
    /// Only usage that no void took back.
    pub standing: bool,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

/// Asks for reservations.
#[derive(Debug, Clone)]
pub struct ReservationQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only with this id.
    pub id: Option<ReservationId>,
    /// Only of this part.
    pub subaccount: Option<SubaccountId>,
    /// Only in this state, as stored: one that is overdue may still be stored as open.
    pub state: Option<ReservationState>,
    /// Only of this holder.
    pub holder: Option<Box<str>>,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

/// Asks for the ledger of a wallet.
#[derive(Debug, Clone)]
pub struct LedgerQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Which wallet.
    pub wallet: WalletKey,
    /// Only transactions in this range.
    pub range: TimeRange,
    /// Only for this cause.
    pub cause: Option<Cause>,
    /// Only those that are about this hold.
    pub hold: Option<HoldId>,
    /// Only those that are about this grant, or move credits of it.
    pub grant: Option<GrantId>,
    /// Whether the first comes first; otherwise the last does.
    pub is_rising: bool,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

impl LedgerQuery {
    /// Whether a transaction of the wallet is one of those that are asked for, page apart.
    pub(super) fn matches(&self, posted: &Posted) -> bool {
        let of_grant = |grant: &GrantId| {
            posted.about.grant.as_ref() == Some(grant)
                || posted.about.settled.contains(grant)
                || posted
                    .transaction
                    .entries
                    .iter()
                    .any(|entry| match &entry.account {
                        Account::Available(of) | Account::Held(of) => of == grant,
                        Account::Revenue
                        | Account::Expired
                        | Account::Funding(_)
                        | Account::Receivable
                        | Account::Transfers => false,
                    })
        };
        self.range.contains(posted.time)
            && self
                .cause
                .is_none_or(|only| posted.transaction.cause == only)
            && (self.hold.is_none() || posted.about.hold == self.hold)
            && self.grant.as_ref().is_none_or(of_grant)
    }
}

/// Asks for allocations.
#[derive(Debug, Clone)]
pub struct AllocationQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only of this feature.
    pub feature: Option<FeatureId>,
    /// Only of this part.
    pub subaccount: Option<SubaccountId>,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

/// Denials of one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Who was denied; an unknown customer too.
    pub customer: CustomerId,
    /// What.
    pub feature: FeatureId,
    /// Why, as the decision's reason is written.
    pub reason: Box<str>,
    /// The minute (UTC).
    pub minute: Timestamp,
    /// How often.
    pub count: i64,
    /// The last of them, in words.
    pub sample: Box<str>,
}

/// Asks for the denial log.
#[derive(Debug, Clone)]
pub struct DenialQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only of this feature.
    pub feature: Option<FeatureId>,
    /// Only for this reason.
    pub reason: Option<Box<str>>,
    /// Only minutes in this range.
    pub range: TimeRange,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

/// Asks for a comparison of counters with what they should hold.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only this customer.
    pub customer: Option<CustomerId>,
    /// Where to go on.
    pub after: Option<String>,
    /// Most customers in one slice; at least 1.
    pub limit: usize,
}

/// One slice of a comparison.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// How many counters were compared.
    pub checked: i64,
    /// Those that differ.
    pub mismatches: Vec<CounterMismatch>,
    /// Where the next slice starts; `None`: this was the last.
    pub next: Option<String>,
}

/// A counter that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterMismatch {
    /// Whose.
    pub customer: CustomerId,
    /// The subaccount's own.
    pub subaccount: Option<SubaccountId>,
    /// What it counts.
    pub spec: Arc<CounterSpec>,
    /// The start of its window.
    pub start: Timestamp,
    /// What it holds as used.
    pub used: Milli,
    /// The fold of events.
    pub used_expected: Milli,
    /// What it holds as reserved.
    pub reserved: Milli,
    /// The fold of open reservations.
    pub reserved_expected: Milli,
}
