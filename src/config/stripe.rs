//! What an operator can set about Stripe.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::time::Span;

/// A setting that is not shown.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Secret {}

/// How to reach Stripe.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct StripeAccess {
    /// The secret key for Stripe; without one a sandbox stands in its place. Best given as a variable: a flag is seen by
    /// whoever lists processes.
    #[arg(
        long,
        env = "BURSAR_STRIPE_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub stripe_key: Option<Secret>,

    /// The same under the name that many products give it.
    #[arg(long, env = "STRIPE_SECRET_KEY", hide = true, hide_env_values = true)]
    pub stripe_secret_key: Option<Secret>,

    /// The same under another such name.
    #[arg(long, env = "STRIPE_API_KEY", hide = true, hide_env_values = true)]
    pub stripe_api_key: Option<Secret>,

    /// Where Stripe is; only for tests without TLS, on this machine.
    #[arg(
        long,
        env = "BURSAR_STRIPE_API_BASE",
        value_name = "URL",
        default_value = "https://api.stripe.com"
    )]
    pub stripe_api_base: String,
}

/// What a server does with Stripe.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct BillingConfig {
    /// The secrets that Stripe signs webhooks with, separated by commas; while one replaces another, both.
    #[arg(
        long,
        env = "BURSAR_STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_name = "SECRETS",
        value_delimiter = ','
    )]
    pub stripe_webhook_secret: Vec<Secret>,

    /// The same under the name that many products give it.
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        hide = true,
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub stripe_endpoint_secret: Vec<Secret>,

    /// Where webhooks of Stripe come in over HTTP, separated by commas.
    #[arg(
        long,
        env = "BURSAR_STRIPE_WEBHOOK_PATHS",
        value_name = "PATHS",
        value_delimiter = ',',
        default_value = "/stripe/webhook,/api/stripe/webhook,/api/webhooks/stripe"
    )]
    pub stripe_webhook_paths: Vec<String>,

    /// Meter events that are sent a second, at most, where Stripe allows the account more or less than is usual. Default: 800
    /// with a live key; with a key for tests they share 20 calls a second with all others
    #[arg(
        long,
        env = "BURSAR_STRIPE_METER_EVENTS_PER_SECOND",
        value_name = "EVENTS"
    )]
    pub stripe_meter_events_per_second: Option<NonZeroU32>,

    /// Milliseconds that a call to Stripe may take. Whoever began to send usage has four times as long before another server
    /// sends it
    #[arg(long, env = "BURSAR_STRIPE_TIMEOUT_MS", value_name = "MS", default_value_t = 30_000,
        value_parser = clap::value_parser!(u32).range(1_000..=120_000))]
    pub stripe_timeout_ms: u32,

    /// Minutes that usage is gathered before it is sealed and sent to Stripe; 0: a second, to try it out.
    #[arg(long, env = "BURSAR_USAGE_WINDOW_MINUTES", value_name = "MINUTES", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(0..=1440))]
    pub usage_window_minutes: u32,

    /// Whether a wallet rests while a payment for its credits is disputed, until the bank has decided.
    #[arg(long, env = "BURSAR_DISPUTES_FREEZE_WALLETS", value_name = "BOOL", default_value_t = true,
        action = clap::ArgAction::Set)]
    pub disputes_freeze_wallets: bool,
}

impl StripeAccess {
    /// Returns the key for Stripe, whatever it is called; `None`: there is none.
    #[must_use]
    pub fn key(&self) -> Option<&SecretString> {
        let named = [
            &self.stripe_key,
            &self.stripe_secret_key,
            &self.stripe_api_key,
        ];
        let mut given = named.into_iter().flatten().map(|secret| &secret.0);
        given.find(|key| !key.expose_secret().is_empty())
    }
}

/// How many times as long as a call may take somebody has to send usage.
const TIMEOUTS_A_LEASE: u32 = 4;
/// How variables begin in which other programs have the ids of prices, such as `STRIPE_PRICE_PRO`.
const PRICE_VARIABLE: &str = "STRIPE_PRICE_";

/// Returns the variables that name prices at Stripe: what stands behind `STRIPE_PRICE_`, and the value.
#[must_use]
pub fn price_variables() -> Vec<(String, String)> {
    let named = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let name = name.strip_prefix(PRICE_VARIABLE)?.to_owned();
        Some((name, value.into_string().ok()?))
    });
    let mut named: Vec<_> = named.collect();
    named.sort();
    named
}

impl BillingConfig {
    /// Returns how long a call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.stripe_timeout_ms as u64)
    }

    /// Returns how long whoever claimed usage has to send it.
    #[must_use]
    pub const fn lease(&self) -> Span {
        Span::from_millis(self.stripe_timeout_ms.saturating_mul(TIMEOUTS_A_LEASE))
    }

    /// Returns how long usage is gathered.
    #[must_use]
    pub const fn usage_window(&self) -> Span {
        match self.usage_window_minutes {
            0 => Span::from_secs(1),
            minutes => Span::from_minutes(minutes),
        }
    }

    /// Returns the secrets that webhooks may be signed with.
    #[must_use]
    pub fn webhook_secrets(&self) -> Vec<SecretString> {
        let all = self.stripe_webhook_secret.iter();
        let all = all
            .chain(&self.stripe_endpoint_secret)
            .map(|secret| &secret.0);
        let given = all.filter(|secret| !secret.expose_secret().is_empty());
        given.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        text.parse().ok()
    }

    #[test]
    fn a_key_is_found_under_each_name_and_never_shown() {
        let own = StripeAccess {
            stripe_key: secret("sk_test_own"),
            stripe_secret_key: secret("sk_test_other"),
            ..StripeAccess::default()
        };
        let found = |access: &StripeAccess| access.key().map(|key| key.expose_secret().to_owned());
        assert_eq!(found(&own).as_deref(), Some("sk_test_own"));
        let other = StripeAccess {
            stripe_key: secret(""),
            stripe_api_key: secret("sk_test_api"),
            ..StripeAccess::default()
        };
        assert_eq!(found(&other).as_deref(), Some("sk_test_api"));
        assert_eq!(found(&StripeAccess::default()), None);
        assert!(!format!("{own:?}{other:?}").contains("sk_test"));
    }
}
