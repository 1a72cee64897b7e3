use super::*;

#[test]
fn pauses_double_up_to_their_cap_and_end() {
    let repeats = Repeats {
        attempts: 8,
        ..Repeats::default()
    };
    let bounds = [500, 1000, 2000, 4000, 8000, 8000, 8000];
    let mut longest = [Duration::ZERO; 7];
    for seed in 0..200 {
        let pauses = Pauses::new(repeats, seed);
        for (attempt, (bound, longest)) in (1..).zip(bounds.iter().zip(&mut longest)) {
            let pause = pauses.after(attempt, None).unwrap();
            assert!(
                pause <= Duration::from_millis(*bound),
                "{attempt}: {pause:?}"
            );
            *longest = pause.max(*longest);
        }
        assert_eq!(pauses.after(8, None), None);
    }
    for (bound, longest) in bounds.iter().zip(longest) {
        assert!(
            longest > Duration::from_millis(bound * 9 / 10),
            "{bound}: {longest:?}"
        );
    }
}

#[test]
fn what_stripe_asks_for_is_waited_for() {
    let pauses = Pauses::new(Repeats::default(), 1);
    assert!(pauses.after(1, Some(20)).unwrap() >= Duration::from_secs(20));
    assert_eq!(pauses.after(1, Some(31)), None);
    assert_eq!(pauses.after(3, Some(1)), None);
}

#[test]
fn two_processes_do_not_pause_alike() {
    let pause = |seed| Pauses::new(Repeats::default(), seed).after(1, None);
    assert_ne!(pause(1), pause(2));
    assert_eq!(pause(1), pause(1));
}

#[tokio::test]
async fn calls_pass_at_the_rate_and_meter_events_beside_them() {
    let rate = |calls| NonZeroU32::new(calls).unwrap();
    let apart = Pace::new(Rates {
        calls: rate(1),
        meter_events: Some(rate(1)),
    });
    let together = Pace::new(Rates {
        calls: rate(1),
        meter_events: None,
    });
    let soon = Duration::from_millis(200);
    for (pace, passes) in [(apart, true), (together, false)] {
        pace.turn(false).await;
        let at_once = tokio::time::timeout(soon, pace.turn(true)).await;
        assert_eq!(at_once.is_ok(), passes);
        let second = tokio::time::timeout(soon, pace.turn(false)).await;
        assert!(
            second.is_err(),
            "the second call of a second passed at once"
        );
    }
}

#[test]
fn no_second_sees_more_than_stripe_allows() {
    for (rates, calls, meter_events) in [(Rates::LIVE, 100, 1000), (Rates::TEST, 25, 25)] {
        let most = |rate: NonZeroU32| rate.get() + (rate.get() / BURST_PART).max(1);
        assert!(most(rates.calls) <= calls);
        assert!(
            rates
                .meter_events
                .is_none_or(|rate| most(rate) <= meter_events)
        );
    }
}
