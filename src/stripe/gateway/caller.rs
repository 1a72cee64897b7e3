//! Makes calls: in turn, repeated where that is safe, their answers read.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tracing::debug;

use super::fault::Fault;
use super::pace::{Pace, Pauses, Rates, Repeats};
use super::transport::{Transport, TransportFault};
use super::wire::{Method, Request, Response};

/// Makes calls through a transport.
pub struct Caller {
    transport: Arc<dyn Transport>,
    pace: Pace,
    pauses: Pauses,
}

/// How a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Repeated where that is safe.
    Repeated,
    /// Repeated, for it only looks as if it changed something.
    Harmless,
    /// Sent once, among the meter events. Whoever sends those keeps account of each attempt.
    OnceAsMeterEvent,
}

impl Caller {
    /// Makes it. `seed` is different for each process, so that their pauses are.
    pub fn new(transport: Arc<dyn Transport>, rates: Rates, repeats: Repeats, seed: u64) -> Self {
        Self {
            transport,
            pace: Pace::new(rates),
            pauses: Pauses::new(repeats, seed),
        }
    }

    /// Makes a call and reads its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        request: &Request,
        manner: Manner,
    ) -> Result<T, Fault> {
        let response = self.attempts(request, manner).await?;
        serde_json::from_slice(&response.body).map_err(|error| Fault::unreadable(&response, &error))
    }

    async fn attempts(&self, request: &Request, manner: Manner) -> Result<Response, Fault> {
        let mut attempt = 1;
        loop {
            self.pace.turn(manner == Manner::OnceAsMeterEvent).await;
            let sent = self.transport.send(request).await;
            if let Ok(response) = &sent
                && (200..300).contains(&response.status)
            {
                return sent.map_err(Fault::from);
            }
            let retry_after = sent.as_ref().ok().and_then(|response| response.retry_after);
            let fault = match &sent {
                Ok(response) => Fault::of_response(response),
                Err(fault) => Fault::from(fault.clone()),
            };
            let pause = if may_repeat(request, manner, &sent) {
                self.pauses.after(attempt, retry_after)
            } else {
                None
            };
            let Some(pause) = pause else {
                return Err(fault);
            };
            debug!(path = request.path, attempt, ?pause, %fault, "a call to Stripe is repeated");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Returns whether a call that failed may be made again: it did not leave, or it does the same when
/// it arrives twice and there is hope.
fn may_repeat(request: &Request, manner: Manner, sent: &Result<Response, TransportFault>) -> bool {
    let harmless = match (manner, request.method) {
        (Manner::OnceAsMeterEvent, _) => return false,
        (Manner::Harmless, _) | (Manner::Repeated, Method::Get) => true,
        (Manner::Repeated, Method::Post | Method::Delete) => request.idempotency_key.is_some(),
    };
    match sent {
        Err(TransportFault::NotSent(_)) => true,
        Err(TransportFault::Unknown(_)) => harmless,
        Ok(response) => {
            let hopeful = response
                .should_retry
                .unwrap_or(matches!(response.status, 409 | 424 | 429 | 500 | 502..=504));
            harmless && hopeful
        }
    }
}

#[cfg(test)]
mod tests;
