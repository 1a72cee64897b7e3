//! Serves the double for clients in other languages: `cargo run --example stripe-double`.

#[expect(
    dead_code,
    unused_imports,
    reason = "clients do by HTTP what tests do by calls"
)]
#[path = "mod.rs"]
mod stripe;

use std::process::ExitCode;
use std::time::Duration;

use stripe::{Double, Settings, WebhookTarget};

const USAGE: &str =
    "usage: stripe-double [--port N] [--now SECONDS] [--webhook URL --secret SECRET]";

fn main() -> ExitCode {
    match settings(std::env::args().skip(1)) {
        Some(settings) => run(settings),
        None => complain(USAGE),
    }
}

fn settings(mut words: impl Iterator<Item = String>) -> Option<Settings> {
    let mut settings = Settings::default();
    let (mut url, mut secrets) = (None, Vec::new());
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--port" => settings.port = value.parse().ok()?,
            "--now" => settings.now_seconds = value.parse().ok()?,
            "--webhook" => url = Some(value),
            "--secret" => secrets.push(value),
            _ => return None,
        }
    }
    settings.webhook = url.map(|url| WebhookTarget { url, secrets });
    Some(settings)
}

fn run(settings: Settings) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(serve(settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

/// Serves until it is interrupted. The virtual clock goes as fast as the true one.
async fn serve(settings: Settings) -> std::io::Result<()> {
    let double = Double::start(settings).await?;
    println!("{}", double.url());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            done = tokio::signal::ctrl_c() => {
                done?;
                double.stop().await;
                return Ok(());
            }
            _ = second.tick() => double.advance(double.now() + 1).await,
        }
    }
}

fn complain(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
