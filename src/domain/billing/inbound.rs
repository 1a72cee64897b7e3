//! Webhooks that came: what they are about, and what became of them.

use serde::{Deserialize, Serialize};

use crate::domain::time::{Span, Timestamp};

/// The pause after the first time that a webhook could not be worked on; it doubles with each, up to [`PAUSE_MAX`].
const PAUSE_MIN: Span = Span::from_secs(2);
/// The longest such pause.
const PAUSE_MAX: Span = Span::from_hours(1);
/// How long what became of a webhook is remembered, so that the same is not taken twice: as long as Stripe may send it.
const REMEMBERED: Span = Span::from_days(31);

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboundState {
    /// It waits to be worked on.
    Waiting,
    /// What it is about was looked at.
    Done,
    /// It is about nothing that is of concern here.
    Ignored,
    /// It makes no sense.
    Malformed,
}

impl InboundState {
    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Malformed => "malformed",
        }
    }
}

/// A webhook that came. What it says of its object is not believed; it only says what to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// The type of the event, such as `invoice.paid`.
    pub kind: Box<str>,
    /// The id of the object that it is about.
    pub object: Option<Box<str>>,
    /// The customer of Stripe's that it concerns.
    pub payer: Option<Box<str>>,
    /// The payment that it concerns.
    #[serde(default)]
    pub payment: Option<Box<str>>,
    /// A payment or an invoice through which the customer is found, where the object does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Box<str>>,
    /// The version of the API that it is written in.
    pub api_version: Option<Box<str>>,
    /// Whether money is real.
    pub livemode: bool,
    /// When Stripe made it; seconds decide nothing.
    pub create_time: Timestamp,
    /// When it came here.
    pub receive_time: Timestamp,
    /// What became of it.
    pub state: InboundState,
    /// How often it was worked on without success.
    pub attempts: u32,
    /// What went wrong last, for people.
    pub fault: Option<Box<str>>,
    /// When there is something to do about it: to work on it, or to forget it.
    pub due_time: Timestamp,
}

impl Inbound {
    /// Notes that it is done with, and when it may be forgotten.
    pub fn end(&mut self, state: InboundState, now: Timestamp) {
        self.state = state;
        self.due_time = now.plus(REMEMBERED);
    }

    /// Whether it is done with, and only remembered.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        match self.state {
            InboundState::Waiting => false,
            InboundState::Done | InboundState::Ignored | InboundState::Malformed => true,
        }
    }

    /// Lets it be worked on once more, as if it had just come.
    pub fn wait_again(&mut self, now: Timestamp) {
        self.state = InboundState::Waiting;
        self.attempts = 0;
        self.fault = None;
        self.due_time = now;
    }

    /// Notes that it could not be worked on, and when to try again.
    pub fn fail(&mut self, why: &str, now: Timestamp) {
        let doubled = PAUSE_MIN.as_micros() << self.attempts.min(20);
        let pause = Span::from_micros_clamped(doubled.min(PAUSE_MAX.as_micros()));
        self.attempts = self.attempts.saturating_add(1);
        self.fault = Some(why.into());
        self.due_time = now.plus(pause);
    }
}
