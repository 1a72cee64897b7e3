//! `bursar serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::server::{self, Serving};

pub(super) const HELP: &str = "\
Examples:
  bursar serve                                   on this machine only, in ./bursar.db
  bursar serve --database memory: --threads 2    to try things out
  bursar serve --catalog catalogs/aims.toml      what an empty database starts with

SIGTERM and SIGINT drain: health turns to NOT_SERVING, streams are told to end, what was taken is committed.
Exit codes: 0 stopped as told, 1 could not start, 2 wrong arguments.";

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(config: &Config) -> ExitCode {
    let ready = |serving: &Serving| {
        tracing::info!(
            grpc = %serving.grpc_addr,
            http = %serving.http_addr,
            store = %config.database,
            catalog.version = serving.catalog_version,
            threads = serving.threads,
            "serving"
        );
    };
    match server::run(config, None, stopped(), ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bursar: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends when this process is told to.
async fn stopped() {
    let (mut terminate, mut interrupt) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be heard; only SIGKILL ends this process");
            return std::future::pending().await;
        }
    };
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "told to stop");
}
