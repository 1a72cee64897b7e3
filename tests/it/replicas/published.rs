//! The service config that clients are told to use, as a client reads it.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tonic::Status;

fn config() -> Value {
    let text = include_str!("../../../examples/service_config.json");
    serde_json::from_str(text).expect("it is published as JSON")
}

/// How a method is to be called.
pub struct Policy {
    pub timeout: Duration,
    pub attempts: u64,
    initial: Duration,
    most: Duration,
    factor: f64,
    codes: Vec<String>,
}

impl Policy {
    /// Returns what is published for a method: what names it, or else its service.
    pub fn published((service, method): (&str, &str)) -> Self {
        let config = config();
        let methods = config["methodConfig"].as_array().unwrap();
        let named = |wanted: Option<&str>| {
            methods.iter().find(|entry| {
                entry["name"].as_array().unwrap().iter().any(|name| {
                    name["service"] == service
                        && name.get("method").and_then(Value::as_str) == wanted
                })
            })
        };
        let entry = named(Some(method)).or_else(|| named(None));
        let entry = entry.unwrap_or_else(|| panic!("nothing is published for {service}/{method}"));
        let retry = &entry["retryPolicy"];
        let codes = retry["retryableStatusCodes"].as_array().unwrap();
        Self {
            timeout: duration(&entry["timeout"]),
            attempts: retry["maxAttempts"].as_u64().unwrap(),
            initial: duration(&retry["initialBackoff"]),
            most: duration(&retry["maxBackoff"]),
            factor: retry["backoffMultiplier"].as_f64().unwrap(),
            codes: codes
                .iter()
                .map(|code| code.as_str().unwrap().to_owned())
                .collect(),
        }
    }

    /// Whether a call that ended like this is to be made again.
    pub fn retries(&self, status: &Status) -> bool {
        let code = match status.code() {
            // What a connection that breaks, or takes no new calls, is to this client.
            tonic::Code::Unknown | tonic::Code::Cancelled | tonic::Code::Internal
                if std::error::Error::source(status).is_some() =>
            {
                "UNAVAILABLE".to_owned()
            }
            code => format!("{code:?}").to_uppercase(),
        };
        self.codes.contains(&code)
    }

    /// Returns how long to wait after an attempt: the most that the config lets a client draw.
    pub fn pause(&self, attempt: u64) -> Duration {
        let grown = self.factor.powi(i32::try_from(attempt).unwrap() - 1);
        self.initial.mul_f64(grown).min(self.most)
    }
}

/// Stops a client from retrying when too much fails.
pub struct Throttle {
    tokens: Mutex<f64>,
    most: f64,
    ratio: f64,
}

impl Throttle {
    pub fn published() -> Self {
        let config = config();
        let most = config["retryThrottling"]["maxTokens"].as_f64().unwrap();
        Self {
            tokens: Mutex::new(most),
            most,
            ratio: config["retryThrottling"]["tokenRatio"].as_f64().unwrap(),
        }
    }

    pub fn succeeded(&self) {
        let mut tokens = self.tokens.lock().unwrap();
        *tokens = (*tokens + self.ratio).min(self.most);
    }

    pub fn failed(&self) {
        let mut tokens = self.tokens.lock().unwrap();
        *tokens = (*tokens - 1.0).max(0.0);
    }

    pub fn allows(&self) -> bool {
        *self.tokens.lock().unwrap() > self.most / 2.0
    }
}

fn duration(text: &Value) -> Duration {
    let text = text.as_str().unwrap();
    let seconds = text.strip_suffix('s').unwrap().parse().unwrap();
    Duration::from_secs_f64(seconds)
}
