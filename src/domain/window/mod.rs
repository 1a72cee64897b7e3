//! Windows in which use counts: where they start and end.
//!
//! Calendar windows step from the customer's billing anchor, so a day of a customer that came at 10:37 starts
//! at 10:37. Months are counted from the anchor itself: a 31st becomes the last day of shorter months and
//! returns to the 31st, and 29 February returns in leap years.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::catalog::Interval;
use super::time::{Span, Timestamp};

/// Number of buckets in the ring of a rolling window.
pub const ROLLING_BUCKETS: i64 = 60;

/// A stretch of time in which use counts against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Window {
    /// 60 minutes, stepping from the anchor.
    Hour,
    /// 24 hours, stepping from the anchor.
    Day,
    /// 7 days, stepping from the anchor.
    Week,
    /// A calendar month, stepping from the anchor.
    Month,
    /// The interval of the subscription, stepping from the anchor.
    BillingPeriod,
    /// From the beginning, without end.
    Lifetime,
    /// The time just passed, of this length; at least one minute, at most 35 days.
    Rolling(Span),
}

/// Shortest rolling window.
pub const ROLLING_MIN: Span = Span::from_minutes(1);
/// Longest rolling window: as far back as events are accepted.
pub const ROLLING_MAX: Span = Span::from_days(35);

/// What a text that is not a window should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be hour, day, week, month, billing_period, lifetime, or a rolling length of 1m to 35d such as 30m, 5h or 7d"
)]
pub struct InvalidWindow;

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour => f.write_str("hour"),
            Self::Day => f.write_str("day"),
            Self::Week => f.write_str("week"),
            Self::Month => f.write_str("month"),
            Self::BillingPeriod => f.write_str("billing_period"),
            Self::Lifetime => f.write_str("lifetime"),
            Self::Rolling(length) => {
                let minutes = length.as_micros() / 60_000_000;
                if minutes % 1440 == 0 {
                    write!(f, "{}d", minutes / 1440)
                } else if minutes % 60 == 0 {
                    write!(f, "{}h", minutes / 60)
                } else {
                    write!(f, "{minutes}m")
                }
            }
        }
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        Ok(match text {
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "billing_period" => Self::BillingPeriod,
            "lifetime" => Self::Lifetime,
            rolling => {
                let (number, unit) = rolling
                    .split_at_checked(rolling.len().saturating_sub(1))
                    .ok_or(InvalidWindow)?;
                let minutes: i64 = match unit {
                    "m" => 1,
                    "h" => 60,
                    "d" => 1440,
                    _ => return Err(InvalidWindow),
                };
                if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(InvalidWindow);
                }
                let count: u32 = number.parse().map_err(|_| InvalidWindow)?;
                let length = Span::from_micros_clamped(i64::from(count) * minutes * 60_000_000);
                if length < ROLLING_MIN || length > ROLLING_MAX {
                    return Err(InvalidWindow);
                }
                Self::Rolling(length)
            }
        })
    }
}

impl TryFrom<String> for Window {
    type Error = InvalidWindow;

    fn try_from(text: String) -> Result<Self, InvalidWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

/// From where a customer's calendar windows step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The instant of a step: when the customer or its subscription began.
    pub start: Timestamp,
    /// The length of a billing period.
    pub interval: Interval,
}

/// A half-open stretch of time, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first instant inside.
    pub start: Timestamp,
    /// The first instant after.
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALWAYS: Self = Self {
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };

    /// Whether the instant lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

impl Window {
    /// Returns the stretch that holds `at`. For a rolling window: the time just passed, up to and including `at`.
    #[must_use]
    pub fn range(self, anchor: Anchor, at: Timestamp) -> TimeRange {
        match self {
            Self::Hour => stepped(anchor.start, Span::from_hours(1), at),
            Self::Day => stepped(anchor.start, Span::from_days(1), at),
            Self::Week => stepped(anchor.start, Span::from_days(7), at),
            Self::Month => months(anchor.start, 1, at),
            Self::BillingPeriod => match anchor.interval {
                Interval::Month => months(anchor.start, 1, at),
                Interval::Year => months(anchor.start, 12, at),
            },
            Self::Lifetime => TimeRange::ALWAYS,
            Self::Rolling(length) => {
                let end = Timestamp::from_micros_clamped(at.as_micros().saturating_add(1));
                TimeRange {
                    start: end.minus(length),
                    end,
                }
            }
        }
    }
}

/// Returns the step of fixed length that holds `at`.
fn stepped(anchor: Timestamp, step: Span, at: Timestamp) -> TimeRange {
    let offset = (at.as_micros() - anchor.as_micros()).rem_euclid(step.as_micros());
    let start = at.as_micros() - offset;
    TimeRange {
        start: Timestamp::from_micros_clamped(start),
        end: Timestamp::from_micros_clamped(start + step.as_micros()),
    }
}

/// Returns the step of whole months that holds `at`.
fn months(anchor: Timestamp, step: i32, at: Timestamp) -> TimeRange {
    let estimate = {
        let (from, to) = (civil(anchor), civil(at));
        let apart = (i32::from(to.year()) - i32::from(from.year())) * 12 + i32::from(to.month())
            - i32::from(from.month());
        apart.div_euclid(step)
    };
    // The month arithmetic can be one step late, never early: the day of the month may not be reached yet.
    let mut step_no = estimate;
    let mut start = month_step(anchor, step_no * step);
    if start > at {
        step_no -= 1;
        start = month_step(anchor, step_no * step);
    }
    TimeRange {
        start,
        end: month_step(anchor, (step_no + 1) * step),
    }
}

/// Returns the instant so many calendar months later; a day that the month lacks becomes its last.
#[must_use]
pub fn months_later(from: Timestamp, count: u32) -> Timestamp {
    month_step(from, i32::try_from(count).unwrap_or(i32::MAX))
}

/// Returns the anchor moved by a number of months, clamped to the length of the month it lands in.
fn month_step(anchor: Timestamp, months: i32) -> Timestamp {
    civil(anchor)
        .checked_add(months.months())
        .and_then(|moved| moved.to_zoned(TimeZone::UTC))
        .map_or(
            if months < 0 {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            },
            |moved| Timestamp::from_micros_clamped(moved.timestamp().as_microsecond()),
        )
}

fn civil(at: Timestamp) -> jiff::civil::DateTime {
    jiff::Timestamp::from_microsecond(at.as_micros())
        .map_or(jiff::civil::DateTime::MIN, |instant| {
            TimeZone::UTC.to_datetime(instant)
        })
}

/// The buckets of a rolling window.
///
/// Bucket `n` covers `[n × width, (n + 1) × width)` since the epoch. Use stays counted until its whole bucket
/// lies outside the window, so a rolling window may count up to one bucket width (length / 60) too long, never
/// too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Width of one bucket in microseconds.
    width: i64,
    length: i64,
}

impl Buckets {
    /// Divides a rolling window into [`ROLLING_BUCKETS`] buckets.
    #[must_use]
    pub const fn of(length: Span) -> Self {
        let width = (length.as_micros() + ROLLING_BUCKETS - 1) / ROLLING_BUCKETS;
        Self {
            width: if width < 1 { 1 } else { width },
            length: length.as_micros(),
        }
    }

    /// Returns the number of the bucket that holds `at`.
    #[must_use]
    pub const fn at(self, at: Timestamp) -> i64 {
        at.as_micros() / self.width
    }

    /// Returns the oldest bucket that still counts at `now`.
    #[must_use]
    pub const fn oldest(self, now: Timestamp) -> i64 {
        // Bucket n ends at (n + 1) × width; it counts while that end lies after now − length.
        let edge = now.as_micros() - self.length;
        if edge < 0 { 0 } else { edge / self.width }
    }

    /// Returns the instant at which a bucket stops to count.
    #[must_use]
    pub const fn gone(self, bucket: i64) -> Timestamp {
        Timestamp::from_micros_clamped((bucket + 1) * self.width + self.length)
    }

    /// Returns the first instant of a bucket.
    #[must_use]
    pub const fn start(self, bucket: i64) -> Timestamp {
        Timestamp::from_micros_clamped(bucket * self.width)
    }
}

#[cfg(test)]
mod tests;
