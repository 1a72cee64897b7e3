//! How several limits of one right come to one answer.

use super::{Ask, Overdue};
use crate::domain::catalog::{Limit, MeteredSpec, Mode, OnLimit, WarningLevels};
use crate::domain::counter::{Counter, Tally};
use crate::domain::customer::Adjustment;
use crate::domain::decision::{Decision, LimitStatus, Reason, Warning};
use crate::domain::quantity::Milli;
use crate::domain::rights::{Right, Rights};
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::{TimeRange, Window};

/// What one owner's limits say.
pub(super) struct Verdict {
    /// What fits under the limits that are enforced.
    fits: Milli,
    /// Whether a limit that only reports would deny.
    observed: bool,
    /// How long until there is room, when there is none.
    retry_after: Option<Span>,
}

/// The counters of a customer or of one of its subaccounts, at one instant.
pub(super) struct Look<'a> {
    pub(super) rights: &'a Rights,
    pub(super) counters: &'a [Counter],
    pub(super) adjustments: &'a [Adjustment],
    /// The subaccount whose counters they are; `None`: the customer's.
    pub(super) subaccount: Option<&'a str>,
    pub(super) overdue: &'a Overdue,
    pub(super) now: Timestamp,
}

/// One limit as it stands.
pub(super) struct Standing {
    /// `None`: unlimited.
    pub(super) amount: Option<Milli>,
    pub(super) used: Milli,
    reserved: Milli,
}

impl Look<'_> {
    /// Looks at each limit of a right and writes the numbers of the tightest into the decision.
    pub(super) fn limits(
        &self,
        right: &Right,
        metered: &MeteredSpec,
        ask: &Ask<'_>,
        decision: &mut Decision,
    ) -> Verdict {
        let wanted = weigh(right, ask);
        let mut verdict = Verdict {
            fits: Milli(i64::MAX),
            observed: false,
            retry_after: None,
        };
        for (limit, slot) in metered.limits.iter().zip(&right.slots) {
            let counter = &self.counters[*slot];
            let standing = self.standing(right, limit, *slot);
            if ask.verbose {
                let status = self.status(limit, counter, &standing, wanted);
                decision.limits.push(status);
            }
            match standing.amount {
                Some(amount) => {
                    self.weigh_in(limit, counter, &standing, wanted, &mut verdict);
                    let taken = standing.used.plus_saturating(standing.reserved);
                    let left = amount.minus_saturating(taken).max(Milli::ZERO);
                    let tighter = decision.remaining.is_none_or(|so_far| left < so_far);
                    if decision.limit.is_none() || tighter {
                        let levels = self.rights.warnings;
                        show(decision, amount, standing.used, standing.reserved, levels);
                        decision.window = Some(range_of(limit, counter, self.now));
                    }
                }
                // Use of an unlimited window is shown while no limit says anything tighter.
                None if decision.limit.is_none() => {
                    decision.used = decision.used.max(standing.used);
                    decision.reserved = decision.reserved.max(standing.reserved);
                    decision.window = decision
                        .window
                        .or_else(|| Some(range_of(limit, counter, self.now)));
                }
                None => {}
            }
        }
        verdict
    }

    /// Returns a limit's amount and use, as a change of plan in this window may have altered them.
    pub(super) fn standing(&self, right: &Right, limit: &Limit, slot: usize) -> Standing {
        let counter = &self.counters[slot];
        let overdue = self.overdue.reserved(self.subaccount, slot);
        let mut standing = Standing {
            amount: limit.amount.map(Milli::from_units_saturating),
            used: counter.used(self.now),
            reserved: counter.reserved.minus_saturating(overdue),
        };
        if let Some(change) = self.adjustment(right, slot) {
            // What is voided of the use before the change gives no room after it.
            let since = standing.used.minus_saturating(change.baseline);
            standing.used = since.max(Milli::ZERO);
            standing.amount = change.amount.or(standing.amount);
        }
        standing
    }

    /// Returns how the running window of a limit counts differently since a change of plan.
    pub(super) fn adjustment(&self, right: &Right, slot: usize) -> Option<&Adjustment> {
        let start = self.counters[slot].start();
        self.adjustments.iter().find(|change| {
            change.feature == right.feature.id
                && *change.spec == *self.rights.tracked[slot]
                && change.start == start
        })
    }

    /// Takes one finite limit into the verdict.
    fn weigh_in(
        &self,
        limit: &Limit,
        counter: &Counter,
        standing: &Standing,
        wanted: Milli,
        verdict: &mut Verdict,
    ) {
        let Some(room) = room(limit, standing) else {
            return;
        };
        match limit.mode {
            Mode::Observe => verdict.observed |= room < wanted,
            Mode::Enforce => {
                verdict.fits = verdict.fits.min(room);
                if room < wanted {
                    let wait = wait_for(counter, limit, wanted, room, self.now);
                    verdict.retry_after = verdict.retry_after.max(wait);
                }
            }
        }
    }

    fn status(
        &self,
        limit: &Limit,
        counter: &Counter,
        standing: &Standing,
        wanted: Milli,
    ) -> LimitStatus {
        let taken = standing.used.plus_saturating(standing.reserved);
        let close = |amount| closeness(amount, taken, self.rights.warnings);
        let (percent_used, warning) = standing.amount.map_or((0, Warning::None), close);
        LimitStatus {
            of_subaccount: self.subaccount.is_some(),
            window: limit.window,
            range: range_of(limit, counter, self.now),
            amount: standing.amount.map(Milli::units_down),
            used: standing.used,
            reserved: standing.reserved,
            percent_used,
            warning,
            on_limit: limit.on_limit,
            enforced: limit.mode == Mode::Enforce,
            is_short: room(limit, standing).is_some_and(|room| room < wanted),
        }
    }
}

/// Returns what still fits under a limit; `None`: everything does.
fn room(limit: &Limit, standing: &Standing) -> Option<Milli> {
    let taken = standing.used.plus_saturating(standing.reserved);
    let remaining = standing.amount?.minus_saturating(taken);
    match limit.on_limit {
        OnLimit::Block => Some(remaining),
        OnLimit::AllowUpTo(buffer) => {
            Some(remaining.plus_saturating(Milli::from_units_saturating(buffer)))
        }
        OnLimit::Allow => None,
    }
}

/// Returns how much of an amount is taken, in percent, and how close to it that is.
fn closeness(amount: Milli, taken: Milli, levels: WarningLevels) -> (i32, Warning) {
    let percent = if amount.0 <= 0 {
        100
    } else {
        let percent = i128::from(taken.0.max(0)) * 100 / i128::from(amount.0);
        i32::try_from(percent).unwrap_or(i32::MAX)
    };
    let warning = if taken > amount {
        Warning::Exceeded
    } else if percent >= levels.critical_percent {
        Warning::Critical
    } else if percent >= levels.notice_percent {
        Warning::Notice
    } else {
        Warning::None
    };
    (percent, warning)
}

/// Returns what is asked for as counters would hold it; beyond 64 bits it fits nowhere.
pub(super) fn weigh(right: &Right, ask: &Ask<'_>) -> Milli {
    let milli = match &right.meter {
        Some(meter) => meter.weigh_units(ask.quantity, ask.dimensions),
        None => Milli::from_units(ask.quantity),
    };
    milli.unwrap_or(Milli(i64::MAX))
}

/// Writes the numbers of a limit into the decision.
fn show(
    decision: &mut Decision,
    amount: Milli,
    used: Milli,
    reserved: Milli,
    levels: WarningLevels,
) {
    let taken = used.plus_saturating(reserved);
    let (percent, warning) = closeness(amount, taken, levels);
    decision.limit = Some(amount.units_down());
    decision.used = used;
    decision.reserved = reserved;
    decision.remaining = Some(amount.minus_saturating(taken).max(Milli::ZERO));
    decision.overage = used.minus_saturating(amount).max(Milli::ZERO);
    decision.percent_used = percent;
    decision.warning = warning;
}

/// Turns what fits into a grant or a denial.
pub(super) fn settle(
    verdict: &Verdict,
    right: &Right,
    ask: &Ask<'_>,
    reason: Reason,
    decision: &mut Decision,
) {
    let wanted = weigh(right, ask);
    if verdict.observed && decision.observed.is_none() {
        decision.observed = Some(reason);
    }
    if verdict.fits >= wanted {
        return;
    }
    let granted = grantable(right, ask, verdict.fits, wanted);
    if granted >= ask.min_quantity && granted > 0 {
        decision.granted = granted;
    } else {
        decision.deny(reason);
        decision.retry_after = verdict.retry_after;
    }
}

/// Returns the most units whose weighted amount fits.
fn grantable(right: &Right, ask: &Ask<'_>, fits: Milli, wanted: Milli) -> i64 {
    if fits.0 <= 0 || wanted.0 <= 0 || ask.min_quantity >= ask.quantity {
        return 0;
    }
    let units = i128::from(fits.0) * i128::from(ask.quantity) / i128::from(wanted.0);
    let mut units = i64::try_from(units)
        .unwrap_or(ask.quantity)
        .min(ask.quantity);
    // Rounding of weights can make the proportional guess a few thousandths too large.
    while units > 0
        && weigh(
            right,
            &Ask {
                quantity: units,
                ..*ask
            },
        ) > fits
    {
        units -= 1;
    }
    units
}

/// Decides about a number of things.
pub(super) fn ask_count(
    amount: Option<i64>,
    taken: i64,
    ask: &Ask<'_>,
    levels: WarningLevels,
    decision: &mut Decision,
) {
    let used = Milli::from_units_saturating(taken);
    let Some(amount) = amount else {
        if decision.limit.is_none() {
            decision.used = used;
        }
        return;
    };
    show(
        decision,
        Milli::from_units_saturating(amount),
        used,
        Milli::ZERO,
        levels,
    );
    let room = amount.saturating_sub(taken);
    if room < ask.quantity {
        if room >= ask.min_quantity && room > 0 && ask.min_quantity < ask.quantity {
            decision.granted = room;
        } else {
            decision.deny(Reason::LimitExceeded);
        }
    }
}

fn range_of(limit: &Limit, counter: &Counter, now: Timestamp) -> TimeRange {
    match (&counter.tally, limit.window) {
        (Tally::Fixed { range, .. }, _) => *range,
        (Tally::Rolling { .. }, Window::Rolling(length)) => TimeRange {
            start: now.minus(length),
            end: now,
        },
        (Tally::Rolling { .. }, _) => TimeRange {
            start: now,
            end: now,
        },
    }
}

/// Returns how long until a limit has room for what is wanted, as far as use alone tells; `None`: for ever.
fn wait_for(
    counter: &Counter,
    limit: &Limit,
    wanted: Milli,
    room: Milli,
    now: Timestamp,
) -> Option<Span> {
    match &counter.tally {
        Tally::Fixed { range, .. } => {
            (limit.window != Window::Lifetime).then(|| range.end.since(now))
        }
        Tally::Rolling { buckets, ring } => {
            let mut missing = wanted.minus_saturating(room);
            let oldest = buckets.oldest(now);
            for (bucket, used) in ring.0.iter().filter(|entry| entry.0 >= oldest) {
                missing = missing.minus_saturating(*used);
                if missing <= Milli::ZERO {
                    return Some(buckets.gone(*bucket).since(now));
                }
            }
            None
        }
    }
}
