//! Parameters in Stripe's form: names nest in brackets (`items[0][price]`), values are text.

use serde_json::{Map, Value, json};

/// Decodes form-encoded pairs into nested objects; what are lists is told by the call's grammar later.
pub(super) fn decode(encoded: &str) -> Value {
    let mut root = Map::new();
    for (name, value) in form_urlencoded::parse(encoded.as_bytes()) {
        let head = name.split('[').next().unwrap_or_default();
        let mut path = vec![head.to_owned()];
        path.extend(
            name[head.len()..]
                .split('[')
                .skip(1)
                .map(|part| part.trim_end_matches(']').to_owned()),
        );
        insert(&mut root, &path, &value);
    }
    Value::Object(root)
}

fn insert(into: &mut Map<String, Value>, path: &[String], value: &str) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let name = if first.is_empty() {
        into.len().to_string()
    } else {
        first.clone()
    };
    if rest.is_empty() {
        into.insert(name, value.into());
        return;
    }
    let inner = into.entry(name).or_insert_with(|| json!({}));
    if !inner.is_object() {
        *inner = json!({});
    }
    if let Value::Object(inner) = inner {
        insert(inner, rest, value);
    }
}

/// The parameters of a call, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Params(pub(super) Value);

impl Params {
    /// Whether it is there, empty or not.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.0[name].is_null()
    }

    /// Whether it is there and empty: the value is to be taken away.
    pub(super) fn clears(&self, name: &str) -> bool {
        self.0[name].as_str() == Some("")
    }

    /// Returns text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str().filter(|text| !text.is_empty())
    }

    /// Returns text, or `null`.
    pub(super) fn text_or_null(&self, name: &str) -> Value {
        self.text(name).map_or(Value::Null, Into::into)
    }

    /// Returns a whole number; the grammar has seen to it that it is one.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// Returns a yes or no.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "true")
    }

    /// Returns a part.
    pub(super) fn part(&self, name: &str) -> Option<Self> {
        self.0[name].is_object().then(|| Self(self.0[name].clone()))
    }

    /// Returns a list of parts; `None`: it is not there. An empty text is an empty list.
    pub(super) fn parts(&self, name: &str) -> Option<Vec<Self>> {
        match &self.0[name] {
            Value::Array(list) => Some(list.iter().cloned().map(Self).collect()),
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            _ => None,
        }
    }

    /// Returns a list of texts; nothing there: an empty one.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.0[name].as_array().map_or_else(Vec::new, |list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
    }

    /// Changes metadata as a call says: named keys are set, empty ones taken away, all of them with an empty text.
    pub(super) fn merge_metadata(&self, old: &Value) -> Value {
        if self.clears("metadata") {
            return json!({});
        }
        let mut merged = old.as_object().cloned().unwrap_or_default();
        if let Some(new) = self.0["metadata"].as_object() {
            for (name, value) in new {
                if value.as_str() == Some("") {
                    merged.remove(name);
                } else {
                    merged.insert(name.clone(), value.clone());
                }
            }
        }
        Value::Object(merged)
    }
}
