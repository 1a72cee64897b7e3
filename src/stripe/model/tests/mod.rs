//! What the model does, seen through its calls.

mod billing;
mod calls;
mod catalog;
mod changes;
mod checkout;
mod events;
mod lifecycle;
mod metering;
mod payments;
mod schedules;
mod subscriptions;

use serde_json::Value;

use super::{Method, Model, Request};

/// 15 January 2026, noon.
const START: i64 = 1_768_478_400;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Parameters of a call.
type Given<'a> = &'a [(&'a str, &'a str)];

/// A model, and calls of it.
struct Api {
    model: Model,
}

/// A refusal as it came.
#[derive(Debug)]
struct Refusal {
    status: u16,
    should_retry: Option<bool>,
    error: Value,
}

impl Api {
    fn new() -> Self {
        Self {
            model: Model::new(START),
        }
    }

    fn send(
        &mut self,
        method: Method,
        path: &str,
        given: Given,
        key: Option<&str>,
    ) -> Result<Value, Refusal> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(given)
            .finish();
        let (query, body) = if method == Method::Post {
            (String::new(), form)
        } else {
            (form, String::new())
        };
        let response = self.model.handle(&Request {
            method,
            path: path.to_owned(),
            query,
            body,
            idempotency_key: key.map(str::to_owned),
        });
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        if response.status == 200 {
            return Ok(body);
        }
        Err(Refusal {
            status: response.status,
            should_retry: response.should_retry,
            error: body["error"].clone(),
        })
    }

    fn post(&mut self, path: &str, given: Given) -> Value {
        self.send(Method::Post, path, given, None).unwrap()
    }

    fn get(&mut self, path: &str, given: Given) -> Value {
        self.send(Method::Get, path, given, None).unwrap()
    }

    fn delete(&mut self, path: &str, given: Given) -> Value {
        self.send(Method::Delete, path, given, None).unwrap()
    }

    fn refused(&mut self, path: &str, given: Given) -> Refusal {
        self.send(Method::Post, path, given, None).unwrap_err()
    }

    /// Moves the clock on by some seconds.
    fn pass(&mut self, seconds: i64) {
        self.model.advance(self.model.now() + seconds);
    }

    /// Takes the events, and returns their types.
    fn told(&mut self) -> Vec<String> {
        self.model
            .take_events()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Makes a customer that pays with a card.
    fn payer(&mut self, token: &str) -> String {
        let customer = id(&self.post("/v1/customers", &[("email", "a@example.com")]));
        let method = id(&self.post(
            &format!("/v1/payment_methods/{token}/attach"),
            &[("customer", &customer)],
        ));
        self.post(
            &format!("/v1/customers/{customer}"),
            &[("invoice_settings[default_payment_method]", &method)],
        );
        customer
    }

    fn product(&mut self, name: &str) -> String {
        id(&self.post("/v1/products", &[("name", name)]))
    }

    /// Makes a price per month or year, in cents.
    fn flat(&mut self, product: &str, cents: i64, interval: &str) -> String {
        let cents = cents.to_string();
        let given = [
            ("product", product),
            ("currency", "usd"),
            ("unit_amount", &cents),
            ("recurring[interval]", interval),
        ];
        id(&self.post("/v1/prices", &given))
    }

    /// Makes a meter, and returns its id.
    fn meter(&mut self, event_name: &str) -> String {
        let given = [
            ("display_name", event_name),
            ("event_name", event_name),
            ("default_aggregation[formula]", "sum"),
        ];
        id(&self.post("/v1/billing/meters", &given))
    }

    /// Makes a monthly metered price: the first 100 cost nothing, then each costs 2 cents.
    fn metered(&mut self, product: &str, meter: &str) -> String {
        let given = [
            ("product", product),
            ("currency", "usd"),
            ("billing_scheme", "tiered"),
            ("tiers_mode", "graduated"),
            ("tiers[0][up_to]", "100"),
            ("tiers[0][unit_amount]", "0"),
            ("tiers[1][up_to]", "inf"),
            ("tiers[1][unit_amount]", "2"),
            ("recurring[interval]", "month"),
            ("recurring[usage_type]", "metered"),
            ("recurring[meter]", meter),
        ];
        id(&self.post("/v1/prices", &given))
    }

    fn subscribe(&mut self, customer: &str, price: &str) -> Value {
        self.post(
            "/v1/subscriptions",
            &[("customer", customer), ("items[0][price]", price)],
        )
    }

    fn use_meter(&mut self, name: &str, customer: &str, value: i64, identifier: &str) {
        let value = value.to_string();
        let given = [
            ("event_name", name),
            ("payload[stripe_customer_id]", customer),
            ("payload[value]", &value),
            ("identifier", identifier),
        ];
        self.post("/v1/billing/meter_events", &given);
    }

    fn subscription(&mut self, of: &Value) -> Value {
        self.get(
            &format!("/v1/subscriptions/{}", id(of)),
            &[("expand[]", "latest_invoice")],
        )
    }

    /// Returns the newest invoice of a customer.
    fn newest_invoice(&mut self, customer: &str) -> Value {
        self.get("/v1/invoices", &[("customer", customer), ("limit", "1")])["data"][0].clone()
    }
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap()
}
