//! What ends a command early, in words for whoever typed it.

use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code when something is wrong.
pub const FAULT: u8 = 1;
/// Exit code when two things that were compared differ.
pub const DIFFERS: u8 = 2;

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {detail}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        detail: String,
    },
    /// No server answers at the address.
    #[error("cannot reach a server at {server}: {detail}; is `bursar serve` running there?")]
    Unreachable {
        /// The address.
        server: String,
        /// What the transport says.
        detail: String,
    },
    /// The server refused a call.
    #[error("the server refused to {what}: {why}")]
    Refused {
        /// What was asked, as a verb: `apply the catalog`.
        what: &'static str,
        /// Its reason and the fields that it names.
        why: String,
    },
    /// What was asked cannot work.
    #[error("{0}")]
    Unusable(String),
}

/// Ends a command: with its own code, or by saying what went wrong.
pub fn finish(done: Result<ExitCode, Failure>) -> ExitCode {
    done.unwrap_or_else(|failure| {
        eprintln!("bursar: {failure}");
        ExitCode::from(FAULT)
    })
}
