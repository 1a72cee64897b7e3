//! The account behind the double: leads a call through key, faults and locks to the model and back.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::effects::{Effects, METER_EVENTS};
use super::faults::Faults;
use super::in_flight::{Held, InFlight};
use super::recorded::{Recorded, Records};
use super::refusals::{
    error_500, html_bad_gateway, key_in_use, lock_timeout, rate_limited, unknown_method,
};
use super::webhooks::Webhooks;
use super::{Fault, Method, Model, Request, Response, Settings, authorization};

/// How long a saved 500 comes again, in seconds.
const SAVED_SECONDS: i64 = 24 * 3_600;

/// What came in.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) authorization: Option<String>,
    pub(super) call: Recorded,
}

/// What goes out.
#[derive(Debug)]
pub(super) enum Outcome {
    /// An answer, and whether it was given before under the same idempotency key.
    Answer { response: Response, replayed: bool },
    /// A page of something on the way.
    Page(Response),
    /// An answer whose body ends too early.
    CutOff(Response),
    /// None, for as long as the client waits.
    Silence,
    /// The connection ends.
    Close,
    /// The connection is reset.
    Reset,
}

impl Outcome {
    fn fresh(response: Response) -> Self {
        Self::Answer {
            response,
            replayed: false,
        }
    }

    const fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { response, .. } | Self::Page(response) | Self::CutOff(response) => {
                Some(response.status)
            }
            Self::Silence | Self::Close | Self::Reset => None,
        }
    }
}

#[derive(Debug)]
struct Ledger {
    model: Model,
    effects: Effects,
    /// Ids rise with each call, so that one that is not above this is of an answer that comes again.
    last_request: String,
    /// Answers of 500 that were saved, by idempotency key, and until when.
    saved: HashMap<String, (i64, Response)>,
}

/// Everything behind the double's address.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) records: Records,
    pub(super) in_flight: InFlight,
    pub(super) webhooks: Webhooks,
    ledger: Mutex<Ledger>,
}

impl Account {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            faults: Faults::new(settings.seed),
            records: Records::new(settings.calls_kept),
            in_flight: InFlight::default(),
            webhooks: Webhooks::new(&settings),
            ledger: Mutex::new(Ledger {
                model: Model::new(settings.now_seconds),
                effects: Effects::default(),
                last_request: String::new(),
                saved: HashMap::new(),
            }),
            settings,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.ledger.lock().model.now()
    }

    /// Does something to the model, and queues the events that come of it.
    pub(super) fn with_model<R>(&self, change: impl FnOnce(&mut Model) -> R) -> R {
        let mut ledger = self.ledger.lock();
        let done = change(&mut ledger.model);
        ledger.effects.forget();
        self.queue_events(&mut ledger.model);
        done
    }

    pub(super) fn with_effects<R>(&self, read: impl FnOnce(&Effects) -> R) -> R {
        read(&self.ledger.lock().effects)
    }

    /// Answers a call, or does not.
    pub(super) async fn take(&self, incoming: Incoming) -> Outcome {
        let Incoming {
            authorization,
            call,
        } = incoming;
        let request = request_of(&call);
        let (name, path) = (call.method.clone(), call.path.clone());
        let number = self.records.note(call);
        let key = self.settings.key.as_deref();
        let mut outcome = if let Err(refused) = authorization::check(authorization.as_deref(), key)
        {
            Outcome::fresh(refused)
        } else if let Some(request) = request {
            let fault = self.faults.take(&request);
            if let Some(fault) = &fault {
                self.records
                    .amend(number, |call| call.fault = Some(fault.clone()));
            }
            self.run(&request, fault).await
        } else {
            Outcome::fresh(unknown_method(&name, &path))
        };
        if let Outcome::Answer { response, .. } = &mut outcome {
            // Stripe names every call, those too that come to nothing.
            response
                .request_id
                .get_or_insert_with(|| format!("req_double{number:014}"));
        }
        self.records
            .amend(number, |call| call.status = outcome.status());
        outcome
    }

    async fn run(&self, request: &Request, fault: Option<Fault>) -> Outcome {
        let _underway = self.in_flight.begin();
        match &fault {
            Some(Fault::CloseBeforeEffect) => return Outcome::Close,
            Some(Fault::TimeoutBeforeEffect) => return Outcome::Silence,
            Some(Fault::Error500BeforeEffect) => return Outcome::fresh(error_500()),
            Some(Fault::HtmlBadGateway) => return Outcome::Page(html_bad_gateway()),
            Some(Fault::RateLimited {
                reason,
                retry_after,
            }) => return Outcome::fresh(rate_limited(reason.clone(), *retry_after)),
            Some(
                Fault::TimeoutAfterEffect
                | Fault::ResetAfterEffect
                | Fault::Error500AfterEffect
                | Fault::SavedError500AfterEffect
                | Fault::HtmlBadGatewayAfterEffect
                | Fault::Slow(_)
                | Fault::Truncated,
            )
            | None => {}
        }
        let _held = match self.hold(request) {
            Ok(held) => held,
            Err(refused) => return Outcome::fresh(refused),
        };
        if let Some(Fault::Slow(time)) = &fault {
            tokio::time::sleep(*time).await;
        }
        if !self.settings.latency.is_zero() {
            tokio::time::sleep(self.settings.latency).await;
        }
        let (response, replayed) = self.carry_out(request);
        match fault {
            Some(Fault::TimeoutAfterEffect) => Outcome::Silence,
            Some(Fault::ResetAfterEffect) => Outcome::Reset,
            Some(Fault::Error500AfterEffect) => Outcome::fresh(error_500()),
            Some(Fault::SavedError500AfterEffect) => Outcome::fresh(self.save_500(request)),
            Some(Fault::HtmlBadGatewayAfterEffect) => Outcome::Page(html_bad_gateway()),
            Some(Fault::Truncated) => Outcome::CutOff(response),
            Some(
                Fault::CloseBeforeEffect
                | Fault::TimeoutBeforeEffect
                | Fault::Error500BeforeEffect
                | Fault::HtmlBadGateway
                | Fault::RateLimited { .. }
                | Fault::Slow(_),
            )
            | None => Outcome::Answer { response, replayed },
        }
    }

    /// Takes what the call needs for itself: the meter of its customer, and its idempotency key.
    fn hold(&self, request: &Request) -> Result<Vec<Held>, Response> {
        let mut held = Vec::new();
        if request.method != Method::Post {
            return Ok(held);
        }
        if let Some(key) = &request.idempotency_key {
            let lock = self.in_flight.hold(format!("key {key}"));
            held.push(lock.ok_or_else(|| key_in_use(key))?);
        }
        if request.path == METER_EVENTS {
            let lock = self.in_flight.hold(meter_lock(&request.body));
            held.push(lock.ok_or_else(lock_timeout)?);
        }
        Ok(held)
    }

    fn carry_out(&self, request: &Request) -> (Response, bool) {
        let mut guard = self.ledger.lock();
        let ledger = &mut *guard;
        let now = ledger.model.now();
        if let Some(key) = &request.idempotency_key
            && let Some((until, response)) = ledger.saved.get(key)
            && now < *until
        {
            return (response.clone(), true);
        }
        let response = ledger.model.handle(request);
        let id = response.request_id.clone().unwrap_or_default();
        let replayed = id <= ledger.last_request;
        if !replayed {
            ledger.last_request = id;
            ledger.effects.note(&mut ledger.model, request, &response);
            self.queue_events(&mut ledger.model);
        }
        (response, replayed)
    }

    fn save_500(&self, request: &Request) -> Response {
        let response = error_500();
        if let Some(key) = &request.idempotency_key {
            let mut ledger = self.ledger.lock();
            let until = ledger.model.now() + SAVED_SECONDS;
            let saved = (until, response.clone());
            ledger.saved.entry(key.clone()).or_insert(saved);
        }
        response
    }

    fn queue_events(&self, model: &mut Model) {
        let events = model.take_events();
        if !events.is_empty() {
            self.webhooks.queue(&events, model.now());
        }
    }
}

/// Returns the call as the model reads it; `None`: a method that the API does not have.
fn request_of(call: &Recorded) -> Option<Request> {
    let methods = [Method::Get, Method::Post, Method::Delete];
    let method = methods
        .into_iter()
        .find(|method| method.as_str() == call.method)?;
    Some(Request {
        method,
        path: call.path.clone(),
        query: call.query.clone(),
        body: call.body.clone(),
        idempotency_key: call.idempotency_key.clone(),
    })
}

/// Returns the name of what one meter event at a time may use: the meter, by its event name, and the customer.
fn meter_lock(body: &str) -> String {
    let (mut name, mut customer) = (String::new(), String::new());
    for (key, value) in form_urlencoded::parse(body.as_bytes()) {
        match key.as_ref() {
            "event_name" => name = value.into_owned(),
            "payload[stripe_customer_id]" => customer = value.into_owned(),
            _ => {}
        }
    }
    format!("meter {name} {customer}")
}
