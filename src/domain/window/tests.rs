use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::from_micros_clamped(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn range(window: Window, anchor: &str, interval: Interval, now: &str) -> (String, String) {
    let range = window.range(
        Anchor {
            start: at(anchor),
            interval,
        },
        at(now),
    );
    (range.start.to_string(), range.end.to_string())
}

#[test]
fn windows_step_from_the_anchor() {
    use Interval::{Month, Year};
    let table = [
        (
            Window::Hour,
            "2026-01-31T10:37:00Z",
            Month,
            "2026-02-01T10:36:59Z",
            "2026-02-01T09:37:00Z",
            "2026-02-01T10:37:00Z",
        ),
        (
            Window::Day,
            "2026-01-31T10:37:00Z",
            Month,
            "2026-02-01T10:37:00Z",
            "2026-02-01T10:37:00Z",
            "2026-02-02T10:37:00Z",
        ),
        (
            Window::Week,
            "2026-01-31T00:00:00Z",
            Month,
            "2026-01-30T23:59:59Z",
            "2026-01-24T00:00:00Z",
            "2026-01-31T00:00:00Z",
        ),
        (
            Window::Month,
            "2026-01-31T10:37:00Z",
            Month,
            "2026-02-28T10:36:59Z",
            "2026-01-31T10:37:00Z",
            "2026-02-28T10:37:00Z",
        ),
        (
            Window::Month,
            "2026-01-31T10:37:00Z",
            Month,
            "2026-02-28T10:37:00Z",
            "2026-02-28T10:37:00Z",
            "2026-03-31T10:37:00Z",
        ),
        (
            Window::Month,
            "2026-01-31T10:37:00Z",
            Month,
            "2026-04-30T12:00:00Z",
            "2026-04-30T10:37:00Z",
            "2026-05-31T10:37:00Z",
        ),
        (
            Window::Month,
            "2024-02-29T00:00:00Z",
            Month,
            "2025-02-28T00:00:00Z",
            "2025-02-28T00:00:00Z",
            "2025-03-29T00:00:00Z",
        ),
        (
            Window::BillingPeriod,
            "2024-02-29T00:00:00Z",
            Year,
            "2028-02-28T00:00:00Z",
            "2027-02-28T00:00:00Z",
            "2028-02-29T00:00:00Z",
        ),
        (
            Window::BillingPeriod,
            "2024-02-29T00:00:00Z",
            Year,
            "2028-02-29T00:00:00Z",
            "2028-02-29T00:00:00Z",
            "2029-02-28T00:00:00Z",
        ),
        (
            Window::BillingPeriod,
            "2026-03-15T08:00:00Z",
            Month,
            "2025-12-15T07:59:59Z",
            "2025-11-15T08:00:00Z",
            "2025-12-15T08:00:00Z",
        ),
    ];
    for (window, anchor, interval, now, start, end) in table {
        let got = range(window, anchor, interval, now);
        assert_eq!(
            got,
            (start.to_owned(), end.to_owned()),
            "{window} from {anchor} at {now}"
        );
    }
}

#[test]
fn windows_are_written_and_read() {
    for text in [
        "hour",
        "day",
        "week",
        "month",
        "billing_period",
        "lifetime",
        "30m",
        "5h",
        "7d",
    ] {
        assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
    }
    for bad in [
        "",
        "h",
        "0h",
        "36d",
        "5",
        "-1h",
        "+1h",
        "5w",
        "1e1h",
        "99999999999d",
        "é",
    ] {
        assert_eq!(bad.parse::<Window>(), Err(InvalidWindow), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn every_instant_lies_in_one_window(anchor in 0..4_000_000_000_000_000_i64, now in 0..4_000_000_000_000_000_i64, year in proptest::bool::ANY) {
        let interval = if year { Interval::Year } else { Interval::Month };
        let anchor = Anchor { start: Timestamp::from_micros_clamped(anchor), interval };
        let now = Timestamp::from_micros_clamped(now);
        for window in [Window::Hour, Window::Day, Window::Week, Window::Month, Window::BillingPeriod] {
            let this = window.range(anchor, now);
            proptest::prop_assert!(this.contains(now), "{window}");
            let next = window.range(anchor, this.end);
            proptest::prop_assert_eq!(next.start, this.end);
        }
    }

    #[test]
    fn a_bucket_counts_until_it_lies_wholly_outside(minutes in 1..50_400_i64, now in 4_000_000_000_000_i64..4_000_000_000_000_000, back in 0..4_000_000_000_000_i64) {
        let length = Span::from_micros_clamped(minutes * 60_000_000);
        let buckets = Buckets::of(length);
        let now = Timestamp::from_micros_clamped(now);
        let used = Timestamp::from_micros_clamped(now.as_micros() - back);
        let counts = buckets.at(used) >= buckets.oldest(now);
        let inside = back < length.as_micros();
        proptest::prop_assert!(!inside || counts, "use inside the window always counts");
        proptest::prop_assert_eq!(counts, now < buckets.gone(buckets.at(used)));
        proptest::prop_assert!(buckets.at(now) - buckets.oldest(now) <= ROLLING_BUCKETS);
    }
}
