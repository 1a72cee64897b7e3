//! A model of Stripe's behaviour: one account in memory, behind the calls of the API.
//!
//! It serves two uses: the sandbox, where the whole service runs offline on it, and the double that tests talk to over
//! HTTP. Objects are shaped like those of API version 2026-01-28.clover. Nothing here reads a clock: time moves only by
//! [`Model::advance`], and ids come from a counter, so that the same calls give the same answers.
//!
//! A call goes through `mod.rs` (idempotency, route, grammar of its parameters), a file per area that keeps its routes
//! beside its code, and `render.rs`, which turns what is stored into what is shown. `store.rs` holds all objects and can
//! take changes back: a call that is refused leaves nothing, and a preview is a change that is taken back.

mod agenda;
mod balance;
mod cards;
mod catalog;
mod charges;
mod checkout;
mod customers;
mod disputes;
mod events;
mod fault;
mod form;
mod grammar;
mod idempotency;
mod invoices;
mod list;
mod metering;
mod objects;
mod payment_intents;
mod payment_links;
mod payment_methods;
mod people;
mod portal;
mod refunds;
mod render;
mod route;
mod schedules;
mod shape;
mod store;
mod subscriptions;
#[cfg(test)]
mod tests;
mod webhook_endpoints;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use people::Refused;

use super::wire::{Method, Request, Response};
use agenda::Due;
use fault::Fault;
use idempotency::Keys;
use metering::Usage;
use route::{Call, Route};
use store::{Savepoint, Store};

/// Every call of the API, by area.
const ROUTES: [&[Route]; 22] = [
    customers::ROUTES,
    payment_methods::ROUTES,
    catalog::products::ROUTES,
    catalog::prices::ROUTES,
    catalog::coupons::ROUTES,
    metering::meters::ROUTES,
    metering::meter_events::ROUTES,
    metering::summaries::ROUTES,
    checkout::ROUTES,
    portal::ROUTES,
    payment_links::ROUTES,
    subscriptions::ROUTES,
    schedules::ROUTES,
    invoices::ROUTES,
    invoices::items::ROUTES,
    payment_intents::ROUTES,
    charges::ROUTES,
    refunds::ROUTES,
    disputes::ROUTES,
    balance::ROUTES,
    webhook_endpoints::ROUTES,
    events::ROUTES,
];

/// What becomes of a subscription when the last retry of a payment has failed: a setting of the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DunningEnd {
    /// It is canceled.
    #[default]
    Cancel,
    /// It becomes unpaid: invoices stay drafts until somebody pays.
    Unpaid,
    /// It stays past due.
    PastDue,
}

/// The call that causes what happens now; neither: the clock does.
#[derive(Debug, Clone, Default)]
struct Cause {
    request: Option<String>,
    key: Option<String>,
}

/// A point to which the model can be taken back.
#[derive(Debug, Clone, Copy)]
struct Mark {
    store: Savepoint,
    outbox: usize,
}

/// Everything that Stripe remembers of one account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Model {
    now: i64,
    /// What happens to a subscription when the retries of a payment end.
    pub dunning_end: DunningEnd,
    store: Store,
    agenda: BTreeSet<(i64, Due)>,
    outbox: Vec<Value>,
    usage: Usage,
    keys: Keys,
    requests: u64,
    #[serde(skip)]
    cause: Cause,
}

impl Model {
    /// Returns an empty account at a time, in seconds since 1970.
    #[must_use]
    pub fn new(now_seconds: i64) -> Self {
        Self {
            now: now_seconds,
            dunning_end: DunningEnd::default(),
            store: Store::default(),
            agenda: BTreeSet::new(),
            outbox: Vec::new(),
            usage: Usage::default(),
            keys: Keys::default(),
            requests: 0,
            cause: Cause::default(),
        }
    }

    /// Returns the time on the virtual clock, in seconds since 1970.
    #[must_use]
    pub const fn now(&self) -> i64 {
        self.now
    }

    /// Returns the events that were not taken yet, oldest first: snapshots, and thin events of the second version.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.outbox)
    }

    /// Returns the events that were not taken yet, oldest first.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.outbox
    }

    /// Answers a call.
    pub fn handle(&mut self, request: &Request) -> Response {
        self.requests += 1;
        self.cause = Cause {
            request: Some(format!("req_{:014}", self.requests)),
            key: request.idempotency_key.clone(),
        };
        let key = request
            .idempotency_key
            .as_deref()
            .filter(|_| request.method == Method::Post);
        let answer = match key.map(|key| self.keys.replay(key, request)) {
            Some(Ok(Some(again))) => return again,
            Some(Err(fault)) => return self.response(Err(fault)),
            Some(Ok(None)) | None => self.call(request),
        };
        let response = self.response(answer);
        if let Some(key) = key {
            self.keys.keep(key, request, &response, self.now);
        }
        self.cause = Cause::default();
        response
    }

    fn call(&mut self, request: &Request) -> Result<Value, Fault> {
        let (route, ids) = ROUTES
            .iter()
            .flat_map(|area| area.iter())
            .find_map(|route| Some((*route, route.matches(request.method, &request.path)?)))
            .ok_or_else(|| Fault::unknown_url(request.method.as_str(), &request.path))?;
        let both = match (request.query.is_empty(), request.body.is_empty()) {
            (true, _) => request.body.clone(),
            (false, true) => request.query.clone(),
            (false, false) => format!("{}&{}", request.query, request.body),
        };
        let grammar = format!("expand[] {}", route.params);
        let params = grammar::check(&grammar, form::decode(&both))?;
        let wanted = render::Wanted::new(&params.texts("expand"))?;
        self.store.settle();
        let mark = self.mark();
        let call = Call { ids, params };
        let shown = (route.run)(self, &call)
            .and_then(|stored| render::render(&self.store, &stored, &wanted));
        if let Err(fault) = &shown
            && !fault.keeps_changes
        {
            self.back_to(mark);
        }
        shown
    }

    fn response(&self, answer: Result<Value, Fault>) -> Response {
        let (status, should_retry, body) = match answer {
            Ok(body) => (200, None, body),
            Err(fault) => (fault.status, fault.should_retry, fault.body()),
        };
        Response {
            status,
            should_retry,
            retry_after: None,
            rate_limited_reason: None,
            request_id: self.cause.request.clone(),
            body: body.to_string().into_bytes(),
        }
    }

    /// Marks the present state.
    fn mark(&self) -> Mark {
        Mark {
            store: self.store.savepoint(),
            outbox: self.outbox.len(),
        }
    }

    /// Takes back all objects and events since a mark; notes in the agenda that stay do nothing.
    fn back_to(&mut self, mark: Mark) {
        self.store.rollback(mark.store);
        self.outbox.truncate(mark.outbox);
    }
}
