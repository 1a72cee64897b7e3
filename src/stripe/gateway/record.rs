//! Keeps a copy of each request on its way, so that what is sent can be held against Stripe's
//! contract.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;

use super::transport::{Transport, TransportFault};
use super::wire::{Request, Response};

/// Passes requests on and writes each down, before it is sent.
pub struct Recorder<T> {
    inner: T,
    record: Mutex<Record>,
}

enum Record {
    Kept(Vec<Request>),
    Written(File),
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    body: &'a str,
}

impl<T: Transport> Recorder<T> {
    /// Keeps the requests in memory, until they are taken.
    pub fn kept(inner: T) -> Self {
        Self {
            inner,
            record: Mutex::new(Record::Kept(Vec::new())),
        }
    }

    /// Appends a line of JSON to a file for each request.
    pub fn written(inner: T, file: File) -> Self {
        Self {
            inner,
            record: Mutex::new(Record::Written(file)),
        }
    }

    /// Takes what was kept since it was last taken; nothing, when requests go to a file.
    pub fn take(&self) -> Vec<Request> {
        match &mut *self.record.lock().unwrap_or_else(PoisonError::into_inner) {
            Record::Kept(requests) => std::mem::take(requests),
            Record::Written(_) => Vec::new(),
        }
    }

    fn note(&self, request: &Request) -> std::io::Result<()> {
        match &mut *self.record.lock().unwrap_or_else(PoisonError::into_inner) {
            Record::Kept(requests) => requests.push(request.clone()),
            Record::Written(file) => {
                let mut line = serde_json::to_vec(&Line {
                    method: request.method.as_str(),
                    path: &request.path,
                    query: &request.query,
                    body: &request.body,
                })?;
                line.push(b'\n');
                file.write_all(&line)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<T: Transport> Transport for Recorder<T> {
    async fn send(&self, request: &Request) -> Result<Response, TransportFault> {
        self.note(request)
            .map_err(|error| TransportFault::NotSent(format!("it cannot be recorded: {error}")))?;
        self.inner.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Method;
    use super::*;

    struct Silent;

    #[async_trait]
    impl Transport for Silent {
        async fn send(&self, _: &Request) -> Result<Response, TransportFault> {
            Err(TransportFault::Unknown("silent".to_owned()))
        }
    }

    fn request() -> Request {
        Request {
            method: Method::Post,
            path: "/v1/customers".to_owned(),
            query: String::new(),
            body: "name=\"Ann\"".to_owned(),
            idempotency_key: Some("key".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_request_is_kept_also_when_nothing_comes_back() {
        let recorder = Recorder::kept(Silent);
        recorder.send(&request()).await.unwrap_err();
        assert_eq!(recorder.take(), [request()]);
        assert_eq!(recorder.take(), []);
    }

    #[tokio::test]
    async fn a_file_gets_a_line_for_each_request() {
        let path = std::env::temp_dir().join(format!("bursar-record-{}", std::process::id()));
        let recorder = Recorder::written(Silent, File::create(&path).unwrap());
        for _ in 0..2 {
            recorder.send(&request()).await.unwrap_err();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let line = r#"{"method":"POST","path":"/v1/customers","query":"","body":"name=\"Ann\""}"#;
        assert_eq!(written, format!("{line}\n{line}\n"));
        assert_eq!(recorder.take(), []);
    }
}
