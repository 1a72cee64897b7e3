//! Reaching a running server, and putting what it refuses into words.

use std::fmt::Write as _;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use super::failure::Failure;

/// Where `bursar serve` listens unless told otherwise.
pub const SERVER_DEFAULT: &str = "127.0.0.1:50051";
/// How long to wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long to wait for the answer to one call.
const CALL_WAIT: Duration = Duration::from_secs(30);
/// Bytes that may be on their way per stream, and four times that per connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Runs the asynchronous part of a command on this thread.
pub fn run_async<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unusable(format!("cannot start the runtime: {error}")))?
        .block_on(work)
}

/// Connects to a server, given as `host:port` or with `http://` before it.
///
/// # Errors
/// When the address is none, or nobody answers there.
pub async fn connect(server: &str) -> Result<Channel, Failure> {
    let unreachable = |detail: String| Failure::Unreachable {
        server: server.to_owned(),
        detail,
    };
    let address = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let endpoint = Endpoint::from_shared(address)
        .map_err(|error| unreachable(error.to_string()))?
        .connect_timeout(CONNECT_WAIT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES * 4);
    endpoint
        .connect()
        .await
        .map_err(|error| unreachable(innermost(&error)))
}

/// Returns the last cause of an error, which is the one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Gives a call a deadline.
pub fn timed<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_WAIT);
    request
}

/// Returns the reason that the server gave, such as `CUSTOMER_NOT_FOUND`; `None` when the call never got that far.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// Tells whether the same call may succeed a little later.
#[must_use]
pub fn may_pass(status: &Status) -> bool {
    match reason(status).as_deref() {
        // The connection broke, or a deadline passed: nothing was said.
        None => true,
        Some(reason) => [
            "STORAGE_UNAVAILABLE",
            "STORAGE_FULL",
            "OVERLOADED",
            "DRAINING",
            "CONTENDED",
        ]
        .contains(&reason),
    }
}

/// Puts a status into words: its message, its reason, and one line per field at fault.
#[must_use]
pub fn describe(status: &Status) -> String {
    let mut text = match reason(status) {
        Some(reason) => format!("{} ({reason})", status.message()),
        None => format!("{} ({})", status.message(), status.code()),
    };
    for field in status
        .get_details_bad_request()
        .into_iter()
        .flat_map(|details| details.field_violations)
    {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}: {}", field.field, field.description);
    }
    text
}

/// Makes a failure of a refusal.
pub fn refused(what: &'static str) -> impl Fn(Status) -> Failure {
    move |status| Failure::Refused {
        what,
        why: describe(&status),
    }
}
