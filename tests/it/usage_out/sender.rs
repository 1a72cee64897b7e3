//! The way to Stripe: as it is, and with defects that other senders of usage have had.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bursar::stripe::gateway::{
    Caller, Gateway, Http, HttpSettings, Rates, Repeats, Transport, TransportFault,
};
use bursar::stripe::wire::{Request, Response};

/// The path of meter events.
pub const METER_EVENTS: &str = "/v1/billing/meter_events";

/// How usage is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// As it is.
    Right,
    /// Each attempt has an identifier of its own.
    NamesEachAttempt,
    /// Under an idempotency key, where Stripe keeps failures.
    Keyed,
    /// What is in doubt is sent again, without a look at Stripe's sums.
    SendsWhatIsInDoubt,
    /// What Stripe did not answer for is sent again under its name for two days.
    Persistent,
}

/// Carries requests as the sender would.
struct Carrier {
    http: Http,
    sender: Sender,
    attempts: AtomicU64,
}

#[async_trait]
impl Transport for Carrier {
    async fn send(&self, request: &Request) -> Result<Response, TransportFault> {
        if request.path != METER_EVENTS {
            return self.http.send(request).await;
        }
        let mut request = request.clone();
        match self.sender {
            Sender::Right | Sender::SendsWhatIsInDoubt | Sender::Persistent => {}
            Sender::NamesEachAttempt => {
                let nth = self.attempts.fetch_add(1, Ordering::Relaxed);
                let identifier = identifier(&request.body);
                request.body = request
                    .body
                    .replace(&identifier, &format!("{identifier}_{nth}"));
            }
            Sender::Keyed => request.idempotency_key = Some(identifier(&request.body)),
        }
        self.http.send(&request).await
    }
}

/// Returns the identifier of a meter event.
pub fn identifier(body: &str) -> String {
    let mut pairs = form_urlencoded::parse(body.as_bytes());
    let found = pairs.find(|(key, _)| key == "identifier");
    found.map(|(_, value)| value.into_owned()).unwrap()
}

/// Returns a gateway that gives up soon and repeats without long pauses.
pub fn gateway(url: &str, sender: Sender) -> Arc<Gateway> {
    let settings = HttpSettings {
        base_url: url.to_owned(),
        connect_timeout: Duration::from_millis(100),
        call_timeout: Duration::from_millis(250),
        ..HttpSettings::default()
    };
    let carrier = Carrier {
        http: Http::new(&settings, &"sk_test_bursar".into()).unwrap(),
        sender,
        attempts: AtomicU64::new(0),
    };
    let rates = Rates {
        calls: NonZeroU32::new(100_000).unwrap(),
        meter_events: None,
    };
    let repeats = Repeats {
        base: Duration::from_millis(2),
        ..Repeats::default()
    };
    let caller = Caller::new(Arc::new(carrier), rates, repeats, 1);
    Arc::new(Gateway::new(caller))
}
