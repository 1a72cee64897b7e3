//! `bursar stripe setup` and `verify`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::{Account, refused};
use crate::cli::catalog::load;
use crate::cli::connect::run_async;
use crate::cli::failure::{DIFFERS, FAULT, Failure};
use crate::cli::print::{Paint, Tone};
use crate::clock::wall_clock;
use crate::config::price_variables;
use crate::domain::billing::{PriceList, price_list};
use crate::stripe::gateway::{Cursor, EventFilter, Span};
use crate::stripe::{Adoption, Difference, Setup, SetupFault, Wanted};

/// How old an event is that Stripe should have been thanked for, and how far back it is looked: seconds.
const UNTHANKED: (i64, i64) = (10 * 60, 24 * 3_600);
const MICROS: i64 = 1_000_000;

/// What is to be sold, and how Stripe is to tell of it.
#[derive(Debug, Args)]
pub(super) struct Selling {
    /// The catalog file; `-` reads standard input
    file: PathBuf,
    /// Where Stripe reaches the server's webhooks from outside; without it endpoints stay as they are
    #[arg(long, env = "BURSAR_STRIPE_WEBHOOK_URL", value_name = "URL")]
    webhook_url: Option<String>,
    /// A price that Stripe has already for a plan, to be used instead of a new one, as PLAN=PRICE or PLAN:year=PRICE;
    /// variables such as `STRIPE_PRICE_PRO` and `STRIPE_PRICE_PRO_YEARLY` say the same
    #[arg(long, value_name = "PLAN=PRICE")]
    price: Vec<Adoption>,
}

impl Selling {
    fn wanted(&self) -> Result<Wanted, Failure> {
        let list = price_list(&load(&self.file)?.1);
        if let Some(url) = &self.webhook_url
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            let text = format!("--webhook-url {url} does not begin with https://");
            return Err(Failure::Unusable(text));
        }
        let mut adopted = self.price.clone();
        for (name, value) in price_variables() {
            match Adoption::of_variable(&name, &value, &list) {
                // What is said on the command line counts.
                Some(said) if adopted.iter().any(|one| is_same(one, &said)) => {}
                Some(said) => adopted.push(said),
                None if value.is_empty() => {}
                None => eprintln!(
                    "bursar: STRIPE_PRICE_{name} is left aside: the catalog sells no such plan, or it is no price"
                ),
            }
        }
        Ok(Wanted {
            list,
            adopted,
            webhook_url: self.webhook_url.clone(),
        })
    }
}

fn is_same(one: &Adoption, other: &Adoption) -> bool {
    one.plan == other.plan && one.interval == other.interval
}

/// Makes Stripe agree with a catalog.
pub(super) fn setup(
    account: &Account,
    selling: &Selling,
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    let wanted = selling.wanted()?;
    let setup = Setup::new(Arc::clone(&account.gateway));
    let money = account.money.word();
    if dry_run {
        let found = run_async(async {
            setup
                .all_differences(&wanted)
                .await
                .map_err(|fault| not_set_up(&fault))
        })?;
        print(&found);
        match found.len() {
            0 => println!("nothing to change: Stripe ({money} mode) agrees with the catalog"),
            count => println!("dry run: {count} things would change at Stripe ({money} mode)"),
        }
        return Ok(say_faults(&wanted.list));
    }
    let done = run_async(async {
        setup
            .apply_all(&wanted)
            .await
            .map_err(|fault| not_set_up(&fault))
    })?;
    print(&done.changes);
    match done.changes.len() {
        0 => println!("nothing to change: Stripe ({money} mode) agrees with the catalog"),
        count => println!("done: {count} things changed at Stripe ({money} mode)"),
    }
    if let Some(secret) = &done.secret {
        println!("The webhooks are signed with the following, which Stripe does not tell again:");
        println!("BURSAR_STRIPE_WEBHOOK_SECRET={}", secret.expose());
    }
    Ok(say_faults(&wanted.list))
}

/// Says in what Stripe differs.
pub(super) fn verify(account: &Account, selling: &Selling) -> Result<ExitCode, Failure> {
    let wanted = selling.wanted()?;
    let setup = Setup::new(Arc::clone(&account.gateway));
    let money = account.money.word();
    let (found, unthanked) = run_async(async {
        let found = setup
            .all_differences(&wanted)
            .await
            .map_err(|fault| not_set_up(&fault))?;
        Ok((found, unthanked(account).await?))
    })?;
    print(&found);
    if unthanked > 0 {
        println!(
            "note: {unthanked} events of the last day were not acknowledged by every endpoint: where the server has another \
             secret than the endpoint, it refuses all of them"
        );
    }
    if found.is_empty() {
        println!("Stripe ({money} mode) agrees with the catalog");
        return Ok(say_faults(&wanted.list));
    }
    println!(
        "Stripe ({money} mode) differs in {} things: run `bursar stripe setup`",
        found.len()
    );
    say_faults(&wanted.list);
    Ok(ExitCode::from(DIFFERS))
}

/// Returns how many of the newest events wait for an endpoint to acknowledge them, although they had the time.
async fn unthanked(account: &Account) -> Result<usize, Failure> {
    let now = wall_clock().as_micros() / MICROS;
    let filter = EventFilter {
        created: Some(Span {
            start: now - UNTHANKED.1,
            end: now - UNTHANKED.0,
        }),
        types: Vec::new(),
    };
    let page = account.gateway.list_events(&filter, Cursor::FIRST).await;
    let events = page.map_err(|fault| refused(&fault))?.data;
    Ok(events.iter().filter(|one| one.pending_webhooks > 0).count())
}

fn not_set_up(fault: &SetupFault) -> Failure {
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
        let tone = if one.is_new() { Tone::Good } else { Tone::Note };
        if writeln!(out, "{}", paint.tone(tone, one.to_string())).is_err() {
            // Who reads has seen enough, as `head` has.
            return;
        }
    }
}
