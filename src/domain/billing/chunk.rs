//! A sealed amount of usage and its way to Stripe, where it has at most one effect.
//!
//! Stripe refuses an identifier that it has seen in the last 24 hours, so a chunk may be sent again and again until its
//! outcome is known, but no longer than [`DOUBT_AFTER`] from the first attempt on. What is not known by then is in doubt: it
//! waits for Stripe's own sums, or for somebody who decides, and holds up what comes after it.

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use crate::domain::id::MeterId;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;

/// From the first attempt on, how long a chunk of unknown outcome is sent again. Stripe remembers identifiers for at least
/// 24 hours; the rest is for clocks that differ and calls that take long.
pub const DOUBT_AFTER: Span = Span::from_hours(20);
/// How long whoever claimed a chunk usually has to send it and to say what came of it, before others may claim it.
pub const LEASE: Span = Span::from_minutes(2);
/// The age from which on usage is not sent any more: Stripe refuses what is older than 35 days.
pub const TOO_OLD: Span = Span::from_days(32);
/// The largest amount of one chunk: Stripe takes numbers of at most 15 digits.
const VALUE_MAX: i64 = 999_999_999_999_999;
/// The pause after the first attempt that came to nothing; it doubles with each, up to [`PAUSE_MAX`].
const PAUSE_MIN: Span = Span::from_millis(1_000);
/// The longest pause between two looks at a chunk that waits for another.
const TURN_MAX: Span = Span::from_minutes(5);
/// The longest pause between attempts.
const PAUSE_MAX: Span = Span::from_minutes(15);
/// Between two looks at Stripe's sums for a chunk that is in doubt.
const DOUBT_PAUSE: Span = Span::from_minutes(10);

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkState {
    /// It waits to be sent; nothing of it is at Stripe.
    Sealed,
    /// It was sent, or is about to be; its outcome is not known.
    Sending,
    /// Stripe has it.
    Delivered,
    /// Whether Stripe has it is not known, and it is too late to send it again.
    InDoubt,
    /// Stripe refused it for good.
    Failed,
}

impl ChunkState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Sealed,
        Self::Sending,
        Self::Delivered,
        Self::InDoubt,
        Self::Failed,
    ];

    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::InDoubt => "in_doubt",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more becomes of it by itself, so that what comes after it may be sent.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Delivered | Self::Failed => true,
            Self::Sealed | Self::Sending | Self::InDoubt => false,
        }
    }
}

/// A sealed amount of usage of one customer and meter. What it says never changes, only where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The meter.
    pub meter: MeterId,
    /// What Stripe calls the meter's events.
    pub event_name: Box<str>,
    /// Who the customer is at Stripe.
    pub payer: Box<str>,
    /// The billing period.
    pub period: TimeRange,
    /// Counts the chunks of the period, from 1.
    pub number: u32,
    /// Whole units; below zero where more was sealed before than is left after corrections. Never zero.
    pub value: i64,
    /// When it was sealed.
    pub seal_time: Timestamp,
    /// The instant that Stripe counts it at; inside the period.
    pub count_time: Timestamp,
    /// Names it at Stripe; at most 100 characters.
    pub identifier: Box<str>,
    /// Which life of the database sealed it, or took it over.
    pub incarnation: Box<str>,
    /// Where it stands.
    pub state: ChunkState,
    /// Counts its identifiers: it rises when it is sent again although it had one.
    pub generation: u32,
    /// How often it was claimed under its identifier.
    pub attempts: u32,
    /// When it was first claimed under its identifier.
    pub first_attempt: Option<Timestamp>,
    /// When it was last claimed.
    pub last_attempt: Option<Timestamp>,
    /// From when on there is something to do about it; `None`: nothing is.
    pub due_time: Option<Timestamp>,
    /// What went wrong last, for people.
    pub fault: Option<Box<str>>,
    /// Why Stripe may have dropped it after it took it: then it is not sent again by itself.
    #[serde(default)]
    pub suspicion: Option<Box<str>>,
    /// When its outcome became known.
    pub end_time: Option<Timestamp>,
}

/// What came of sending a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stripe took it, or has it from an earlier attempt.
    Delivered,
    /// It did not leave this machine, or Stripe turned it away without looking at it: nothing happened.
    Nothing {
        /// Why.
        why: Box<str>,
        /// How long Stripe asks to wait.
        after: Option<Span>,
    },
    /// Nobody knows.
    Unknown {
        /// Why.
        why: Box<str>,
    },
    /// Stripe refused it, and would again.
    Refused {
        /// Why.
        why: Box<str>,
    },
}

/// Why a chunk is not to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotClaimed {
    /// Its outcome is known, or is for others to find out.
    #[error("its outcome is not to be found out by sending it")]
    Settled,
    /// Somebody else sends it, or it waits.
    #[error("it is not due yet")]
    NotDue,
    /// Its outcome is not known, and it is too late to send it again.
    #[error("it is in doubt")]
    InDoubt,
    /// It is too old for Stripe.
    #[error("it is too old")]
    TooOld,
}

/// An amount has more digits than Stripe takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has more than 15 digits")]
pub struct ValueTooLong(pub i64);

impl Chunk {
    /// Refuses an amount that Stripe would refuse.
    ///
    /// # Errors
    /// When it has more than 15 digits.
    pub const fn check(value: i64) -> Result<(), ValueTooLong> {
        if value > VALUE_MAX || value < -VALUE_MAX {
            return Err(ValueTooLong(value));
        }
        Ok(())
    }

    /// Takes it for sending, until the lease is over. The attempt must be durable before anything is sent.
    ///
    /// # Errors
    /// When it is not to be sent now; it may stand elsewhere then, which is to be kept.
    pub fn claim(
        &mut self,
        (incarnation, lease): (&str, Span),
        now: Timestamp,
    ) -> Result<(), NotClaimed> {
        match self.state {
            ChunkState::Delivered | ChunkState::InDoubt | ChunkState::Failed => {
                return Err(NotClaimed::Settled);
            }
            ChunkState::Sealed | ChunkState::Sending => {}
        }
        // What another life of the database sealed may have been sent by it since.
        if *self.incarnation != *incarnation {
            self.adopt(incarnation, now);
            return Err(NotClaimed::InDoubt);
        }
        if !self.waits_its_turn() && self.due_time.is_some_and(|due| now < due) {
            return Err(NotClaimed::NotDue);
        }
        let late = self
            .first_attempt
            .is_some_and(|first| now.since(first) >= DOUBT_AFTER);
        if self.state == ChunkState::Sending && late {
            self.doubt("its outcome is not known", now);
            return Err(NotClaimed::InDoubt);
        }
        if now.since(self.count_time) >= TOO_OLD {
            if self.state == ChunkState::Sending {
                self.doubt(
                    "its outcome is not known, and it is too old to be sent again",
                    now,
                );
                return Err(NotClaimed::InDoubt);
            }
            self.fail("it is older than Stripe takes", now);
            return Err(NotClaimed::TooOld);
        }
        if self.state == ChunkState::Sealed {
            // Nothing of it is at Stripe: the time for sending it again begins anew.
            self.first_attempt = Some(now);
        }
        self.state = ChunkState::Sending;
        self.attempts = self.attempts.saturating_add(1);
        self.last_attempt = Some(now);
        self.due_time = Some(now.plus(lease));
        Ok(())
    }

    /// Lets another of its customer and meter go first. The longer it waits the less often it is looked at; it is woken when
    /// the other is done.
    pub fn wait_for_another(&mut self, now: Timestamp) {
        if self.state == ChunkState::Sealed {
            let pause = now.since(self.seal_time).clamp(PAUSE_MIN, TURN_MAX);
            self.due_time = Some(now.plus(pause));
        }
    }

    /// Whether nothing was tried yet: whose turn it is alone says when.
    fn waits_its_turn(&self) -> bool {
        self.state == ChunkState::Sealed && self.fault.is_none()
    }

    /// Has it sent now if it waits its turn; false when it does not.
    pub fn wake(&mut self, now: Timestamp) -> bool {
        let waits = self.waits_its_turn() && self.due_time.is_some_and(|due| now < due);
        if waits {
            self.due_time = Some(now);
        }
        waits
    }

    /// Notes what came of sending it. Once its outcome is known nothing changes that.
    pub fn settle(&mut self, outcome: &Outcome, now: Timestamp) {
        if self.state.is_final() {
            return;
        }
        match outcome {
            Outcome::Delivered => self.delivered(now),
            Outcome::Nothing { why, after } => {
                // Nothing happened this time; an earlier attempt may have had its effect.
                if self.state == ChunkState::Sending && self.attempts <= 1 {
                    self.state = ChunkState::Sealed;
                    self.attempts = 0;
                }
                let pause = after.map_or(self.pause(), |after| after.max(self.pause()));
                self.wait(why, pause, now);
            }
            Outcome::Unknown { why } => self.wait(why, self.pause(), now),
            Outcome::Refused { why } => self.fail(why, now),
        }
    }

    /// Sends it once more under a new identifier, as somebody decided who knows that Stripe does not have it.
    ///
    /// # Errors
    /// When Stripe has it, or it is on its way.
    pub fn requeue(
        &mut self,
        (fresh, incarnation): (&str, &str),
        now: Timestamp,
    ) -> Result<(), NotClaimed> {
        match self.state {
            ChunkState::Failed | ChunkState::InDoubt => {
                self.incarnation = incarnation.into();
                self.begin_anew(fresh, now);
                Ok(())
            }
            ChunkState::Sealed | ChunkState::Sending => Err(NotClaimed::NotDue),
            ChunkState::Delivered => Err(NotClaimed::Settled),
        }
    }

    fn begin_anew(&mut self, fresh: &str, now: Timestamp) {
        self.state = ChunkState::Sealed;
        self.identifier = fresh.into();
        self.generation += 1;
        self.attempts = 0;
        self.first_attempt = None;
        self.due_time = Some(now);
        self.end_time = None;
    }

    /// Notes what Stripe's sums say of a chunk in doubt. One that they do not have is sent again under a new identifier.
    pub fn resolve(
        &mut self,
        evidence: Evidence,
        (fresh, incarnation): (&str, &str),
        now: Timestamp,
    ) {
        if self.state != ChunkState::InDoubt {
            return;
        }
        if *self.incarnation != *incarnation {
            // Another life of the database may have sent it since, too lately for the sums to show it.
            self.adopt(incarnation, now);
            return;
        }
        match evidence {
            Evidence::Counted => self.delivered(now),
            Evidence::Missing => match self.suspicion.take() {
                // It would be dropped again.
                Some(why) => self.fail(&why, now),
                None => self.begin_anew(fresh, now),
            },
            Evidence::Unclear => self.due_time = Some(now.plus(DOUBT_PAUSE)),
        }
    }

    fn delivered(&mut self, now: Timestamp) {
        self.state = ChunkState::Delivered;
        self.due_time = None;
        self.fault = None;
        self.suspicion = None;
        self.end_time = Some(now);
    }

    fn fail(&mut self, why: &str, now: Timestamp) {
        self.state = ChunkState::Failed;
        self.due_time = None;
        self.fault = Some(why.into());
        self.end_time = Some(now);
    }

    /// Notes that Stripe took it and then did not count it; false when that is known, or another attempt is on its way.
    pub fn refuse_late(&mut self, why: &str, now: Timestamp) -> bool {
        match self.state {
            ChunkState::Delivered | ChunkState::Sending | ChunkState::InDoubt => {
                self.fail(why, now);
                true
            }
            ChunkState::Sealed | ChunkState::Failed => false,
        }
    }

    /// Notes that Stripe may not have counted it, although it took it; false when its outcome is not known anyway.
    pub fn question(&mut self, why: &str, now: Timestamp) -> bool {
        match self.state {
            ChunkState::Delivered => {
                self.suspicion = Some(why.into());
                self.end_time = None;
                self.doubt(why, now);
                true
            }
            ChunkState::Sealed | ChunkState::Sending | ChunkState::InDoubt | ChunkState::Failed => {
                false
            }
        }
    }

    /// Takes over what another life of the database left, in doubt from now on.
    fn adopt(&mut self, incarnation: &str, now: Timestamp) {
        self.incarnation = incarnation.into();
        self.doubt("another life of the database may have sent it", now);
    }

    fn doubt(&mut self, why: &str, now: Timestamp) {
        self.state = ChunkState::InDoubt;
        self.due_time = Some(now.plus(DOUBT_PAUSE));
        self.fault = Some(why.into());
    }

    fn wait(&mut self, why: &str, pause: Span, now: Timestamp) {
        self.fault = Some(why.into());
        self.due_time = Some(now.plus(pause));
    }

    fn pause(&self) -> Span {
        let doubled = PAUSE_MIN.as_micros() << self.attempts.saturating_sub(1).min(20);
        Span::from_micros_clamped(doubled.min(PAUSE_MAX.as_micros()))
    }
}
