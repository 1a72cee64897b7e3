//! `bursar stripe`: an account of Stripe's, compared with a catalog, made to agree with it, taken over, and tried out; its events worked on anew.

mod import;
mod replay;
mod setup;
mod smoke;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;

use super::failure::{Failure, finish};
use crate::config::StripeAccess;
use crate::domain::billing::MoneyMode;
use crate::stripe::gateway::{Caller, Fault, Gateway, Http, HttpSettings, Rates, Repeats};

/// The command line of `bursar stripe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export BURSAR_STRIPE_KEY=sk_test_...
  bursar stripe smoke
  bursar stripe setup catalogs/aims.toml --webhook-url https://billing.example.com/stripe/webhook --dry-run
  bursar stripe setup catalogs/aims.toml --price pro=price_1Q2w3e --price pro:year=price_1Q2w4r
  bursar stripe verify catalogs/aims.toml
  bursar stripe import --mapping customers.csv --dry-run
  bursar stripe replay --from 2026-11-20 --to 2026-11-21

Prices at Stripe are found again by lookup keys that begin with bursar_. One that costs something else is not changed: a
new one takes its key, and who subscribes to the old one stays with it. docs/stripe.md leads through all of it.

Exit codes:
  0  done, or nothing differs
  1  the file has faults, something cannot be sold through Stripe, or Stripe or the server refused
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
        #[command(flatten)]
        selling: setup::Selling,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Say in what Stripe differs from a catalog
    Verify {
        #[command(flatten)]
        selling: setup::Selling,
    },
    /// Link customers that Stripe has with those of a server, and take over their subscriptions
    Import(import::ImportArgs),
    /// Let a server work on the events of a range as if their webhooks came now
    Replay(replay::ReplayArgs),
    /// Try an account out, with test money: a customer, usage, a subscription, its end; leaves nothing in use behind
    Smoke {
        /// Seconds to wait until Stripe's sums show the usage; they may take minutes, and it is no fault when they do
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        wait_seconds: u16,
    },
}

/// Runs `bursar stripe`.
#[must_use]
pub fn run(args: &StripeArgs) -> ExitCode {
    finish(act(args))
}

fn act(args: &StripeArgs) -> Result<ExitCode, Failure> {
    let account = || Account::reach(&args.access);
    match &args.action {
        Action::Setup { selling, dry_run } => setup::setup(&account()?, selling, *dry_run),
        Action::Verify { selling } => setup::verify(&account()?, selling),
        Action::Import(args) => import::import(&account()?, args),
        Action::Replay(args) => replay::replay(args),
        Action::Smoke { wait_seconds } => smoke::smoke(&account()?, *wait_seconds),
    }
}

/// An account of Stripe's.
struct Account {
    gateway: Arc<Gateway>,
    /// What money its key moves.
    money: MoneyMode,
}

impl Account {
    fn reach(access: &StripeAccess) -> Result<Self, Failure> {
        let missing = "no key for Stripe: set BURSAR_STRIPE_KEY, or STRIPE_SECRET_KEY";
        let key = access
            .key()
            .ok_or_else(|| Failure::Unusable(missing.to_owned()))?;
        let other = "the key begins with none of sk_test_, sk_live_, rk_test_ and rk_live_";
        let money = MoneyMode::of_key(key.expose_secret())
            .ok_or_else(|| Failure::Unusable(other.to_owned()))?;
        let settings = HttpSettings {
            base_url: access.stripe_api_base.clone(),
            ..HttpSettings::default()
        };
        let http =
            Http::new(&settings, key).map_err(|error| Failure::Unusable(error.to_string()))?;
        let seed = u64::from(std::process::id());
        let caller = Caller::new(Arc::new(http), Rates::TEST, Repeats::default(), seed);
        let gateway = Arc::new(Gateway::new(caller));
        Ok(Self { gateway, money })
    }
}

fn refused(fault: &Fault) -> Failure {
    Failure::Unusable(fault.to_string())
}
