//! `bursar move`: copies one database into another, of either kind, and proves that it did.

use std::process::ExitCode;

use clap::Args;

use super::connect::run_async;
use super::copying::{Progress, open_source, open_target, report};
use super::failure::{Failure, finish};
use super::print::grouped;
use crate::config::Database;
use crate::storage::archive::copy;

/// The command line of `bursar move`.
#[derive(Debug, Args)]
#[command(after_help = "\
Stop the servers of the old database first: what they record while it is copied stays behind. The new one must not be
there yet, or, in PostgreSQL, be empty. It is read back before anybody sees it: rows and digests of every table, and
what each customer used, reserved, holds and was counted, as both databases add it up themselves. The old one stays as
it is. A move that was interrupted is run again as it was; until then no server opens the new database.

Examples:
  bursar move --from sqlite:bursar.db --to postgres://bursar@db/bursar
  bursar move --from postgres://bursar@db/bursar --to sqlite:bursar.db

Exit codes:
  0  moved and verified
  1  nothing was moved
  2  wrong arguments")]
pub struct MoveArgs {
    /// The old database: `sqlite:FILE` or `postgres://USER@HOST/NAME`
    #[arg(long, value_name = "DATABASE")]
    from: Database,
    /// The new database: `sqlite:FILE` that is not there, or `postgres://USER@HOST/NAME` of one that is empty
    #[arg(long, value_name = "DATABASE")]
    to: Database,
}

/// Runs `bursar move`.
#[must_use]
pub fn run(args: &MoveArgs) -> ExitCode {
    finish(run_async(transfer(args)))
}

async fn transfer(args: &MoveArgs) -> Result<ExitCode, Failure> {
    let mut source = open_source(&args.from).await?;
    let target = open_target(&args.to).await?;
    let mut progress = Progress::new();
    let copied = copy(&mut *source, target, &mut progress.watch()).await?;
    progress.end();
    print!("{}", report(&copied.tally));
    println!(
        "verified: {} holds what {} held at {}; the totals of {} customers are equal",
        args.to,
        args.from,
        source.header().made,
        grouped(copied.customers.unwrap_or_default().into())
    );
    Ok(ExitCode::SUCCESS)
}
