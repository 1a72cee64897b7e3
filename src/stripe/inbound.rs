//! Events of Stripe's, as far as the inbox needs to know them.

use serde_json::Value;

use crate::domain::billing::{Inbound, InboundState};
use crate::domain::time::Timestamp;

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

/// Reads an event, of which only what it is about is believed; `None`: it is none.
pub(super) fn read(event: &Value, now: Timestamp) -> Option<(Box<str>, Inbound)> {
    let text = |value: &Value| value.as_str().map(Box::from);
    let id: Box<str> = text(&event["id"])?;
    let kind: Box<str> = text(&event["type"])?;
    let object = &event["data"]["object"];
    // Thin events name what they are about elsewhere.
    let about = match text(&object["id"]) {
        Some(id) => Some(id),
        None => text(&event["related_object"]["id"]),
    };
    let payer = if object["object"] == "customer" {
        text(&object["id"])
    } else {
        text(&object["customer"]).or_else(|| text(&object["customer"]["id"]))
    };
    let inbound = Inbound {
        kind,
        object: about,
        payer,
        payment: payment_of(object),
        api_version: text(&event["api_version"]),
        livemode: event["livemode"].as_bool().unwrap_or_default(),
        create_time: made(event, now),
        receive_time: now,
        state: InboundState::Waiting,
        attempts: 0,
        fault: None,
        due_time: now,
    };
    Some((id, inbound))
}

/// Returns a document for what is signed and makes no sense.
pub(super) fn malformed(now: Timestamp) -> Inbound {
    let mut inbound = Inbound {
        kind: Box::default(),
        object: None,
        payer: None,
        payment: None,
        api_version: None,
        livemode: false,
        create_time: now,
        receive_time: now,
        state: InboundState::Waiting,
        attempts: 0,
        fault: Some("it is no event".into()),
        due_time: now,
    };
    inbound.end(InboundState::Malformed, now);
    inbound
}

/// Returns the payment that an object is, or is about.
fn payment_of(object: &Value) -> Option<Box<str>> {
    let id = if object["object"] == "payment_intent" {
        &object["id"]
    } else {
        // An invoice's payment names it one step further down; where it came along whole, it has its id inside.
        let named = &object["payment_intent"];
        let named = if named.is_null() {
            &object["payment"]["payment_intent"]
        } else {
            named
        };
        if named.is_object() {
            &named["id"]
        } else {
            named
        }
    };
    id.as_str().map(Box::from)
}

fn made(event: &Value, now: Timestamp) -> Timestamp {
    let seconds = event["created"].as_i64();
    let micros = seconds.and_then(|seconds| seconds.checked_mul(MICROS));
    micros.and_then(Timestamp::from_micros).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_event_is_about_is_found_in_each_form() {
        let now = Timestamp::from_micros_clamped(5);
        let of = |event: Value| {
            let (_, inbound) = read(&event, now).unwrap();
            (
                inbound.object.as_deref().map(str::to_owned),
                inbound.payer.as_deref().map(str::to_owned),
            )
        };
        let event = |object: Value| json!({"id": "evt_1", "type": "x", "data": {"object": object}});
        let some = |text: &str| Some(text.to_owned());
        for (found, expected) in [
            (
                of(event(json!({"id": "sub_1", "customer": "cus_1"}))),
                (some("sub_1"), some("cus_1")),
            ),
            (
                of(event(json!({"id": "in_1", "customer": {"id": "cus_2"}}))),
                (some("in_1"), some("cus_2")),
            ),
            (
                of(event(json!({"id": "cus_3", "object": "customer"}))),
                (some("cus_3"), some("cus_3")),
            ),
            (
                of(json!({"id": "evt_1", "type": "v1.x", "related_object": {"id": "mtr_1"}})),
                (some("mtr_1"), None),
            ),
            (of(json!({"id": "evt_1", "type": "x"})), (None, None)),
        ] {
            assert_eq!(found, expected);
        }
        for nothing in [
            json!({}),
            json!([1]),
            json!({"id": "evt_1"}),
            json!({"id": 1, "type": "x"}),
        ] {
            assert!(read(&nothing, now).is_none(), "{nothing}");
        }
    }
}
