//! The key for Stripe, the secrets of webhooks, and the money that the database deals in: they must agree.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::Finding;
use crate::config::{BillingConfig, StripeAccess};
use crate::domain::billing::MoneyMode;
use crate::stripe::gateway::{Caller, Gateway, Http, HttpSettings, Kind, Rates, Repeats};

const SUBJECT: &str = "stripe";
/// How the secrets begin that webhooks are signed with.
const SECRET: &str = "whsec_";

/// Looks at what a server would bill with. `held` is what money its database deals in; `None`: in none so far.
pub async fn examine(
    access: &StripeAccess,
    billing: &BillingConfig,
    held: Option<MoneyMode>,
) -> Vec<Finding> {
    let Some(key) = access.key() else {
        return vec![without_key(held)];
    };
    let Some(given) = MoneyMode::of_key(key.expose_secret()) else {
        let text = "the key begins with none of sk_test_, sk_live_, rk_test_ and rk_live_";
        let advice =
            "take the secret key, or a restricted one, from the dashboard: not that for publishing";
        return vec![Finding::fail(SUBJECT, text, advice)];
    };
    let mut findings = vec![agreement(given, held)];
    findings.push(ask(access, key, given).await);
    findings.push(secrets(&billing.webhook_secrets()));
    findings
}

fn without_key(held: Option<MoneyMode>) -> Finding {
    match held {
        Some(held @ (MoneyMode::Test | MoneyMode::Live)) => Finding::fail(
            SUBJECT,
            format!(
                "there is no key, and the database deals in {} money",
                held.word()
            ),
            "set BURSAR_STRIPE_KEY; a server refuses to start without it",
        ),
        Some(MoneyMode::Sandbox) | None => Finding::ok(
            SUBJECT,
            "no key: a sandbox stands in its place, and no money moves",
        ),
    }
}

fn agreement(given: MoneyMode, held: Option<MoneyMode>) -> Finding {
    let mode = given.word();
    match held {
        Some(held) if held != given => Finding::fail(
            SUBJECT,
            format!(
                "the key is of {mode} mode, and the database deals in {} money",
                held.word()
            ),
            "give the key that belongs to the database, or another --database: they never mix",
        ),
        Some(_) => Finding::ok(SUBJECT, format!("key and database are of {mode} mode")),
        None => Finding::ok(
            SUBJECT,
            format!("the key is of {mode} mode; the first start marks the database so, for good"),
        ),
    }
}

/// Asks Stripe whether it takes the key.
async fn ask(access: &StripeAccess, key: &SecretString, given: MoneyMode) -> Finding {
    let settings = HttpSettings {
        base_url: access.stripe_api_base.clone(),
        ..HttpSettings::default()
    };
    let http = match Http::new(&settings, key) {
        Ok(http) => http,
        Err(error) => {
            let advice = "see --stripe-api-base and the key";
            return Finding::fail(SUBJECT, error.to_string(), advice);
        }
    };
    let seed = u64::from(std::process::id());
    let caller = Caller::new(Arc::new(http), Rates::TEST, Repeats::default(), seed);
    match Gateway::new(caller).retrieve_balance().await {
        Ok(balance) if balance.livemode == given.is_live() => {
            Finding::ok(SUBJECT, "Stripe takes the key")
        }
        Ok(_) => Finding::fail(
            SUBJECT,
            "Stripe answers in the other mode than the key says",
            "see that --stripe-api-base is Stripe",
        ),
        Err(fault) if fault.kind == Kind::Permission => Finding::ok(
            SUBJECT,
            "Stripe takes the key, which may not read the balance",
        ),
        Err(fault) if fault.kind == Kind::Authentication => Finding::fail(
            SUBJECT,
            format!("Stripe does not take the key: {fault}"),
            "roll the key in the dashboard, and set the new one",
        ),
        Err(fault) => Finding::warn(
            SUBJECT,
            format!("Stripe cannot be asked: {fault}"),
            "usage waits meanwhile; checks and recording go on",
        ),
    }
}

fn secrets(given: &[SecretString]) -> Finding {
    if given.is_empty() {
        return Finding::warn(
            SUBJECT,
            "no secret of webhooks: what customers do at Stripe is not heard of",
            "set BURSAR_STRIPE_WEBHOOK_SECRET; `bursar stripe setup --webhook-url` makes an endpoint and tells it",
        );
    }
    let other = |secret: &&SecretString| !secret.expose_secret().starts_with(SECRET);
    if given.iter().any(|secret| other(&secret)) {
        return Finding::fail(
            SUBJECT,
            format!("a secret of webhooks does not begin with {SECRET}"),
            "take the signing secret of the endpoint, not a key or the endpoint's id",
        );
    }
    let count = given.len();
    Finding::ok(SUBJECT, format!("webhooks: {count} secrets"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn money_that_does_not_agree_fails() {
        use MoneyMode::{Live, Sandbox, Test};
        for (given, held, verdict) in [
            (Test, None, Verdict::Ok),
            (Test, Some(Test), Verdict::Ok),
            (Test, Some(Live), Verdict::Fail),
            (Live, Some(Test), Verdict::Fail),
            (Live, Some(Sandbox), Verdict::Fail),
        ] {
            assert_eq!(
                agreement(given, held).verdict,
                verdict,
                "{given:?} {held:?}"
            );
        }
        assert_eq!(without_key(None).verdict, Verdict::Ok);
        assert_eq!(without_key(Some(Sandbox)).verdict, Verdict::Ok);
        assert_eq!(without_key(Some(Live)).verdict, Verdict::Fail);
    }

    #[test]
    fn a_key_is_no_secret_of_webhooks() {
        let secrets_of = |given: &[&str]| {
            let given: Vec<SecretString> = given.iter().map(|one| (*one).into()).collect();
            secrets(&given).verdict
        };
        assert_eq!(secrets_of(&[]), Verdict::Warn);
        assert_eq!(secrets_of(&["whsec_1"]), Verdict::Ok);
        assert_eq!(secrets_of(&["whsec_1", "sk_test_1"]), Verdict::Fail);
    }
}
