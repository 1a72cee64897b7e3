//! How many calls are under way, and what they hold.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Debug, Default)]
struct State {
    now: usize,
    most: usize,
    held: HashSet<String>,
}

/// The calls under way.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight {
    state: Arc<Mutex<State>>,
}

/// A call under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Underway {
    state: Arc<Mutex<State>>,
}

/// Something that one call at a time may use; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    state: Arc<Mutex<State>>,
    name: String,
}

impl InFlight {
    /// Counts one more call.
    pub(super) fn begin(&self) -> Underway {
        let mut state = self.state.lock();
        state.now += 1;
        state.most = state.most.max(state.now);
        Underway {
            state: Arc::clone(&self.state),
        }
    }

    /// Takes what only one call may use; `None`: another uses it.
    pub(super) fn hold(&self, name: String) -> Option<Held> {
        let fresh = self.state.lock().held.insert(name.clone());
        fresh.then(|| Held {
            state: Arc::clone(&self.state),
            name,
        })
    }

    pub(super) fn most(&self) -> usize {
        self.state.lock().most
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.state.lock().now -= 1;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.lock().held.remove(&self.name);
    }
}
