//! `bursar catalog`: checks a catalog file, compares it with a server's, and applies it.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sha2::{Digest as _, Sha256};

use super::connect::{SERVER_DEFAULT, connect, refused, run_async, timed};
use super::failure::{DIFFERS, Failure, finish};
use super::print::{Paint, Tone, hex};
use crate::clock;
use crate::domain::catalog::{Catalog, parse_catalog};
use crate::grpc::pb::catalog_service_client::CatalogServiceClient;
use crate::grpc::pb::{
    ApplyCatalogRequest, ApplyCatalogResponse, CatalogChange, CatalogChangeKind,
};

/// The command line of `bursar catalog`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bursar catalog validate catalogs/aims.toml
  bursar catalog diff catalogs/aims.toml --server 127.0.0.1:50051
  bursar catalog apply catalogs/aims.toml --expected-version 3

docs/catalog.md lists every key of the file.

Exit codes:
  0  done
  1  the file has faults, or the server refused
  2  with `diff --exit-code`: the catalogs differ (also: a wrong command line)")]
pub struct CatalogArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a file and report every fault with its line; no server is needed
    Validate {
        /// The catalog file; `-` reads standard input
        file: PathBuf,
    },
    /// Show what a server would change if the file were applied
    Diff {
        #[command(flatten)]
        target: Target,
        /// End with code 2 when there are differences
        #[arg(long)]
        exit_code: bool,
    },
    /// Make the file the server's current catalog; one that is equal changes nothing
    Apply {
        #[command(flatten)]
        target: Target,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        /// Refuse unless this is the server's version now, so that nobody's change is overwritten
        #[arg(long, value_name = "VERSION")]
        expected_version: Option<i64>,
    },
}

#[derive(Debug, Args)]
struct Target {
    /// The catalog file; `-` reads standard input
    file: PathBuf,
    /// The server's gRPC address
    #[arg(long, env = "BURSAR_SERVER", default_value = SERVER_DEFAULT, value_name = "ADDR")]
    server: String,
}

/// Runs `bursar catalog`.
#[must_use]
pub fn run(args: &CatalogArgs) -> ExitCode {
    finish(match &args.action {
        Action::Validate { file } => validate(file),
        Action::Diff { target, exit_code } => diff(target, *exit_code),
        Action::Apply {
            target,
            dry_run,
            expected_version,
        } => apply(target, *dry_run, *expected_version),
    })
}

fn validate(file: &Path) -> Result<ExitCode, Failure> {
    let (_, catalog) = load(file)?;
    println!(
        "{}: no fault: {} meters, {} features, {} products, {} plans",
        file.display(),
        catalog.meters.len(),
        catalog.features.len(),
        catalog.products.len(),
        catalog.plans.len(),
    );
    Ok(ExitCode::SUCCESS)
}

fn diff(target: &Target, exit_code: bool) -> Result<ExitCode, Failure> {
    let (toml, _) = load(&target.file)?;
    let answer = send(target, toml, true, None)?;
    print_changes(&answer.changes);
    if answer.changes.is_empty() {
        println!("no difference to version {} of the server", answer.version);
    }
    let differs = exit_code && !answer.changes.is_empty();
    Ok(ExitCode::from(if differs { DIFFERS } else { 0 }))
}

fn apply(
    target: &Target,
    dry_run: bool,
    expected_version: Option<i64>,
) -> Result<ExitCode, Failure> {
    let (toml, _) = load(&target.file)?;
    let answer = send(target, toml, dry_run, expected_version)?;
    print_changes(&answer.changes);
    let (count, version) = (answer.changes.len(), answer.version);
    if count == 0 {
        println!("nothing to change: version {version} is equal");
    } else if dry_run {
        println!("dry run: {count} changes would make version {version}");
    } else {
        println!("applied: {count} changes made version {version}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a catalog file and checks it, so that faults are told with their lines before any server is asked.
pub(super) fn load(file: &Path) -> Result<(String, Catalog), Failure> {
    let unreadable = |source| Failure::Unreadable {
        path: file.to_owned(),
        source,
    };
    let mut toml = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut toml)
            .map_err(unreadable)?;
    } else {
        toml = std::fs::read_to_string(file).map_err(unreadable)?;
    }
    match parse_catalog(&toml) {
        Ok(catalog) => Ok((toml, catalog)),
        Err(faults) => Err(Failure::Malformed {
            path: file.to_owned(),
            detail: listed(&faults),
        }),
    }
}

/// Lists faults below their number.
fn listed(faults: &[impl ToString]) -> String {
    let count = faults.len();
    let noun = if count == 1 { "fault" } else { "faults" };
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| format!("  {}", fault.to_string()))
        .collect();
    format!("{count} {noun}\n{}", lines.join("\n"))
}

fn send(
    target: &Target,
    toml: String,
    dry_run: bool,
    expected_version: Option<i64>,
) -> Result<ApplyCatalogResponse, Failure> {
    // The same call made twice is two requests: what it says may have been taken back in between.
    let mut key = Sha256::new();
    key.update(&toml);
    key.update(clock::wall_clock().as_micros().to_le_bytes());
    key.update(std::process::id().to_le_bytes());
    let request = ApplyCatalogRequest {
        request_id: format!("catalog-{}", hex(&key.finalize()[..16])),
        toml,
        dry_run,
        expected_version,
    };
    run_async(async {
        let mut client = CatalogServiceClient::new(connect(&target.server).await?);
        let answer = client
            .apply_catalog(timed(request))
            .await
            .map_err(refused("apply the catalog"))?;
        Ok(answer.into_inner())
    })
}

fn print_changes(changes: &[CatalogChange]) {
    let paint = Paint::stdout();
    let mut out = std::io::stdout().lock();
    for change in changes {
        let (path, before, after) = (&change.path, &change.before, &change.after);
        let line = match change.kind() {
            CatalogChangeKind::Added => paint.tone(Tone::Good, format!("+ {path} = {after}")),
            CatalogChangeKind::Removed => paint.tone(Tone::Bad, format!("- {path} = {before}")),
            CatalogChangeKind::Changed | CatalogChangeKind::Unspecified => {
                paint.tone(Tone::Note, format!("~ {path} = {before} -> {after}"))
            }
        };
        if writeln!(out, "{line}").is_err() {
            // Who reads has seen enough, as `head` has.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_with_its_line() {
        let faults = parse_catalog("[meters.a]\nunit = 1\naggregation = \"some\"\n")
            .expect_err("two values are wrong");
        let text = listed(&faults);
        assert!(text.contains("line 2: meters.a.unit"), "{text}");
        assert!(text.contains("line 3: meters.a.aggregation"), "{text}");
    }

    #[test]
    fn the_shipped_catalogs_have_no_fault() {
        for name in ["default", "aims", "aegis", "aias"] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("catalogs/{name}.toml"));
            load(&file).expect(name);
        }
    }
}
