//! `bursar doctor`: looks at what a server here would stand on, and says what to do about it.

mod disk;
mod machine;
mod ports;
mod postgres;
mod stripe;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::catalog;
use super::connect::run_async;
use super::failure::{FAULT, Failure, finish};
use super::print::{Paint, Tone};
use crate::config::{BillingConfig, Database, StripeAccess};
use crate::domain::billing::MoneyMode;
use crate::domain::catalog::parse_catalog;

/// The command line of `bursar doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
It changes nothing; to time the disk it writes a small file beside the database and removes it again. A server may be
running meanwhile.

Examples:
  bursar doctor
  bursar doctor --database /var/lib/bursar/bursar.db --grpc-addr 0.0.0.0:50051

Exit codes:
  0  nothing is wrong; warnings may be worth a look
  1  something is wrong that keeps a server from working as it should")]
pub struct DoctorArgs {
    /// The database of the server: a file, `postgres://USER@HOST/NAME`, or `memory:`
    #[arg(
        long,
        env = "BURSAR_DATABASE",
        hide_env_values = true,
        value_name = "DATABASE",
        default_value = "bursar.db"
    )]
    database: Database,
    /// Where the server is to answer gRPC
    #[arg(
        long,
        env = "BURSAR_GRPC_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:50051"
    )]
    grpc_addr: SocketAddr,
    /// Where the server is to answer HTTP
    #[arg(
        long,
        env = "BURSAR_HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    http_addr: SocketAddr,
    /// The catalog file; without it, the embedded one
    #[arg(long, env = "BURSAR_CATALOG", value_name = "FILE")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    stripe: StripeAccess,
    #[command(flatten)]
    billing: BillingConfig,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    verdict: Verdict,
    /// What was looked at.
    subject: &'static str,
    /// What was found and what it means.
    text: String,
    /// What to do about it; empty when nothing.
    advice: String,
}

impl Finding {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, subject, text, "")
    }

    fn warn(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, subject, text, advice)
    }

    fn fail(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, subject, text, advice)
    }

    fn new(
        verdict: Verdict,
        subject: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            subject,
            text: text.into(),
            advice: advice.into(),
        }
    }

    fn print(&self, paint: Paint) {
        let label = match self.verdict {
            Verdict::Ok => paint.tone(Tone::Good, "ok  "),
            Verdict::Warn => paint.tone(Tone::Note, "warn"),
            Verdict::Fail => paint.tone(Tone::Bad, "fail"),
        };
        println!("{label}  {:12} {}", self.subject, self.text);
        if !self.advice.is_empty() {
            println!("{:19}-> {}", "", self.advice);
        }
    }
}

/// Runs `bursar doctor`.
#[must_use]
pub fn run(args: &DoctorArgs) -> ExitCode {
    finish(run_async(examine(args)))
}

async fn examine(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let paint = Paint::stdout();
    let mut worst = Verdict::Ok;
    let mut report = |findings: Vec<Finding>| {
        for finding in findings {
            finding.print(paint);
            worst = worst.max(finding.verdict);
        }
    };
    let (findings, money) = match &args.database {
        Database::Memory => {
            let text = "in memory: everything is gone when the server stops";
            let advice = "give --database a file for anything but a trial";
            (vec![Finding::warn("database", text, advice)], String::new())
        }
        Database::Sqlite(path) => disk::examine(path),
        Database::Postgres(address) => postgres::examine(address).await,
    };
    report(findings);
    report(machine::examine_clock().await);
    report(vec![machine::examine_open_files()]);
    report(vec![examine_catalog(args.catalog.as_deref())]);
    let held = MoneyMode::read(&money);
    report(stripe::examine(&args.stripe, &args.billing, held).await);
    report(vec![ports::examine_grpc(args.grpc_addr).await]);
    report(vec![ports::examine_http(args.http_addr).await]);
    Ok(ExitCode::from(match worst {
        Verdict::Ok | Verdict::Warn => 0,
        Verdict::Fail => FAULT,
    }))
}

fn examine_catalog(file: Option<&Path>) -> Finding {
    const SUBJECT: &str = "catalog";
    let Some(file) = file else {
        let embedded = include_str!("../../../catalogs/default.toml");
        return match parse_catalog(embedded) {
            Ok(_) => Finding::ok(SUBJECT, "the embedded default, used where none was applied"),
            Err(faults) => Finding::fail(
                SUBJECT,
                format!("the embedded default has {} faults", faults.len()),
                "this binary is broken: build it anew",
            ),
        };
    };
    match catalog::load(file) {
        Ok((_, catalog)) => Finding::ok(
            SUBJECT,
            format!(
                "{}: no fault, {} plans",
                file.display(),
                catalog.plans.len()
            ),
        ),
        Err(failure) => Finding::fail(
            SUBJECT,
            failure.to_string(),
            format!(
                "correct it, then `bursar catalog validate {}`",
                file.display()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_with_faults_fails() {
        assert_eq!(examine_catalog(None).verdict, Verdict::Ok);
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("catalog.toml");
        std::fs::write(&file, "default_plan = \"none\"\n").expect("it can be written");
        assert_eq!(examine_catalog(Some(&file)).verdict, Verdict::Fail);
        assert_eq!(examine_catalog(Some(folder.path())).verdict, Verdict::Fail);
    }
}
