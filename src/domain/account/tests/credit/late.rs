//! Use that is recorded after the window had ended in which it counts, and what counts under caps when.

use super::*;
use crate::domain::wallet::SpendCap;
use crate::domain::window::Window;

const TOKENS: usize = 1;

/// Moves on to a day after the start; the month of the tokens ends after 28.
fn go_to(history: &mut History, day: u32) -> Timestamp {
    history.now = start().plus(Span::from_days(day));
    history.account.advance(history.now);
    history.now
}

fn amounts(history: &History) -> Vec<i64> {
    history
        .charges
        .iter()
        .map(|charge| charge.1.amount)
        .collect()
}

/// Takes back use that was not charged; returns what that gives back.
fn take_back(history: &mut History, units: i64, at: Timestamp, recorded: Timestamp) -> i64 {
    let (meter, dimensions) = (MeterId::new(FEATURES[TOKENS]).unwrap(), Labels::new());
    let usage = Counted {
        subaccount: None,
        meter: &meter,
        dimensions: &dimensions,
        weighted: Milli::from_units(-units).unwrap(),
        at,
    };
    let effects = &mut Effects::default();
    let charge = history
        .account
        .take_back(&usage, (None, recorded), history.now, effects);
    charge.unwrap().map_or(0, |charge| charge.amount)
}

#[test]
fn late_use_takes_up_what_the_running_window_includes() {
    let mut history = History::new();
    history.grant(1_000_000);
    let before = go_to(&mut history, 27);
    go_to(&mut history, 29);
    for _ in 0..3 {
        history.record_at((TOKENS, 60), before, None, None);
    }
    assert_eq!(amounts(&history), [6_000, 18_000], "100 are included, once");
    // No counter of the running window has any of it, and use of that window comes after it.
    let now = history.now;
    let mut counters = history.account.counters.iter();
    assert!(counters.all(|counter| counter.used(now) == Milli::ZERO));
    history.record(TOKENS, 1, None);
    assert_eq!(amounts(&history), [6_000, 18_000, 300]);
    // The next window includes as much as ever.
    go_to(&mut history, 60);
    history.record(TOKENS, 100, None);
    history.record(TOKENS, 1, None);
    assert_eq!(amounts(&history), [6_000, 18_000, 300, 300]);
}

#[test]
fn late_use_that_is_taken_back_gives_back_what_it_took_up_while_that_window_runs() {
    let mut history = History::new();
    history.grant(1_000_000);
    let before = go_to(&mut history, 27);
    history.record_at((TOKENS, 30), before, None, None);
    let after = go_to(&mut history, 29);
    history.record_at((TOKENS, 60), before, None, None);
    // Recorded in time: it took nothing from the running window.
    assert_eq!(take_back(&mut history, 30, before, before), 0);
    history.record(TOKENS, 41, None);
    assert_eq!(amounts(&history), [300]);
    assert_eq!(take_back(&mut history, 60, before, after), -300);
    history.record(TOKENS, 59, None);
    assert_eq!(amounts(&history), [300]);
    history.record(TOKENS, 1, None);
    assert_eq!(amounts(&history), [300, 300]);
}

#[test]
fn use_of_the_window_to_come_takes_up_what_that_includes() {
    let mut history = History::new();
    history.grant(1_000_000);
    go_to(&mut history, 27);
    history.record(TOKENS, 100, None);
    let end = history.account.billing_period(history.now).end;
    history.now = end.minus(Span::from_secs(60));
    let ahead = end.plus(Span::from_secs(60));
    history.record_at((TOKENS, 70), ahead, None, None);
    history.record_at((TOKENS, 40), ahead, None, None);
    assert_eq!(amounts(&history), [3_000]);
    go_to(&mut history, 29);
    history.record(TOKENS, 1, None);
    assert_eq!(amounts(&history), [3_000, 300]);
}

#[test]
fn spending_counts_under_caps_when_it_is_spent() {
    let mut history = History::new();
    history.grant(1_000_000);
    let (anchor, now) = (history.account.anchor, history.now);
    let cap = SpendCap::new(50_000, Window::Day, anchor, now).unwrap();
    let book = &mut history.account.book;
    book.wallet_mut(&key()).terms_mut().cap = Some(cap);
    let spent = |history: &History| {
        let wallet = history.account.book.wallet(&key()).unwrap();
        wallet.cap().unwrap().spent(history.now)
    };
    history.now = now.plus(Span::from_hours(24)).minus(Span::from_secs(30));
    let made = history.reserve(&[(2, 40, 40)]).unwrap();
    assert_eq!(spent(&history), 40_000);
    let day_before = history.now;
    history.now = now.plus(Span::from_hours(24));
    assert_eq!(spent(&history), 0);
    history.record_at((2, 30), day_before, None, Some(&made));
    assert_eq!(spent(&history), 30_000, "in the day in which it is spent");
    let effects = &mut Effects::default();
    let ended = history
        .account
        .end(&made, Ended::Committed, history.now, effects);
    ended.unwrap().unwrap();
    assert_eq!(spent(&history), 30_000, "the rest counted the day before");
    // What comes back gives room in the day in which it was spent, not in that in which it counts.
    let (_, charge, _) = history.charges.remove(0);
    let (meter, dimensions) = (MeterId::new("pages").unwrap(), Labels::new());
    let usage = Counted {
        subaccount: None,
        meter: &meter,
        dimensions: &dimensions,
        weighted: Milli::from_units(-30).unwrap(),
        at: day_before,
    };
    let recorded = history.now;
    history.now = history.now.plus(Span::from_secs(1));
    let effects = &mut Effects::default();
    let (account, now) = (&mut history.account, history.now);
    let void = account.take_back(&usage, (Some(&charge), recorded), now, effects);
    assert_eq!(void.unwrap().unwrap().amount, -30_000);
    assert_eq!(spent(&history), 0);
}
