//! When to look at what Stripe has of a customer although no webhook says so: webhooks may be lost.

use super::mirror::{Mirrored, StripeStatus, in_force};
use crate::domain::time::{Span, Timestamp};

/// How long after a customer was linked it is looked at first.
pub const FIRST_LOOK: Span = Span::from_hours(1);
/// How long after a question that came to nothing it is asked again.
pub const LOOK_AGAIN: Span = Span::from_hours(1);
/// How often a running subscription is looked at, at least.
const EACH: Span = Span::from_hours(20);
/// Over how long such looks are spread.
const EACH_SPREAD: Span = Span::from_hours(8);
/// How long after the end of a period news of the next one is waited for.
const PERIOD_NEWS: Span = Span::from_minutes(10);
/// How often is looked after a period that ended without news.
const OVERDUE: Span = Span::from_minutes(30);
/// Over how long looks after the end of a period are spread: many end at the same time.
const PERIOD_SPREAD: Span = Span::from_minutes(20);
/// How often a customer of whom nothing runs is looked at.
const RARELY: Span = Span::from_days(14);

/// Returns when to look again at what Stripe has for a payer, of which all was just seen.
#[must_use]
pub fn next_look(payer: &str, all: &[Mirrored], now: Timestamp) -> Timestamp {
    let own = own_place(payer);
    let running = in_force(all).filter(|one| runs(one.status));
    let Some(one) = running else {
        return now.plus(RARELY).plus(part(EACH_SPREAD, own));
    };
    let daily = now.plus(EACH).plus(part(EACH_SPREAD, own));
    let soon = part(PERIOD_SPREAD, own);
    let after_period = if one.period.end > now {
        one.period.end.plus(PERIOD_NEWS).plus(soon)
    } else {
        now.plus(OVERDUE).plus(soon)
    };
    daily.min(after_period)
}

/// Whether a subscription goes on by itself: its periods follow one another.
const fn runs(status: StripeStatus) -> bool {
    match status {
        StripeStatus::Incomplete
        | StripeStatus::Trialing
        | StripeStatus::Active
        | StripeStatus::PastDue
        | StripeStatus::Unpaid
        | StripeStatus::Unknown => true,
        StripeStatus::IncompleteExpired | StripeStatus::Canceled | StripeStatus::Paused => false,
    }
}

/// Returns a number below 1024 that is a payer's own, so that not all are looked at in the same moment.
fn own_place(payer: &str) -> i64 {
    let mixed = payer.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    i64::from(mixed.wrapping_mul(0x9E37_79B1) >> 22)
}

fn part(of: Span, place: i64) -> Span {
    Span::from_micros_clamped(of.as_micros() / 1024 * place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::window::TimeRange;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros_clamped(1_767_225_600_000_000 + hours * 3_600_000_000)
    }

    fn one(status: &str, period_end: i64) -> Mirrored {
        Mirrored {
            id: "sub_1".into(),
            status: StripeStatus::of(status),
            plan: None,
            anchor: at(0),
            period: TimeRange {
                start: at(0),
                end: at(period_end),
            },
            trial_end: None,
            cancel_at: None,
            invoice_time: None,
            schedule: None,
            create_time: at(0),
        }
    }

    #[test]
    fn a_running_subscription_is_looked_at_daily_and_sooner_after_its_period() {
        let within = |all: &[Mirrored], from: i64, to: i64| {
            for payer in ["cus_1", "cus_2", "cus_Zz9"] {
                let next = next_look(payer, all, at(100));
                assert!(next >= at(from) && next <= at(to), "{payer}: {next:?}");
            }
        };
        within(&[one("active", 700)], 120, 128);
        within(&[one("active", 105)], 105, 106);
        within(&[one("active", 99)], 100, 101);
        within(&[one("paused", 99)], 100 + 14 * 24, 100 + 14 * 24 + 8);
        within(&[], 100 + 14 * 24, 100 + 14 * 24 + 8);
    }

    #[test]
    fn looks_are_spread() {
        let places: std::collections::BTreeSet<i64> = (0..1000)
            .map(|number| own_place(&format!("cus_{number:08}")))
            .collect();
        assert!(places.len() > 500, "{}", places.len());
        assert!(places.iter().all(|place| (0..1024).contains(place)));
    }
}
