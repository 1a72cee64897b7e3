//! Every call as it came.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::Fault;

/// One call as it came, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Counts calls from 1 on, in the order in which their bodies had come.
    pub number: u64,
    /// The method in HTTP, whatever it was.
    pub method: String,
    /// The path, from `/v1` on.
    pub path: String,
    /// What stood behind the question mark.
    pub query: String,
    /// The body; bytes that are no UTF-8 are replaced.
    pub body: String,
    /// `Stripe-Version`.
    pub version: Option<String>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// The connection it came on, counted from 1.
    pub connection: u64,
    /// What went wrong with it on purpose.
    pub fault: Option<Fault>,
    /// The status that it was answered with; `None`: no answer, or none yet.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Recorded>,
    count: u64,
}

/// The calls so far; of many, the last ones.
#[derive(Debug)]
pub(super) struct Records {
    state: Mutex<State>,
    most: usize,
}

impl Records {
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            most,
        }
    }

    /// Notes a call and returns its number.
    pub(super) fn note(&self, mut call: Recorded) -> u64 {
        let mut state = self.state.lock();
        state.count += 1;
        call.number = state.count;
        if state.kept.len() >= self.most {
            state.kept.pop_front();
        }
        if self.most > 0 {
            state.kept.push_back(call);
        }
        state.count
    }

    /// Changes what is noted of a call, unless it is forgotten.
    pub(super) fn amend(&self, number: u64, change: impl FnOnce(&mut Recorded)) {
        let mut state = self.state.lock();
        let after = state.count - number;
        let at = u64::try_from(state.kept.len())
            .ok()
            .and_then(|kept| kept.checked_sub(after + 1))
            .and_then(|at| usize::try_from(at).ok());
        if let Some(call) = at.and_then(|at| state.kept.get_mut(at)) {
            change(call);
        }
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.state.lock().kept.iter().cloned().collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.state.lock().count
    }
}
