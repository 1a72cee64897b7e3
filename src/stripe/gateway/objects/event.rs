//! Events: what happened, as webhooks and the list of events tell it.

use serde_json::Value;

use super::{object, part};

object! {
    /// Something that happened.
    Event {
        /// What: `invoice.paid` and many others.
        #[serde(rename = "type")]
        class: String,
        /// When, to the second. Neither it nor the order of arrival says which of two was first.
        created: i64,
        /// In which version of the API its object is written.
        api_version: Option<String>,
        /// What it happened to.
        data: EventData,
        /// Whether money is real.
        livemode: bool,
        /// How many endpoints have not acknowledged it yet.
        pending_webhooks: i64,
    }
}

part! {
    /// What an event happened to.
    EventData {
        /// As it was right after.
        object: Value,
        /// What the fields that changed were before.
        previous_attributes: Option<Value>,
    }
}

impl Event {
    /// Returns the id of what it happened to.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        self.data.object.get("id")?.as_str()
    }

    /// Returns what kind of thing it happened to, such as `subscription`.
    #[must_use]
    pub fn object_class(&self) -> Option<&str> {
        self.data.object.get("object")?.as_str()
    }
}
