//! A gateway whose requests are written down and answered by something that says yes to all.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bursar::stripe::gateway::{
    Answer, Caller, Gateway, Metadata, Rates, Recorder, Repeats, Transport, TransportFault,
};
use bursar::stripe::wire::{Request, Response};
use serde::Serialize;

pub struct Rig {
    pub gateway: Gateway,
    recorder: Arc<Recorder<Stub>>,
    lines: Mutex<Vec<Line>>,
}

/// A request, and the method that made it.
#[derive(Clone, Serialize)]
pub struct Line {
    pub call: &'static str,
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub body: String,
    pub keyed: bool,
}

/// Gives the answers that it has, in their order, and then one that fits all.
struct Stub {
    answers: Mutex<VecDeque<Option<String>>>,
}

const FITS_ALL: &str = r#"{"id": "object_1", "data": []}"#;

#[async_trait]
impl Transport for Stub {
    async fn send(&self, _: &Request) -> Result<Response, TransportFault> {
        let answer = self.answers.lock().unwrap().pop_front().flatten();
        Ok(Response {
            status: 200,
            should_retry: None,
            retry_after: None,
            rate_limited_reason: None,
            request_id: None,
            body: answer.unwrap_or_else(|| FITS_ALL.to_owned()).into_bytes(),
        })
    }
}

impl Rig {
    pub fn new(answers: impl IntoIterator<Item = Option<String>>) -> Self {
        let answers = Mutex::new(answers.into_iter().collect());
        let recorder = Arc::new(Recorder::kept(Stub { answers }));
        let rates = Rates {
            calls: NonZeroU32::new(100_000).unwrap(),
            meter_events: None,
        };
        let caller = Caller::new(recorder.clone(), rates, Repeats::default(), 7);
        Self {
            gateway: Gateway::new(caller),
            recorder,
            lines: Mutex::default(),
        }
    }

    /// Takes down the one request that a call made.
    pub fn note<T>(&self, call: &'static str, answer: Answer<T>) {
        if let Err(fault) = answer {
            panic!("{call}: {fault}");
        }
        let requests = self.recorder.take();
        assert_eq!(requests.len(), 1, "{call}");
        for request in requests {
            self.lines.lock().unwrap().push(Line {
                call,
                method: request.method.as_str(),
                path: request.path,
                query: request.query,
                body: request.body,
                keyed: request.idempotency_key.is_some(),
            });
        }
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    pub fn to_json_lines(&self) -> String {
        let lines = self.lines();
        let lines = lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap() + "\n");
        lines.collect()
    }
}

pub fn metadata() -> Metadata {
    [
        ("bursar_plan", "pro & more"),
        ("bursar_version", "3"),
        ("a", ""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}
