//! Chunks under every fault at every send, and what is sealed under corrections.

mod plans;
mod waiting;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::id::MeterId;
use crate::domain::quantity::Milli;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;

const START: Timestamp = Timestamp::from_micros_clamped(1_767_225_600_000_000);
const LIFE: &str = "life";

fn after(minutes: i64) -> Timestamp {
    Timestamp::from_micros_clamped(START.as_micros() + minutes * 60_000_000)
}

fn meter() -> MeterId {
    MeterId::new("tokens").unwrap()
}

fn month() -> TimeRange {
    TimeRange {
        start: START,
        end: after(30 * 1440),
    }
}

fn chunk(number: u32, value: i64) -> Chunk {
    Chunk {
        meter: meter(),
        event_name: "tokens".into(),
        payer: "cus_1".into(),
        period: month(),
        number,
        value,
        seal_time: START,
        count_time: START,
        identifier: format!("{number}-0").into(),
        incarnation: LIFE.into(),
        state: ChunkState::Sealed,
        generation: 0,
        attempts: 0,
        first_attempt: None,
        last_attempt: None,
        due_time: Some(START),
        fault: None,
        suspicion: None,
        end_time: None,
    }
}

/// What happens to one attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Stripe takes it and says so.
    Taken,
    /// Nothing leaves this machine.
    Nothing,
    /// Stripe takes it and nobody hears of it.
    TakenUnheard,
    /// It is lost on the way, and nobody hears of that.
    LostUnheard,
    /// The process ends before it sends.
    DiesBefore,
    /// The process ends after Stripe took it.
    DiesAfter,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Taken),
        Just(Fate::Nothing),
        Just(Fate::TakenUnheard),
        Just(Fate::LostUnheard),
        Just(Fate::DiesBefore),
        Just(Fate::DiesAfter),
    ]
}

/// How the sender under test differs from the one that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Meant,
    /// Each attempt has an identifier of its own.
    FreshIdentifiers,
    /// What is in doubt is sent again.
    NoDoubt,
}

/// Stripe as far as meter events go: it remembers identifiers for a day.
#[derive(Default)]
struct Meters {
    seen: BTreeMap<String, Timestamp>,
    sum: i64,
}

impl Meters {
    fn take(&mut self, identifier: &str, value: i64, now: Timestamp) {
        let known = self.seen.get(identifier);
        if known.is_none_or(|at| now.since(*at) > Span::from_hours(24)) {
            self.seen.insert(identifier.to_owned(), now);
            self.sum += value;
        }
    }
}

/// Sends chunks one after the other, each until its outcome is known, and returns how often one was in doubt; `Err`: what
/// Stripe has is not what was sealed.
fn send_all(variant: Variant, fates: &[Fate], pauses: &[u16]) -> Result<u32, String> {
    let mut stripe = Meters::default();
    let (mut now, mut doubts, mut sealed) = (START, 0, 0);
    let mut fates = fates.iter().copied().chain(std::iter::repeat(Fate::Taken));
    let mut pauses = pauses.iter().copied().chain(std::iter::repeat(1));
    for number in 1..=6 {
        let mut chunk = chunk(number, i64::from(number));
        let mut generation = 0;
        sealed += chunk.value;
        while !chunk.state.is_final() {
            now = now.plus(Span::from_minutes(
                u32::from(pauses.next().unwrap_or(1)).max(1),
            ));
            if chunk.state == ChunkState::InDoubt {
                if variant == Variant::NoDoubt {
                    chunk.state = ChunkState::Sending;
                    chunk.first_attempt = Some(now);
                } else {
                    doubts += 1;
                    let counted = stripe.sum == sealed;
                    let evidence = if counted {
                        Evidence::Counted
                    } else {
                        Evidence::Missing
                    };
                    generation += 1;
                    chunk.resolve(evidence, (&format!("{number}-{generation}"), LIFE), now);
                    continue;
                }
            }
            if chunk.claim((LIFE, LEASE), now).is_err() {
                continue;
            }
            if variant == Variant::FreshIdentifiers {
                chunk.identifier = format!("{number}-{}", chunk.attempts).into();
            }
            let fate = fates.next().unwrap_or(Fate::Taken);
            if matches!(fate, Fate::Taken | Fate::TakenUnheard | Fate::DiesAfter) {
                stripe.take(&chunk.identifier, chunk.value, now);
            }
            let why = || "why".into();
            match fate {
                Fate::Taken => chunk.settle(&Outcome::Delivered, now),
                Fate::Nothing => {
                    let after = None;
                    chunk.settle(&Outcome::Nothing { why: why(), after }, now);
                }
                Fate::TakenUnheard | Fate::LostUnheard => {
                    chunk.settle(&Outcome::Unknown { why: why() }, now);
                }
                Fate::DiesBefore | Fate::DiesAfter => {}
            }
        }
        if chunk.state == ChunkState::Failed {
            stripe.sum += chunk.value;
        }
    }
    if stripe.sum != sealed {
        return Err(format!(
            "{sealed} were sealed and Stripe has {}",
            stripe.sum
        ));
    }
    Ok(doubts)
}

proptest! {
    #[test]
    fn each_chunk_has_one_effect_whatever_happens(
        fates in prop::collection::vec(fate(), 0..60),
        pauses in prop::collection::vec(0_u16..600, 0..60),
    ) {
        send_all(Variant::Meant, &fates, &pauses).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn what_was_sealed_is_the_last_amount_in_whole_units(
        amounts in prop::collection::vec(-5_000_i64..50_000, 1..40),
    ) {
        let mut tab = Tab::new(meter(), START);
        tab.open(month(), START);
        let mut sum = 0;
        for (nth, amount) in (0..).zip(&amounts) {
            if let Some(sealing) = tab.seal(month(), Milli(*amount), after(nth)) {
                prop_assert_ne!(sealing.value, 0);
                sum += sealing.value;
            }
            prop_assert_eq!(sum, amount.div_euclid(1000));
        }
    }
}

/// The test above can fail: senders that are not careful count twice or not at all.
#[test]
fn careless_senders_are_found_out() {
    use Fate::{DiesAfter, TakenUnheard};
    let twice = [TakenUnheard, TakenUnheard];
    assert!(send_all(Variant::Meant, &twice, &[]).is_ok());
    assert!(send_all(Variant::FreshIdentifiers, &twice, &[]).is_err());
    let late = [DiesAfter];
    assert!(send_all(Variant::Meant, &late, &[1, 1_300, 1_300]).unwrap() > 0);
    assert!(send_all(Variant::NoDoubt, &late, &[1, 1_300, 1_300]).is_err());
}

#[test]
fn a_restored_database_doubts_what_it_was_sending() {
    let mut chunk = chunk(1, 5);
    assert_eq!(
        chunk.claim(("another", LEASE), START),
        Err(NotClaimed::InDoubt)
    );
    assert_eq!(chunk.state, ChunkState::InDoubt);
    chunk.resolve(Evidence::Missing, ("1-1", "another"), after(1));
    assert_eq!(
        (chunk.state, &*chunk.identifier),
        (ChunkState::Sealed, "1-1")
    );
    assert_eq!(chunk.claim(("another", LEASE), after(1)), Ok(()));
}

#[test]
fn a_claim_holds_others_off_until_its_lease_is_over() {
    let mut chunk = chunk(1, 5);
    assert_eq!(chunk.claim((LIFE, LEASE), START), Ok(()));
    assert_eq!(
        chunk.claim((LIFE, LEASE), after(1)),
        Err(NotClaimed::NotDue)
    );
    assert_eq!(chunk.claim((LIFE, LEASE), after(2)), Ok(()));
    assert_eq!((chunk.attempts, chunk.first_attempt), (2, Some(START)));
    chunk.settle(&Outcome::Delivered, after(2));
    assert_eq!(
        chunk.claim((LIFE, LEASE), after(9)),
        Err(NotClaimed::Settled)
    );
    let why = "late".into();
    chunk.settle(&Outcome::Refused { why }, after(9));
    assert_eq!(
        chunk.state,
        ChunkState::Delivered,
        "what is known stays known"
    );
}

#[test]
fn stripe_may_be_away_for_days_when_nothing_left_this_machine() {
    let mut chunk = chunk(1, 5);
    let mut now = START;
    while now < after(30 * 60) {
        if chunk.claim((LIFE, LEASE), now).is_ok() {
            let (why, after) = ("refused".into(), None);
            chunk.settle(&Outcome::Nothing { why, after }, now);
        }
        now = now.plus(Span::from_minutes(7));
    }
    assert_eq!((chunk.state, chunk.attempts), (ChunkState::Sealed, 0));
    assert_eq!(
        chunk.claim((LIFE, LEASE), now.plus(Span::from_hours(1))),
        Ok(())
    );
}

#[test]
fn usage_that_is_too_old_fails_before_it_is_sent() {
    let mut chunk = chunk(1, 5);
    assert_eq!(
        chunk.claim((LIFE, LEASE), after(33 * 1440)),
        Err(NotClaimed::TooOld)
    );
    assert_eq!(chunk.state, ChunkState::Failed);
    chunk.requeue(("1-1", LIFE), after(33 * 1440)).unwrap();
    assert_eq!(chunk.state, ChunkState::Sealed);
}

#[test]
fn a_busy_stripe_is_waited_for_as_long_as_it_asks() {
    let mut chunk = chunk(1, 5);
    chunk.claim((LIFE, LEASE), START).unwrap();
    let after = Some(Span::from_secs(30));
    let why = "429".into();
    chunk.settle(&Outcome::Nothing { why, after }, START);
    assert_eq!(chunk.due_time, Some(START.plus(Span::from_secs(30))));
    assert_eq!(chunk.fault.as_deref(), Some("429"));
}

#[test]
fn amounts_beyond_15_digits_are_refused() {
    assert_eq!(Chunk::check(999_999_999_999_999), Ok(()));
    let long = 1_000_000_000_000_000;
    assert_eq!(Chunk::check(-long), Err(ValueTooLong(-long)));
}

#[test]
fn a_tab_looks_again_when_its_period_has_settled() {
    let mut tab = Tab::new(meter(), START);
    tab.open(month(), START);
    tab.put_off(Span::from_hours(1), after(10));
    assert_eq!(tab.due_time, after(70));
    tab.put_off(Span::from_hours(1), after(30 * 1440 - 20));
    assert_eq!(tab.due_time, after(30 * 1440 + 6));
    // The next one comes beside it, and what is older than late usage goes.
    let next = TimeRange {
        start: month().end,
        end: after(60 * 1440),
    };
    tab.open(next, after(31 * 1440));
    assert_eq!(tab.periods.len(), 2);
    tab.open(next, after(67 * 1440));
    assert_eq!(tab.periods.len(), 1);
}

#[test]
fn a_chunk_counts_inside_its_period() {
    let mut tab = Tab::new(meter(), START);
    tab.open(month(), START);
    let late = after(40 * 1440);
    let sealing = tab.seal(month(), Milli(1_999), late).unwrap();
    assert_eq!((sealing.value, sealing.number), (1, 1));
    assert!(sealing.count_time < month().end && sealing.count_time > START);
    assert_eq!(
        tab.seal(month(), Milli(1_001), late),
        None,
        "fractions wait"
    );
}
