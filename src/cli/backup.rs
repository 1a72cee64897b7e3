//! `bursar backup`: writes everything that a database remembers into one file, while servers go on serving.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::connect::run_async;
use super::copying::{Progress, open_source, report};
use super::failure::{Failure, finish};
use super::new_file::NewFile;
use crate::config::Database;
use crate::storage::archive::{ArchiveWriter, save};

/// The command line of `bursar backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
The archive holds the database as it was at one instant. Servers go on meanwhile; the file of SQLite grows by what they
record until the backup ends. The archive is not compressed, and it holds personal data: it can be read by its owner
only. Its name appears when it is complete.

Examples:
  bursar backup --database bursar.db bursar-2026-11-21.archive
  bursar backup --database postgres://bursar@db/bursar - | zstd >bursar.archive.zst

Exit codes:
  0  the archive is complete
  1  it could not be written; nothing was left behind
  2  wrong arguments")]
pub struct BackupArgs {
    /// The database: a file of SQLite, or `postgres://USER@HOST/NAME`
    #[arg(
        long,
        env = "BURSAR_DATABASE",
        hide_env_values = true,
        value_name = "DATABASE",
        default_value = "bursar.db"
    )]
    database: Database,
    /// The archive, a file that is not there yet; `-` writes to standard output
    archive: PathBuf,
}

/// Runs `bursar backup`.
#[must_use]
pub fn run(args: &BackupArgs) -> ExitCode {
    finish(run_async(backup(args)))
}

async fn backup(args: &BackupArgs) -> Result<ExitCode, Failure> {
    let mut source = open_source(&args.database).await?;
    let file = NewFile::create(&args.archive)?;
    let writer = ArchiveWriter::new(&args.archive, file.output()?);
    let mut progress = Progress::new();
    let tally = save(&mut *source, writer, &mut progress.watch()).await?;
    progress.end();
    file.keep()?;
    if args.archive != Path::new("-") {
        print!("{}", report(&tally));
        println!(
            "{} as it was at {} is in {}",
            args.database,
            source.header().made,
            args.archive.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
