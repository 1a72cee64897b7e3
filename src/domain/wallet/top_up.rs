//! Asking for money when credits run low: once each time they do.

use serde::{Deserialize, Serialize};

use crate::domain::time::{Span, Timestamp};
use crate::domain::window::{Anchor, TimeRange, Window};

/// How long to wait after the first decline; each further one in a row doubles it.
pub const BACKOFF_MIN: Span = Span::from_minutes(15);
/// After how long a payment is asked for again whose outcome nobody noted.
pub const ASK_AGAIN: Span = Span::from_minutes(1);
/// Most characters of what a decline said that are kept.
pub const ERROR_MAX: usize = 256;
/// Most declines in a row; then it is off until somebody sets it again.
pub const DECLINES_MAX: u32 = 6;

/// Asks for money when what can be spent falls below a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoTopUp {
    /// Asked for when less than this can be spent, in micro-units.
    pub threshold: i64,
    /// What is asked for, in micro-units of credit.
    pub amount: i64,
    /// The most that is asked for in each window, in micro-units of credit.
    pub cap: i64,
    /// The window of the cap; not a rolling one.
    pub window: Window,
    /// The least time from one to the next.
    pub cool_down: Span,
    /// Where it stands.
    pub state: TopUpState,
}

/// Where an automatic top-up stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUpState {
    /// How often the balance fell below the threshold so far: names each crossing.
    pub crossing: i64,
    /// What the crossing asks for, in micro-units of credit, while it is not answered yet.
    pub pending: Option<i64>,
    /// Whether it was unset: nothing is asked for anew, and where it stands is kept for when it is set again.
    #[serde(default)]
    pub is_unset: bool,
    /// When the last crossing began: with its number it names the payment.
    pub fire_time: Option<Timestamp>,
    /// When its payment was last asked for.
    pub ask_time: Option<Timestamp>,
    /// Not before this.
    pub wait_until: Timestamp,
    /// Declines since the last success.
    pub declines: u32,
    /// What the last decline said, as far as it can be shown.
    pub last_error: Box<str>,
    /// The window in which `asked` counts.
    pub range: TimeRange,
    /// What was granted in it, and what is pending.
    pub asked: i64,
}

impl AutoTopUp {
    /// Sets one up that has never asked for anything.
    #[must_use]
    pub fn new(
        (threshold, amount): (i64, i64),
        (cap, window): (i64, Window),
        cool_down: Span,
        anchor: Anchor,
        now: Timestamp,
    ) -> Self {
        Self {
            threshold,
            amount,
            cap,
            window,
            cool_down,
            state: TopUpState {
                crossing: 0,
                pending: None,
                is_unset: false,
                fire_time: None,
                ask_time: None,
                wait_until: Timestamp::MIN,
                declines: 0,
                last_error: "".into(),
                range: window.range(anchor, now),
                asked: 0,
            },
        }
    }

    /// Takes over where the one before stood, save declines: whoever sets it anew wants another try.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>, now: Timestamp) -> Self {
        if let Some(before) = before {
            self.state.crossing = before.state.crossing;
            self.state.pending = before.state.pending;
            self.state.fire_time = before.state.fire_time;
            self.state.ask_time = before.state.ask_time;
            if before.state.declines == 0 {
                self.state.wait_until = before.state.wait_until;
            }
            if before.state.range.contains(now) && before.window == self.window {
                self.state.range = before.state.range;
                self.state.asked = before.state.asked;
            }
        }
        self
    }

    /// Unsets it. What is pending is still waited for, so that money that comes is not lost; where it stands is kept, so
    /// that whoever unsets and sets it does not get around its cap.
    #[must_use]
    pub const fn unset(mut self) -> Self {
        self.state.is_unset = true;
        self
    }

    /// Whether it is off because it was declined too often.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.state.declines >= DECLINES_MAX
    }

    /// Returns the instant from which on something is to be done, if so much can be spent: money to be asked for, or asked
    /// for again.
    #[must_use]
    pub fn due_time(&self, available: i64) -> Option<Timestamp> {
        let state = &self.state;
        if state.pending.is_some() {
            return Some(
                state
                    .ask_time
                    .map_or(Timestamp::MIN, |asked| asked.plus(ASK_AGAIN)),
            );
        }
        if state.is_unset || self.is_off() || available >= self.threshold || self.amount > self.cap
        {
            return None;
        }
        // What the window that is known has no room for waits for the next.
        let is_full = state.asked.saturating_add(self.amount) > self.cap;
        let room = if is_full {
            state.range.end
        } else {
            Timestamp::MIN
        };
        Some(room.max(state.wait_until))
    }

    /// Whether money is to be asked for now that was not yet.
    #[must_use]
    pub fn is_due(&self, available: i64, now: Timestamp) -> bool {
        self.state.pending.is_none() && self.due_time(available).is_some_and(|due| due <= now)
    }

    /// Whether money is to be asked for again, whose payment nobody noted.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.state.pending.is_some() && self.due_time(0).is_some_and(|due| due <= now)
    }

    /// Begins a crossing.
    pub fn fire(&mut self, anchor: Anchor, now: Timestamp) {
        let range = self.window.range(anchor, now);
        let state = &mut self.state;
        if state.range != range {
            (state.range, state.asked) = (range, 0);
        }
        state.asked = state.asked.saturating_add(self.amount);
        state.crossing += 1;
        state.pending = Some(self.amount);
        (state.fire_time, state.ask_time) = (Some(now), Some(now));
    }

    /// Notes that the payment of the crossing is asked for again.
    pub fn ask_again(&mut self, now: Timestamp) {
        self.state.ask_time = Some(now);
    }

    /// Puts off what cannot be asked for now, as nobody knows what the credits cost.
    pub fn put_off(&mut self, now: Timestamp) {
        if self.state.pending.is_some() {
            self.state.ask_time = Some(now);
        } else {
            self.state.wait_until = now.plus(ASK_AGAIN);
        }
    }

    /// Ends a crossing that brought money.
    pub fn succeed(&mut self, now: Timestamp) {
        let wait_until = now.plus(self.cool_down);
        let state = &mut self.state;
        state.pending = None;
        state.declines = 0;
        state.last_error = "".into();
        state.wait_until = wait_until;
    }

    /// Ends a crossing that was declined: the next try waits, longer each time.
    pub fn decline(&mut self, error: &str, now: Timestamp) {
        let state = &mut self.state;
        let asked = state.pending.take().unwrap_or(0);
        state.asked = state.asked.saturating_sub(asked).max(0);
        let readable = error.chars().filter(|char| !char.is_control());
        state.last_error = readable.take(ERROR_MAX).collect::<String>().into();
        let wait = BACKOFF_MIN.as_micros() << state.declines.min(16);
        state.declines += 1;
        state.wait_until = now.plus(Span::from_micros_clamped(wait));
    }
}
