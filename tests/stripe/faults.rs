//! What goes wrong, and with which calls: a script of the next calls, or a seeded mix.

use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

use super::{Method, Request};

/// What goes wrong with one call. Refused connections are not among them, since nothing is known of a call before its
/// first byte: see [`super::Door`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed and nothing happened.
    CloseBeforeEffect,
    /// Nothing happens, and no answer comes until the client gives up.
    TimeoutBeforeEffect,
    /// It happens, and no answer comes until the client gives up.
    TimeoutAfterEffect,
    /// It happens, and the connection is reset.
    ResetAfterEffect,
    /// Nothing happens, and the answer is a 500 of Stripe's.
    Error500BeforeEffect,
    /// It happens, and the answer is a 500. It is not saved: under the same idempotency key the next answer is the true
    /// one.
    Error500AfterEffect,
    /// It happens, and the answer is a 500, which Stripe saves: under the same idempotency key it comes again for a day.
    SavedError500AfterEffect,
    /// Nothing happens, and the answer is a 429.
    RateLimited {
        /// `Stripe-Rate-Limited-Reason`; `None`: no such header, as after a lock timeout.
        reason: Option<String>,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// Nothing happens, and something on the way answers 502 in HTML.
    HtmlBadGateway,
    /// It happens, and something on the way answers 502 in HTML.
    HtmlBadGatewayAfterEffect,
    /// It takes so long before it happens, whether or not the client waits.
    Slow(Duration),
    /// It happens, and the body of the answer is cut off.
    Truncated,
}

/// Which calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// `None`: any.
    pub method: Option<Method>,
    /// What the path starts with; empty: any.
    pub path_prefix: String,
    /// What the body or the query holds, as it is written there: the id of a customer; empty: anything.
    pub holds: String,
}

impl Calls {
    /// Returns every call.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            method: None,
            path_prefix: String::new(),
            holds: String::new(),
        }
    }

    /// Returns the calls of a method whose path starts so.
    #[must_use]
    pub fn of(method: Method, path_prefix: &str) -> Self {
        Self {
            method: Some(method),
            path_prefix: path_prefix.to_owned(),
            holds: String::new(),
        }
    }

    /// Returns those of them whose body or query holds a text, as it is written there.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        text.clone_into(&mut self.holds);
        self
    }

    /// Returns whether a call is one of them.
    #[must_use]
    pub fn fit(&self, call: &Request) -> bool {
        self.method.is_none_or(|one| one == call.method)
            && call.path.starts_with(&self.path_prefix)
            && (call.body.contains(&self.holds) || call.query.contains(&self.holds))
    }
}

#[derive(Debug)]
struct Scripted {
    calls: Calls,
    fault: Fault,
    left: usize,
}

#[derive(Debug)]
struct Mix {
    calls: Calls,
    per_mille: u32,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct State {
    script: Vec<Scripted>,
    mixes: Vec<Mix>,
    random: Pcg64,
    happened: Vec<(Fault, String)>,
}

/// What goes wrong from now on. The script comes before the mixes.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(State {
                script: Vec::new(),
                mixes: Vec::new(),
                random: Pcg64::seed_from_u64(seed),
                happened: Vec::new(),
            }),
        }
    }

    /// Lets the next `count` of these calls go wrong, after what the script holds for them already.
    pub fn next(&self, count: usize, calls: Calls, fault: Fault) {
        self.state.lock().script.push(Scripted {
            calls,
            fault,
            left: count,
        });
    }

    /// Lets so many in a thousand of these calls go wrong, each in one of the ways.
    pub fn mix(&self, per_mille: u32, calls: Calls, faults: Vec<Fault>) {
        self.state.lock().mixes.push(Mix {
            calls,
            per_mille,
            faults,
        });
    }

    /// Lets nothing go wrong from now on.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.script.clear();
        state.mixes.clear();
    }

    /// Returns how many calls the script still waits for.
    #[must_use]
    pub fn left(&self) -> usize {
        self.state.lock().script.iter().map(|one| one.left).sum()
    }

    /// Returns what went wrong so far, with the path of the call, oldest first.
    #[must_use]
    pub fn happened(&self) -> Vec<(Fault, String)> {
        self.state.lock().happened.clone()
    }

    /// Takes what goes wrong with a call.
    pub(super) fn take(&self, call: &Request) -> Option<Fault> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let scripted = state
            .script
            .iter_mut()
            .find(|one| one.left > 0 && one.calls.fit(call));
        let fault = if let Some(one) = scripted {
            one.left -= 1;
            Some(one.fault.clone())
        } else {
            drawn(&state.mixes, &mut state.random, call)
        };
        state.script.retain(|one| one.left > 0);
        if let Some(fault) = &fault {
            state.happened.push((fault.clone(), call.path.clone()));
        }
        fault
    }
}

fn drawn(mixes: &[Mix], random: &mut Pcg64, call: &Request) -> Option<Fault> {
    for mix in mixes.iter().filter(|mix| mix.calls.fit(call)) {
        if !mix.faults.is_empty() && random.random_range(0..1_000) < mix.per_mille {
            let at = random.random_range(0..mix.faults.len());
            return mix.faults.get(at).cloned();
        }
    }
    None
}
