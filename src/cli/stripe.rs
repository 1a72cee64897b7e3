//! `bursar stripe`: what Stripe has to sell, compared with a catalog and made to agree with it; its events worked on anew.

mod replay;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use self::replay::ReplayArgs;
use super::catalog::load;
use super::connect::run_async;
use super::failure::{DIFFERS, FAULT, Failure, finish};
use super::print::{Paint, Tone};
use crate::config::StripeAccess;
use crate::domain::billing::{PriceList, price_list};
use crate::stripe::gateway::{Caller, Fault, Gateway, Http, HttpSettings, Rates, Repeats};
use crate::stripe::{Difference, Setup};

/// The command line of `bursar stripe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  BURSAR_STRIPE_KEY=sk_test_... bursar stripe setup catalogs/aims.toml --dry-run
  BURSAR_STRIPE_KEY=sk_test_... bursar stripe setup catalogs/aims.toml
  BURSAR_STRIPE_KEY=sk_test_... bursar stripe verify catalogs/aims.toml
  bursar stripe replay --from 2026-11-20 --to 2026-11-21

Prices at Stripe are found again by lookup keys that begin with bursar_. One that costs something else is not changed: a
new one takes its key, and who subscribes to the old one stays with it.

Exit codes:
  0  done, or nothing differs
  1  the file has faults, something cannot be sold through Stripe, or Stripe refused
  2  with `verify`: Stripe differs (also: a wrong command line)")]
pub struct StripeArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    access: StripeAccess,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create and replace what Stripe lacks or has otherwise; a second run changes nothing
    Setup {
        /// The catalog file; `-` reads standard input
        file: PathBuf,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Say in what Stripe differs from a catalog
    Verify {
        /// The catalog file; `-` reads standard input
        file: PathBuf,
    },
    /// Let a server work on the events of a range as if their webhooks came now
    Replay(ReplayArgs),
}

/// Runs `bursar stripe`.
#[must_use]
pub fn run(args: &StripeArgs) -> ExitCode {
    finish(match &args.action {
        Action::Setup { file, dry_run } => setup(&args.access, file, *dry_run),
        Action::Verify { file } => verify(&args.access, file),
        Action::Replay(args) => replay::replay(args),
    })
}

fn setup(access: &StripeAccess, file: &Path, dry_run: bool) -> Result<ExitCode, Failure> {
    let list = price_list(&load(file)?.1);
    let setup = reach(access)?;
    let done = run_async(async {
        let done = if dry_run {
            setup.differences(&list).await
        } else {
            setup.apply(&list).await
        };
        done.map_err(|fault| refused(&fault))
    })?;
    print(&done);
    match (done.len(), dry_run) {
        (0, _) => println!("nothing to change: Stripe agrees with the catalog"),
        (count, true) => println!("dry run: {count} things would change at Stripe"),
        (count, false) => println!("done: {count} things changed at Stripe"),
    }
    Ok(say_faults(&list))
}

fn verify(access: &StripeAccess, file: &Path) -> Result<ExitCode, Failure> {
    let list = price_list(&load(file)?.1);
    let setup = reach(access)?;
    let found = run_async(async {
        setup
            .differences(&list)
            .await
            .map_err(|fault| refused(&fault))
    })?;
    print(&found);
    if found.is_empty() {
        println!("Stripe agrees with the catalog");
        return Ok(say_faults(&list));
    }
    println!(
        "Stripe differs in {} things: run `bursar stripe setup`",
        found.len()
    );
    say_faults(&list);
    Ok(ExitCode::from(DIFFERS))
}

fn reach(access: &StripeAccess) -> Result<Setup, Failure> {
    let missing = "no key for Stripe: set BURSAR_STRIPE_KEY, or STRIPE_SECRET_KEY";
    let key = access
        .key()
        .ok_or_else(|| Failure::Unusable(missing.to_owned()))?;
    let settings = HttpSettings {
        base_url: access.stripe_api_base.clone(),
        ..HttpSettings::default()
    };
    let http = Http::new(&settings, key).map_err(|error| Failure::Unusable(error.to_string()))?;
    let seed = u64::from(std::process::id());
    let caller = Caller::new(Arc::new(http), Rates::TEST, Repeats::default(), seed);
    Ok(Setup::new(Arc::new(Gateway::new(caller))))
}

fn refused(fault: &Fault) -> Failure {
    Failure::Unusable(fault.to_string())
}

/// Says what cannot be sold through Stripe.
fn say_faults(list: &PriceList) -> ExitCode {
    for fault in &list.faults {
        eprintln!(
            "bursar: {} cannot be sold through Stripe: {}",
            fault.lookup_key, fault.why
        );
    }
    ExitCode::from(if list.faults.is_empty() { 0 } else { FAULT })
}

fn print(found: &[Difference]) {
    let paint = Paint::stdout();
    let mut out = std::io::stdout().lock();
    for one in found {
        let tone = match one {
            Difference::CreateMeter(_) | Difference::CreatePrice(_) => Tone::Good,
            Difference::RenameMeter { .. } | Difference::ReplacePrice { .. } => Tone::Note,
        };
        if writeln!(out, "{}", paint.tone(tone, one.to_string())).is_err() {
            // Who reads has seen enough, as `head` has.
            return;
        }
    }
}
