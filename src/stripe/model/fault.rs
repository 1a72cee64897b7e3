//! What the API refuses, and how it says so.

use serde_json::{Value, json};

use super::cards::Decline;
use super::store::Kind;

/// A refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The status of HTTP.
    pub(super) status: u16,
    /// `error.type`.
    pub(super) class: &'static str,
    /// `error.code`.
    pub(super) code: Option<&'static str>,
    /// `error.param`.
    pub(super) param: Option<String>,
    /// `error.message`.
    pub(super) message: String,
    /// `error.decline_code`.
    pub(super) decline_code: Option<&'static str>,
    /// `Stripe-Should-Retry`.
    pub(super) should_retry: Option<bool>,
    /// What happened all the same stays: a payment that failed is remembered.
    pub(super) keeps_changes: bool,
    /// `error.payment_intent`.
    pub(super) payment_intent: Option<Box<Value>>,
}

impl Fault {
    /// Returns a refusal of a request that makes no sense as it stands.
    pub(super) fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            class: "invalid_request_error",
            code: None,
            param: (!param.is_empty()).then(|| param.to_owned()),
            message: message.into(),
            decline_code: None,
            should_retry: None,
            keeps_changes: false,
            payment_intent: None,
        }
    }

    /// Gives a refusal its code.
    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Returns the refusal of a parameter that the call does not have.
    pub(super) fn unknown_parameter(name: &str) -> Self {
        Self::invalid(name, format!("Received unknown parameter: {name}")).code("parameter_unknown")
    }

    /// Returns the refusal of a call without a parameter that it needs.
    pub(super) fn missing_parameter(name: &str) -> Self {
        Self::invalid(name, format!("Missing required param: {name}.")).code("parameter_missing")
    }

    /// Returns the refusal of an id in the path that names nothing.
    pub(super) fn not_found(kind: Kind, id: &str) -> Self {
        let mut fault = Self::no_such(kind, id, "id");
        fault.status = 404;
        fault
    }

    /// Returns the refusal of an id in a parameter that names nothing.
    pub(super) fn no_such(kind: Kind, id: &str, param: &str) -> Self {
        Self::invalid(param, format!("No such {}: '{id}'", kind.object())).code("resource_missing")
    }

    /// Returns the refusal of a path and method that the API does not have.
    pub(super) fn unknown_url(method: &str, path: &str) -> Self {
        let mut fault = Self::invalid("", format!("Unrecognized request URL ({method}: {path})."));
        fault.status = 404;
        fault
    }

    /// Returns the refusal of a card by its bank.
    pub(super) fn declined(decline: Decline) -> Self {
        Self {
            status: 402,
            class: "card_error",
            code: Some("card_declined"),
            param: None,
            message: decline.message().to_owned(),
            decline_code: Some(decline.code()),
            should_retry: None,
            keeps_changes: false,
            payment_intent: None,
        }
    }

    /// Returns the refusal of a payment for which the customer has no card.
    pub(super) fn no_payment_method() -> Self {
        Self::invalid(
            "",
            "This customer has no attached payment source or default payment method. Please \
             consider adding a default payment method.",
        )
        .code("resource_missing")
    }

    /// Returns the refusal of a key that was used for another request.
    pub(super) fn other_request(key: &str) -> Self {
        let mut fault = Self::invalid(
            "",
            format!(
                "The idempotency key '{key}' was first used with other parameters or for another \
                 endpoint; a key repeats one request only."
            ),
        );
        fault.class = "idempotency_error";
        fault
    }

    /// Returns the body of the answer.
    pub(super) fn body(&self) -> Value {
        let mut error = json!({"type": self.class, "message": self.message});
        if let Some(code) = self.code {
            error["code"] = code.into();
            error["doc_url"] = format!(
                "https://stripe.com/docs/error-codes/{}",
                code.replace('_', "-")
            )
            .into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.as_str().into();
        }
        if let Some(code) = self.decline_code {
            error["decline_code"] = code.into();
        }
        if let Some(intent) = &self.payment_intent {
            error["payment_intent"] = Value::clone(intent);
        }
        json!({"error": error})
    }
}
