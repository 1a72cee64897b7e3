//! Keys that let a call be repeated: the first answer is given again.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::{Request, Response};

/// How long an answer is kept.
const KEPT_SECONDS: i64 = 24 * 3_600;

/// The answers that can be given again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Keys {
    saved: BTreeMap<String, Saved>,
    order: VecDeque<(i64, String)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    fingerprint: String,
    status: u16,
    request_id: Option<String>,
    should_retry: Option<bool>,
    body: String,
}

impl Keys {
    /// Returns the answer that was given under a key; `None`: it is new.
    pub(super) fn replay(&self, key: &str, request: &Request) -> Result<Option<Response>, Fault> {
        let Some(saved) = self.saved.get(key) else {
            return Ok(None);
        };
        if saved.fingerprint != fingerprint(request) {
            return Err(Fault::other_request(key));
        }
        Ok(Some(Response {
            status: saved.status,
            should_retry: saved.should_retry,
            retry_after: None,
            rate_limited_reason: None,
            request_id: saved.request_id.clone(),
            body: saved.body.clone().into_bytes(),
        }))
    }

    /// Keeps an answer, unless it says that the call did not begin to run.
    pub(super) fn keep(&mut self, key: &str, request: &Request, answer: &Response, now: i64) {
        if matches!(answer.status, 409 | 429) {
            return;
        }
        let saved = Saved {
            fingerprint: fingerprint(request),
            status: answer.status,
            request_id: answer.request_id.clone(),
            should_retry: answer.should_retry,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        };
        self.saved.insert(key.to_owned(), saved);
        self.order.push_back((now, key.to_owned()));
    }

    /// Forgets answers that are older than a day.
    pub(super) fn expire(&mut self, now: i64) {
        while let Some((_, key)) = self.order.pop_front_if(|(at, _)| *at + KEPT_SECONDS <= now) {
            self.saved.remove(&key);
        }
    }
}

fn fingerprint(request: &Request) -> String {
    let mut hash = Sha256::new();
    for part in [
        request.method.as_str(),
        &request.path,
        &request.query,
        &request.body,
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut hex = String::new();
    for byte in hash.finalize() {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
