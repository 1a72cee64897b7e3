//! `bursar stripe smoke`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::Account;
use crate::cli::connect::run_async;
use crate::cli::failure::{FAULT, Failure};
use crate::cli::print::{Paint, Tone};
use crate::domain::billing::MoneyMode;
use crate::stripe::{Seen, Smoke};

/// Tries an account out.
pub(super) fn smoke(account: &Account, wait_seconds: u16) -> Result<ExitCode, Failure> {
    if account.money != MoneyMode::Test {
        let text = "this is tried with test money only, and the key is of live mode";
        return Err(Failure::Unusable(text.to_owned()));
    }
    let paint = Paint::stdout();
    let say = |seen: &Seen| {
        let (tone, label) = match seen {
            Seen::Well(_) => (Tone::Good, "ok  "),
            Seen::Note(_) => (Tone::Note, "note"),
            Seen::Wrong(_) => (Tone::Bad, "fail"),
        };
        println!("{}  {}", paint.tone(tone, label), seen.text());
    };
    let wait = Duration::from_secs(wait_seconds.into());
    let smoke = Smoke::new(Arc::clone(&account.gateway), wait);
    let is_well = run_async(async { Ok(smoke.run(say).await) })?;
    if is_well {
        println!("the account does what bursar needs");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(FAULT))
}
