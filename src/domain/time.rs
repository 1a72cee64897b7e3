//! Instants and spans in whole microseconds, UTC.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01T00:00:00Z, at most the end of the year 9999.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A length of time in microseconds, never negative.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Takes microseconds since the epoch; out of range is `None`.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 {
            None
        } else {
            Some(Self(micros))
        }
    }

    /// Takes microseconds since the epoch; out of range becomes the nearest bound.
    #[must_use]
    pub const fn from_micros_clamped(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Returns microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the instant `span` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self::from_micros_clamped(self.0.saturating_add(span.0))
    }

    /// Returns the instant `span` earlier, at least [`Timestamp::MIN`].
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self::from_micros_clamped(self.0.saturating_sub(span.0))
    }

    /// Returns how long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_micros_clamped(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => fmt::Display::fmt(&instant, f),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// Takes microseconds; negative becomes zero.
    #[must_use]
    pub const fn from_micros_clamped(micros: i64) -> Self {
        if micros < 0 { Self(0) } else { Self(micros) }
    }

    /// Takes milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64 * 1_000)
    }

    /// Takes seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000)
    }

    /// Takes minutes.
    #[must_use]
    pub const fn from_minutes(minutes: u32) -> Self {
        Self(minutes as i64 * 60_000_000)
    }

    /// Takes hours.
    #[must_use]
    pub const fn from_hours(hours: u32) -> Self {
        Self(hours as i64 * 3_600_000_000)
    }

    /// Takes days of 24 hours.
    #[must_use]
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * 86_400_000_000)
    }

    /// Returns microseconds.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}
