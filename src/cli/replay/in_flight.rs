//! Many calls at a time, but not too many.

use tokio::task::{JoinError, JoinSet};
use tonic::Status;

use crate::cli::connect::describe;
use crate::cli::failure::Failure;

/// Most calls under way at a time.
const CALLS_MAX: usize = 64;

/// Calls under way, of which the first that fails ends the replay.
pub struct InFlight<T> {
    calls: JoinSet<Result<T, Status>>,
    what: &'static str,
}

impl<T: Send + 'static> InFlight<T> {
    /// Starts with none; `what` says what the calls do, as a verb.
    pub fn new(what: &'static str) -> Self {
        Self {
            calls: JoinSet::new(),
            what,
        }
    }

    /// Starts a call; when there are as many as may be, waits for one to end first and returns what it gave.
    ///
    /// # Errors
    /// When that one failed.
    pub async fn start(
        &mut self,
        call: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        let ended = if self.calls.len() < CALLS_MAX {
            self.calls.try_join_next()
        } else {
            self.calls.join_next().await
        };
        self.calls.spawn(call);
        self.outcome(ended)
    }

    /// Waits for the next call to end; `None` when there is none.
    ///
    /// # Errors
    /// When it failed.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        let ended = self.calls.join_next().await;
        self.outcome(ended)
    }

    fn outcome(
        &self,
        ended: Option<Result<Result<T, Status>, JoinError>>,
    ) -> Result<Option<T>, Failure> {
        let Some(ended) = ended else { return Ok(None) };
        ended
            .map_err(|error| Failure::Unusable(format!("cannot {}: {error}", self.what)))?
            .map(Some)
            .map_err(|status| Failure::Refused {
                what: self.what,
                why: describe(&status),
            })
    }
}
