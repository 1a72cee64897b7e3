//! What happened, told in events: snapshots of the object, kept for 30 days.

use serde_json::{Map, Value, json};

use super::Model;
use super::fault::Fault;
use super::list;
use super::render::plain;
use super::route::{Answer, Call, Route};
use super::shape::rfc3339;
use super::store::Kind;

/// The version of the API that objects and events are written in.
pub(super) const API_VERSION: &str = "2026-01-28.clover";
/// How long events can be read.
pub(super) const EVENT_SECONDS: i64 = 30 * 86_400;

pub(super) const ROUTES: &[Route] = &[
    Route::get(
        "/v1/events",
        "type types[] created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        list_events,
    ),
    Route::get("/v1/events/*", "", |model, call| {
        model.named(Kind::Event, call)
    }),
    Route::get("/v2/core/events/*", "", |model, call| {
        model.named(Kind::ThinEvent, call)
    }),
];

fn list_events(model: &mut Model, call: &Call) -> Answer {
    let mut types = call.params.texts("types");
    types.extend(call.params.text("type").map(str::to_owned));
    let fits = |one: &str, kind: &str| {
        one == kind
            || one == "*"
            || one
                .strip_suffix('*')
                .is_some_and(|start| kind.starts_with(start))
    };
    list::answer(model, call, Kind::Event, "/v1/events", |event| {
        let kind = event["type"].as_str().unwrap_or_default();
        types.is_empty() || types.iter().any(|one| fits(one, kind))
    })
}

impl Model {
    /// Tells of an object as it is now.
    pub(super) fn tell(&mut self, kind: &str, object: &Value) {
        let data = json!({"object": plain(&self.store, object)});
        self.event(kind, &data);
    }

    /// Tells that an object changed, with what it was before; nothing if nothing that is shown changed.
    pub(super) fn tell_change(&mut self, kind: &str, before: &Value, object: &Value) {
        let shown = plain(&self.store, object);
        let previous = difference(&plain(&self.store, before), &shown);
        if previous.as_object().is_some_and(|map| !map.is_empty()) {
            let data = json!({"object": shown, "previous_attributes": previous});
            self.event(kind, &data);
        }
    }

    fn event(&mut self, kind: &str, data: &Value) {
        let event = json!({
            "id": self.store.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": false,
            "pending_webhooks": 1,
            "request": {"id": self.cause.request, "idempotency_key": self.cause.key},
            "type": kind,
        });
        self.store.put(Kind::Event, event.clone());
        self.outbox.push(event);
    }

    /// Tells, in a thin event, of something that belongs to no call; `related` is the object with its address.
    pub(super) fn tell_thin(&mut self, kind: &str, related: Option<Value>, data: Value) {
        let mut event = json!({
            "id": self.store.new_id("evt_test"),
            "object": "v2.core.event",
            "context": null,
            "created": rfc3339(self.now),
            "livemode": false,
            "reason": null,
            "type": kind,
        });
        if let Some(related) = related {
            event["related_object"] = related;
        }
        self.outbox.push(event.clone());
        event["data"] = data;
        event["_created"] = self.now.into();
        self.store.put(Kind::ThinEvent, event);
    }

    /// Drops events that can no longer be read.
    pub(super) fn prune_events(&mut self) {
        let oldest = self.now - EVENT_SECONDS;
        self.store.prune(Kind::Event, |event| {
            event["created"].as_i64().unwrap_or_default() < oldest
        });
        self.store.prune(Kind::ThinEvent, |event| {
            event["_created"].as_i64().unwrap_or_default() < oldest
        });
    }

    /// Answers with the object that the path names.
    pub(super) fn named(&mut self, kind: Kind, call: &Call) -> Answer {
        self.store
            .get(kind, call.id())
            .cloned()
            .ok_or_else(|| Fault::not_found(kind, call.id()))
    }
}

/// Returns, of what differs, what was before: of objects inside only the keys that differ.
fn difference(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return before.clone();
    };
    let mut differs = Map::new();
    for (key, value) in old {
        match new.get(key) {
            Some(now) if now == value => {}
            Some(now) if value.is_object() && now.is_object() && value["object"] != "list" => {
                differs.insert(key.clone(), difference(value, now));
            }
            Some(_) | None => {
                differs.insert(key.clone(), value.clone());
            }
        }
    }
    for key in new.keys().filter(|key| !old.contains_key(*key)) {
        differs.insert(key.clone(), Value::Null);
    }
    Value::Object(differs)
}
