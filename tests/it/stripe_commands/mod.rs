//! `bursar stripe` and `bursar outbox`, the real binary, against the double of Stripe and a server that bills through it.

mod import;
mod money;
mod outbox;
mod setup;

use std::process::Output;

use bursar::clock::wall_clock;

use crate::operations::process::binary;
use crate::stripe::{Double, Settings};

/// Starts a double whose time is that of this machine, as commands have no other.
pub async fn double() -> Double {
    let settings = Settings {
        now_seconds: wall_clock().as_micros() / 1_000_000,
        ..Settings::default()
    };
    Double::start(settings).await.unwrap()
}

/// Returns where a catalog that is shipped lies.
pub fn catalog(name: &str) -> String {
    format!("{}/catalogs/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command against a double, with variables.
pub async fn bursar(double: &Double, variables: &[(&str, &str)], args: &[&str]) -> Said {
    let mut command = binary();
    command.args(args);
    command.env("BURSAR_STRIPE_KEY", "sk_test_bursar");
    command.env("BURSAR_STRIPE_API_BASE", double.url());
    for (name, value) in variables {
        command.env(name, value);
    }
    let run = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = run.await.unwrap().unwrap();
    Said {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

impl Said {
    /// What it said, if it did what it was asked.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}
