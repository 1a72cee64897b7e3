//! `bursar restore`: makes a database of an archive.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::connect::run_async;
use super::copying::{Progress, open_target, report};
use super::failure::{Failure, finish};
use crate::config::Database;
use crate::storage::archive::{ArchiveReader, Source as _, copy};

/// The command line of `bursar restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
The database must not be there yet, or, in PostgreSQL, be empty. All of it is written, read back and compared before
anybody sees it; an archive that was cut or altered leaves nothing behind. Servers that start meanwhile wait or are
refused. A restore that was interrupted is run again as it was; until then no server opens the database.

The restored database is a new life of the old one: let only one of both serve.

Examples:
  bursar restore --database /var/lib/bursar/bursar.db bursar-2026-11-21.archive
  zstd -dc bursar.archive.zst | bursar restore --database postgres://bursar@db/empty -

Exit codes:
  0  restored and verified
  1  nothing was restored
  2  wrong arguments")]
pub struct RestoreArgs {
    /// The database to be made: a file that is not there, or `postgres://USER@HOST/NAME` of one that is empty
    #[arg(long, hide_env_values = true, value_name = "DATABASE")]
    database: Database,
    /// The archive; `-` reads standard input
    archive: PathBuf,
}

/// Runs `bursar restore`.
#[must_use]
pub fn run(args: &RestoreArgs) -> ExitCode {
    finish(run_async(restore(args)))
}

async fn restore(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let input: Box<dyn BufRead> = if args.archive == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let unreadable = |source| Failure::Unreadable {
            path: args.archive.clone(),
            source,
        };
        Box::new(BufReader::with_capacity(
            256 * 1024,
            File::open(&args.archive).map_err(unreadable)?,
        ))
    };
    let mut archive = ArchiveReader::open(&args.archive, input)?;
    let target = open_target(&args.database).await?;
    let mut progress = Progress::new();
    let copied = copy(&mut archive, target, &mut progress.watch()).await?;
    progress.end();
    print!("{}", report(&copied.tally));
    println!(
        "verified: {} holds what {} held at {}",
        args.database,
        archive.header().from,
        archive.header().made
    );
    Ok(ExitCode::SUCCESS)
}
