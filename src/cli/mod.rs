//! The command line: one file or folder per command.

mod backup;
mod catalog;
mod connect;
mod copying;
mod doctor;
mod export;
mod failure;
mod health;
mod instant;
mod new_file;
mod outbox;
mod print;
pub mod replay;
mod restore;
mod serve;
mod stripe;
mod transfer;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Decides who may use what and counts what they used: metering and entitlements in one binary.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How log lines on standard error are written.
    #[arg(
        long,
        global = true,
        env = "BURSAR_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or directives such as `info,bursar::engine=debug`.
    #[arg(
        long,
        global = true,
        env = "BURSAR_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC and HTTP until told to stop.
    #[command(after_help = serve::HELP)]
    Serve(Config),
    /// Check a catalog file, compare it with a server's, or apply it.
    Catalog(catalog::CatalogArgs),
    /// Send a recorded trace of requests as usage, and compare what the server counted with the file.
    Replay(replay::ReplayArgs),
    /// Look at database, disk, clock, limits and ports, and say what to do about each.
    Doctor(doctor::DoctorArgs),
    /// Ask a server on this machine whether it is alive.
    Health(health::HealthArgs),
    /// Write everything that a database remembers into an archive, while servers go on.
    Backup(backup::BackupArgs),
    /// Make a database of an archive.
    Restore(restore::RestoreArgs),
    /// Copy a database into another, of either kind, and compare both.
    Move(transfer::MoveArgs),
    /// Write usage, events or customers as CSV.
    Export(export::ExportArgs),
    /// Set Stripe up for a catalog, take over what it has, try it out.
    Stripe(stripe::StripeArgs),
    /// Look at usage on its way to Stripe, and send it once more.
    Outbox(outbox::OutboxArgs),
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Returns the command line, for documents that are held equal to it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs what the arguments of this process ask for.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = log(cli.log_format, &cli.log_level) {
        eprintln!("bursar: --log-level: {error}");
        return ExitCode::from(2);
    }
    match &cli.command {
        Command::Serve(config) => serve::serve(config),
        Command::Catalog(args) => catalog::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Health(args) => health::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Move(args) => transfer::run(args),
        Command::Export(args) => export::run(args),
        Command::Stripe(args) => stripe::run(args),
        Command::Outbox(args) => outbox::run(args),
    }
}

/// Begins to write the log to standard error.
fn log(format: LogFormat, level: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(level)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(is_terminal).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
