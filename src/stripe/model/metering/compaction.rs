//! Putting old readings together, so that what is remembered of usage does not grow with each event.

use super::super::Model;
use super::super::shape::{elements, int, text};
use super::super::store::Kind;
use super::Reading;

/// Between two goes.
const PAUSE_SECONDS: i64 = 86_400;
/// Readings that are older can neither come nor be taken back: events are taken from 35 days back.
const OLD_SECONDS: i64 = 36 * 86_400;
/// Days of UTC: what lies in one is put together.
const DAY_SECONDS: i64 = 86_400;

impl Model {
    /// Puts readings together, once a day: those of meters that sum up, of periods that no invoice is still to come for. What
    /// summaries of whole days say stays.
    pub(in super::super) fn compact_usage(&mut self) {
        if self.now < self.usage.compacted + PAUSE_SECONDS {
            return;
        }
        self.usage.compacted = self.now;
        let sums: Vec<String> = self
            .store
            .all(Kind::Meter)
            .filter(|meter| meter["default_aggregation"]["formula"] == "sum")
            .map(|meter| text(&meter["id"]).to_owned())
            .collect();
        for meter in sums {
            let Some(customers) = self.usage.readings.get(&meter) else {
                continue;
            };
            let customers: Vec<String> = customers.keys().cloned().collect();
            for customer in customers {
                let before = self.settled_before(&customer);
                let readings = self.usage.readings.get_mut(&meter);
                if let Some(readings) = readings.and_then(|all| all.get_mut(&customer)) {
                    compact(readings, before);
                }
            }
        }
    }

    /// Returns before when no period of a customer is still to be billed.
    fn settled_before(&self, customer: &str) -> i64 {
        let running = self
            .store
            .all(Kind::Subscription)
            .filter(|subscription| {
                subscription["customer"] == customer && subscription["ended_at"].is_null()
            })
            .flat_map(|subscription| elements(&subscription["items"]["data"]))
            .map(|item| int(&item["current_period_start"]));
        let drafts = self
            .store
            .all(Kind::Invoice)
            .filter(|invoice| invoice["customer"] == customer && invoice["status"] == "draft")
            .map(|invoice| int(&invoice["period_start"]));
        let old = self.now - OLD_SECONDS;
        running.chain(drafts).fold(old, i64::min)
    }
}

/// Puts the readings of each day before a time together. The first of a day stands for all of it.
fn compact(readings: &mut Vec<Reading>, before: i64) {
    let old = |one: &Reading| one.at.div_euclid(DAY_SECONDS) < before.div_euclid(DAY_SECONDS);
    let (mut past, recent): (Vec<_>, Vec<_>) = readings.drain(..).partition(old);
    past.sort_by_key(|one| one.at);
    for one in past {
        match readings.last_mut() {
            Some(last) if last.at.div_euclid(DAY_SECONDS) == one.at.div_euclid(DAY_SECONDS) => {
                last.value = last.value.saturating_add(one.value);
                last.received = last.received.max(one.received);
            }
            Some(_) | None => readings.push(one),
        }
    }
    readings.extend(recent);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: i64, value: i64) -> Reading {
        Reading {
            at,
            value,
            received: at,
            identifier: at.to_string(),
        }
    }

    #[test]
    fn days_that_are_settled_become_one_reading_each() {
        let day = DAY_SECONDS;
        let mut readings: Vec<_> = [
            (5, 1),
            (2 * day, 8),
            (7, 2),
            (day + 1, 4),
            (3 * day + 9, 16),
        ]
        .map(|(at, value)| reading(at, value))
        .into();
        compact(&mut readings, 2 * day + 10);
        let left: Vec<_> = readings.iter().map(|one| (one.at, one.value)).collect();
        // The day of the limit stays as it is: a period may begin in it.
        assert_eq!(
            left,
            [(5, 3), (day + 1, 4), (2 * day, 8), (3 * day + 9, 16)]
        );
        compact(&mut readings, 2 * day + 10);
        assert_eq!(readings.len(), 4, "once more changes nothing");
    }
}
