//! Events of Stripe's, as far as the inbox needs to know them.

use serde_json::Value;

use super::gateway::Event;
use super::mirrored::at;
use crate::domain::billing::{Inbound, InboundState};
use crate::domain::time::Timestamp;
use crate::engine::InboundView;

/// What an event says beside the object that it is about.
struct Head {
    kind: Box<str>,
    created: Option<i64>,
    api_version: Option<Box<str>>,
    livemode: bool,
}

/// Reads an event, of which only what it is about is believed; `None`: it is none.
pub(super) fn read(event: &Value, now: Timestamp) -> Option<InboundView> {
    let head = Head {
        kind: text(&event["type"])?,
        created: event["created"].as_i64(),
        api_version: text(&event["api_version"]),
        livemode: event["livemode"].as_bool().unwrap_or_default(),
    };
    let mut inbound = about(head, &event["data"]["object"], now);
    if inbound.object.is_none() {
        // Thin events name what they are about elsewhere.
        inbound.object = text(&event["related_object"]["id"]);
    }
    Some((text(&event["id"])?, inbound))
}

/// Reads an event from Stripe's list of them.
pub(super) fn listed(event: &Event, now: Timestamp) -> InboundView {
    let head = Head {
        kind: event.class.as_str().into(),
        created: Some(event.created),
        api_version: event.api_version.as_deref().map(Box::from),
        livemode: event.livemode,
    };
    let inbound = about(head, &event.data.object, now);
    (event.id.as_str().into(), inbound)
}

fn about(head: Head, object: &Value, now: Timestamp) -> Inbound {
    let payer = if object["object"] == "customer" {
        text(&object["id"])
    } else {
        named(&object["customer"])
    };
    // Refunds, disputes and payments of invoices name no customer, but something that does.
    let through = || named(&object["payment_intent"]).or_else(|| named(&object["invoice"]));
    Inbound {
        kind: head.kind,
        object: text(&object["id"]),
        through: if payer.is_none() { through() } else { None },
        payer,
        payment: payment_of(object),
        api_version: head.api_version,
        livemode: head.livemode,
        create_time: head.created.map_or(now, at),
        receive_time: now,
        state: InboundState::Waiting,
        attempts: 0,
        fault: None,
        due_time: now,
    }
}

fn text(value: &Value) -> Option<Box<str>> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(Box::from)
}

/// Returns the id of what a value names, in either form.
fn named(value: &Value) -> Option<Box<str>> {
    text(value).or_else(|| text(&value["id"]))
}

/// Returns a document for what is signed and makes no sense.
pub(super) fn malformed(now: Timestamp) -> Inbound {
    let mut inbound = Inbound {
        kind: Box::default(),
        object: None,
        payer: None,
        payment: None,
        through: None,
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

/// Returns the payment that an object is, or is about. An invoice's payment names it one step further down.
fn payment_of(object: &Value) -> Option<Box<str>> {
    if object["object"] == "payment_intent" {
        return text(&object["id"]);
    }
    named(&object["payment_intent"]).or_else(|| named(&object["payment"]["payment_intent"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_micros_clamped(5)
    }

    #[test]
    fn what_an_event_is_about_is_found_in_each_form() {
        let own = |text: Option<Box<str>>| text.map(String::from);
        let of = |event: Value| {
            let (_, inbound) = read(&event, now()).unwrap();
            [inbound.object, inbound.payer, inbound.through].map(own)
        };
        let event = |object: Value| json!({"id": "evt_1", "type": "x", "data": {"object": object}});
        let expected = |object: &str, payer: &str, through: &str| {
            [object, payer, through].map(|text| (!text.is_empty()).then(|| text.to_owned()))
        };
        for (found, expected) in [
            (
                of(event(json!({"id": "sub_1", "customer": "cus_1"}))),
                expected("sub_1", "cus_1", ""),
            ),
            (
                of(event(
                    json!({"id": "ch_1", "customer": {"id": "cus_2"}, "payment_intent": "pi_1"}),
                )),
                expected("ch_1", "cus_2", ""),
            ),
            (
                of(event(json!({"id": "cus_3", "object": "customer"}))),
                expected("cus_3", "cus_3", ""),
            ),
            (
                of(event(
                    json!({"id": "re_1", "payment_intent": "pi_1", "charge": "ch_1"}),
                )),
                expected("re_1", "", "pi_1"),
            ),
            (
                of(event(json!({"id": "inpay_1", "invoice": {"id": "in_1"}}))),
                expected("inpay_1", "", "in_1"),
            ),
            (
                of(json!({"id": "evt_1", "type": "v1.x", "related_object": {"id": "mtr_1"}})),
                expected("mtr_1", "", ""),
            ),
            (
                of(json!({"id": "evt_1", "type": "x"})),
                expected("", "", ""),
            ),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        for nothing in [
            json!({}),
            json!([1]),
            json!({"id": "evt_1"}),
            json!({"id": 1, "type": "x"}),
            json!({"id": "", "type": "x"}),
        ] {
            assert!(read(&nothing, now()).is_none(), "{nothing}");
        }
    }

    #[test]
    fn an_event_is_the_same_by_webhook_and_by_list() {
        let event = json!({
            "id": "evt_1",
            "type": "invoice.paid",
            "created": 1_700_000_000,
            "api_version": "2026-01-28.clover",
            "livemode": true,
            "data": {"object": {"id": "in_1", "customer": "cus_1"}},
        });
        let from_list = listed(&serde_json::from_value(event.clone()).unwrap(), now());
        assert_eq!(read(&event, now()), Some(from_list));
    }
}
