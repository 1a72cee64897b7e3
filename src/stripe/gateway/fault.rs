//! Why a call failed, and what that says of what happened at Stripe: one table.

use std::fmt;

use serde::Deserialize;

use super::transport::TransportFault;
use super::wire::Response;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What to make of it.
    pub kind: Kind,
    /// What Stripe said of it.
    pub details: Box<Details>,
}

/// What to make of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The bank or Stripe refused the payment; `decline_code` says why.
    CardDeclined,
    /// Too many calls; nothing was done.
    RateLimited,
    /// The call is wrong as it stands, and will be however often it is repeated. Without a status
    /// it was found out before it was sent.
    InvalidRequest,
    /// What it names is not there; `param` says which, where it is not the object itself.
    NotFound,
    /// What it would create is there: for a meter event, that it was counted before.
    AlreadyExists,
    /// The idempotency key was used for a call with other content.
    IdempotencyMismatch,
    /// The key is not one of Stripe's, or was revoked.
    Authentication,
    /// The key may not do this.
    Permission,
    /// Another call holds the object; nothing was done.
    Conflict,
    /// Nothing left this process.
    NotSent,
    /// It may have been done or not. Only asking, or repeating it under its key, tells.
    OutcomeUnknown,
}

/// What Stripe said of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The status of HTTP; `None`: there was no answer.
    pub status: Option<u16>,
    /// Stripe's code for it, such as `resource_missing`.
    pub code: Option<String>,
    /// The bank's code, such as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// Words for whoever reads the log; never shown to customers unless it is a declined card.
    pub message: String,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// The payment that failed, where one was made.
    pub payment_intent: Option<String>,
    /// Which limit was hit; `None` on a 429 means that an object was locked.
    pub rate_limited_reason: Option<String>,
    /// When to come back, in seconds.
    pub retry_after: Option<u64>,
    /// What Stripe's support asks for.
    pub request_id: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Stripe: {:?}: {}",
            self.kind, self.details.message
        )?;
        for (name, value) in [
            ("code", &self.details.code),
            ("decline code", &self.details.decline_code),
            ("parameter", &self.details.param),
            ("request", &self.details.request_id),
        ] {
            if let Some(value) = value {
                write!(formatter, " ({name} {value})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl From<TransportFault> for Fault {
    fn from(fault: TransportFault) -> Self {
        match fault {
            TransportFault::NotSent(why) => Self::of(Kind::NotSent, why),
            TransportFault::Unknown(why) => Self::of(Kind::OutcomeUnknown, why),
        }
    }
}

impl Fault {
    /// Returns a failure of which nothing but words is known.
    #[must_use]
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        let details = Box::new(Details {
            message: message.into(),
            ..Details::default()
        });
        Self { kind, details }
    }

    /// Returns what an answer means that is not a good one.
    #[must_use]
    pub fn of_response(response: &Response) -> Self {
        let said = serde_json::from_slice::<Envelope>(&response.body).ok();
        let readable = said.is_some();
        let said = said.map(|envelope| envelope.error).unwrap_or_default();
        let kind = if readable {
            kind_of(response.status, &said)
        } else {
            Kind::OutcomeUnknown
        };
        let message = if readable {
            said.message.unwrap_or_default()
        } else {
            format!("status {} and no answer of Stripe's", response.status)
        };
        Self {
            kind,
            details: Box::new(Details {
                status: Some(response.status),
                code: said.code,
                decline_code: said.decline_code,
                message,
                param: said.param,
                payment_intent: said.payment_intent.map(|intent| intent.id),
                rate_limited_reason: response.rate_limited_reason.clone(),
                retry_after: response.retry_after,
                request_id: response.request_id.clone(),
            }),
        }
    }

    /// Returns the failure to read an answer that says that all went well.
    #[must_use]
    pub fn unreadable(response: &Response, error: &serde_json::Error) -> Self {
        let mut fault = Self::of(
            Kind::OutcomeUnknown,
            format!("status {}, but: {error}", response.status),
        );
        fault.details.status = Some(response.status);
        fault.details.request_id.clone_from(&response.request_id);
        fault
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: Said,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(rename = "type")]
    class: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    param: Option<String>,
    payment_intent: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// A line of the table: an answer with all that it names is of its kind. Empty text: anything.
struct Line {
    /// First and last status.
    status: (u16, u16),
    class: &'static str,
    code: &'static str,
    /// How the message begins. Only where Stripe has no code for it.
    message: &'static str,
    kind: Kind,
}

const fn line(
    status: (u16, u16),
    class: &'static str,
    code: &'static str,
    message: &'static str,
    kind: Kind,
) -> Line {
    Line {
        status,
        class,
        code,
        message,
        kind,
    }
}

/// The first line that fits decides.
const TABLE: [Line; 16] = [
    // A key that another attempt still holds is no mismatch: it comes free.
    line((400, 499), "", "idempotency_key_in_use", "", Kind::Conflict),
    line((400, 499), "", "lock_timeout", "", Kind::Conflict),
    line(
        (400, 499),
        "idempotency_error",
        "",
        "",
        Kind::IdempotencyMismatch,
    ),
    line((400, 499), "card_error", "", "", Kind::CardDeclined),
    line((400, 499), "", "resource_missing", "", Kind::NotFound),
    line(
        (400, 499),
        "",
        "resource_already_exists",
        "",
        Kind::AlreadyExists,
    ),
    line(
        (400, 400),
        "",
        "",
        "An event already exists with identifier",
        Kind::AlreadyExists,
    ),
    line((401, 401), "", "", "", Kind::Authentication),
    line((402, 402), "", "", "", Kind::CardDeclined),
    line((403, 403), "", "", "", Kind::Permission),
    line((404, 404), "", "", "", Kind::NotFound),
    line((409, 409), "", "", "", Kind::Conflict),
    // Something behind Stripe failed, which says nothing of what it did before.
    line((424, 424), "", "", "", Kind::OutcomeUnknown),
    line((429, 429), "", "", "", Kind::RateLimited),
    line((400, 499), "", "", "", Kind::InvalidRequest),
    line((0, u16::MAX), "", "", "", Kind::OutcomeUnknown),
];

fn kind_of(status: u16, said: &Said) -> Kind {
    let is = |wanted: &str, found: &Option<String>| {
        wanted.is_empty() || found.as_deref() == Some(wanted)
    };
    let begins = |wanted: &str| {
        said.message
            .as_deref()
            .unwrap_or_default()
            .starts_with(wanted)
    };
    TABLE
        .iter()
        .find(|line| {
            (line.status.0..=line.status.1).contains(&status)
                && is(line.class, &said.class)
                && is(line.code, &said.code)
                && begins(line.message)
        })
        .map_or(Kind::OutcomeUnknown, |line| line.kind)
}

#[cfg(test)]
mod tests;
