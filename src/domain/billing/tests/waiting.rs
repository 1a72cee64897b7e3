//! Tabs and chunks that wait, and chunks that Stripe drops after it took them.

use super::*;

#[test]
fn a_tab_that_waits_is_woken_once() {
    let mut tab = Tab::new(meter(), START);
    assert!(!tab.wake(after(1)), "it does not wait");
    tab.rest(START);
    assert!(tab.waits && tab.due_time == after(1440));
    assert!(tab.wake(after(5)));
    assert_eq!(tab.due_time, after(5));
    assert!(!tab.wake(after(6)));
    tab.rest(after(6));
    tab.put_off(Span::from_hours(1), after(7));
    assert!(!tab.waits, "it was sealed");
}

#[test]
fn whoever_waits_for_another_is_looked_at_less_and_less_often() {
    let mut waiting = chunk(2, 1);
    let mut pauses = Vec::new();
    let mut now = START;
    for _ in 0..20 {
        waiting.wait_for_another(now);
        let due = waiting.due_time.unwrap();
        pauses.push(due.since(now));
        now = due;
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(pauses[0], Span::from_secs(1));
    assert_eq!(pauses[19], Span::from_minutes(5));
    // Its turn comes: it need not be due.
    let mut called = waiting.clone();
    assert_eq!(called.claim((LIFE, LEASE), START), Ok(()));
    assert!(waiting.wake(START) && waiting.due_time == Some(START));
    // One that was tried waits as long as it must.
    assert_eq!(waiting.claim((LIFE, LEASE), START), Ok(()));
    let why = "busy".into();
    let after = Some(Span::from_secs(30));
    waiting.settle(&Outcome::Nothing { why, after }, START);
    assert!(!waiting.wake(START));
    assert_eq!(waiting.claim((LIFE, LEASE), START), Err(NotClaimed::NotDue));
}

#[test]
fn what_stripe_took_and_dropped_fails_and_is_not_sent_again_by_itself() {
    let delivered = || {
        let mut sent = chunk(1, 5);
        assert_eq!(sent.claim((LIFE, LEASE), START), Ok(()));
        sent.settle(&Outcome::Delivered, START);
        sent
    };
    let mut named = delivered();
    assert!(named.refuse_late("no such customer", after(5)));
    let why = named.fault.as_deref();
    assert_eq!(
        (named.state, why),
        (ChunkState::Failed, Some("no such customer"))
    );
    assert!(
        !named.refuse_late("no such customer", after(6)),
        "it is known"
    );
    for (evidence, state) in [
        (Evidence::Counted, ChunkState::Delivered),
        (Evidence::Missing, ChunkState::Failed),
        (Evidence::Unclear, ChunkState::InDoubt),
    ] {
        let mut meant = delivered();
        assert!(meant.question("archived", after(5)));
        assert_eq!(meant.state, ChunkState::InDoubt);
        assert!(!meant.question("archived", after(6)), "it is in doubt");
        meant.resolve(evidence, ("1-1", LIFE), after(20));
        assert_eq!((meant.state, meant.generation), (state, 0));
    }
}
