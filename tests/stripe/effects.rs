//! What meter events did: the sums that customers will be billed for, and how often each identifier counted.
//!
//! It is kept beside the model, so that a test does not ask the model whether the model is right.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Method, Model, Request, Response};

/// The path of meter events.
pub(super) const METER_EVENTS: &str = "/v1/billing/meter_events";
const ADJUSTMENTS: &str = "/v1/billing/meter_event_adjustments";
const METERS: &str = "/v1/billing/meters";
const CUSTOMERS: &str = "/v1/customers/";

#[derive(Debug, Clone)]
struct Effect {
    at: i64,
    value: i64,
    identifier: String,
    canceled: bool,
}

/// An active meter: under which keys of the payload it looks, and whether it counts events alone.
#[derive(Debug, Clone)]
struct Keys {
    customer: String,
    value: String,
    counts: bool,
}

/// What meter events did so far.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The active meters by event name; `None`: they may have changed.
    meters: Option<HashMap<String, Keys>>,
    /// Customers that are known to exist.
    customers: HashSet<String>,
    /// By event name and customer.
    counted: HashMap<String, HashMap<String, Vec<Effect>>>,
    times: HashMap<String, u32>,
}

impl Effects {
    /// Forgets what is known of meters and customers, since somebody may have changed them.
    pub(super) fn forget(&mut self) {
        self.meters = None;
        self.customers.clear();
    }

    /// Notes what a call did that the model carried out just now.
    pub(super) fn note(&mut self, model: &mut Model, request: &Request, response: &Response) {
        if request.method == Method::Get || response.status != 200 {
            return;
        }
        match request.path.as_str() {
            METER_EVENTS => self.count(model, &answer(response)),
            ADJUSTMENTS => self.cancel(&answer(response)),
            path if path.starts_with(METERS) => self.meters = None,
            path if request.method == Method::Delete && path.starts_with(CUSTOMERS) => {
                self.customers.clear();
            }
            _ => {}
        }
    }

    fn count(&mut self, model: &mut Model, event: &Value) {
        let name = text(event, "event_name");
        let Some(keys) = self.keys(model, name) else {
            return;
        };
        let customer = text(&event["payload"], &keys.customer);
        if !self.exists(model, customer) {
            return;
        }
        let value = match text(&event["payload"], &keys.value).parse() {
            Ok(value) if !keys.counts => value,
            Ok(_) | Err(_) => 1,
        };
        let identifier = text(event, "identifier");
        *self.times.entry(identifier.to_owned()).or_default() += 1;
        self.counted
            .entry(name.to_owned())
            .or_default()
            .entry(customer.to_owned())
            .or_default()
            .push(Effect {
                at: event["timestamp"].as_i64().unwrap_or_default(),
                value,
                identifier: identifier.to_owned(),
                canceled: false,
            });
    }

    fn cancel(&mut self, adjustment: &Value) {
        let identifier = text(&adjustment["cancel"], "identifier");
        let of_name = self.counted.get_mut(text(adjustment, "event_name"));
        let effects = of_name.into_iter().flat_map(HashMap::values_mut).flatten();
        for effect in effects.filter(|effect| effect.identifier == identifier) {
            effect.canceled = true;
        }
    }

    fn keys(&mut self, model: &mut Model, event_name: &str) -> Option<Keys> {
        let meters = self.meters.get_or_insert_with(|| active_meters(model));
        meters.get(event_name).cloned()
    }

    fn exists(&mut self, model: &mut Model, customer: &str) -> bool {
        if self.customers.contains(customer) {
            return true;
        }
        let found = ask(model, &format!("{CUSTOMERS}{customer}"), "")
            .is_some_and(|customer| customer["deleted"] != true);
        if found {
            self.customers.insert(customer.to_owned());
        }
        found
    }

    /// Returns the sum of what counts for a customer in `[from, to)`, by the timestamps of the events.
    pub(super) fn sum(&self, event_name: &str, customer: &str, from: i64, to: i64) -> i64 {
        let effects = self
            .counted
            .get(event_name)
            .and_then(|customers| customers.get(customer));
        effects
            .into_iter()
            .flatten()
            .filter(|effect| !effect.canceled && (from..to).contains(&effect.at))
            .map(|effect| effect.value)
            .sum()
    }

    fn counting(&self, event_name: &str) -> impl Iterator<Item = &Effect> {
        let of_name = self.counted.get(event_name);
        let effects = of_name.into_iter().flat_map(HashMap::values).flatten();
        effects.filter(|effect| !effect.canceled)
    }

    /// Returns the sum of what counts for all customers.
    pub(super) fn total(&self, event_name: &str) -> i64 {
        self.counting(event_name).map(|effect| effect.value).sum()
    }

    /// Returns how many events count for all customers.
    pub(super) fn count_of(&self, event_name: &str) -> usize {
        self.counting(event_name).count()
    }

    /// Returns how often an identifier counted.
    pub(super) fn times(&self, identifier: &str) -> u32 {
        self.times.get(identifier).copied().unwrap_or_default()
    }

    /// Returns the identifiers that counted more than once.
    pub(super) fn doubled(&self) -> Vec<String> {
        let mut doubled: Vec<String> = self
            .times
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(identifier, _)| identifier.clone())
            .collect();
        doubled.sort();
        doubled
    }
}

fn active_meters(model: &mut Model) -> HashMap<String, Keys> {
    let mut found = HashMap::new();
    let mut after = String::new();
    loop {
        let query = match after.as_str() {
            "" => "status=active&limit=100".to_owned(),
            id => format!("status=active&limit=100&starting_after={id}"),
        };
        let page = ask(model, METERS, &query).unwrap_or_default();
        let meters = page["data"].as_array().map_or(&[][..], Vec::as_slice);
        for meter in meters {
            let key = |part: &str| text(&meter[part], "event_payload_key").to_owned();
            let keys = Keys {
                customer: key("customer_mapping"),
                value: key("value_settings"),
                counts: meter["default_aggregation"]["formula"] == "count",
            };
            found.insert(text(meter, "event_name").to_owned(), keys);
        }
        match meters.last() {
            Some(last) if page["has_more"] == true => text(last, "id").clone_into(&mut after),
            Some(_) | None => return found,
        }
    }
}

fn ask(model: &mut Model, path: &str, query: &str) -> Option<Value> {
    let response = model.handle(&Request {
        method: Method::Get,
        path: path.to_owned(),
        query: query.to_owned(),
        body: String::new(),
        idempotency_key: None,
    });
    (response.status == 200).then(|| answer(&response))
}

fn answer(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
