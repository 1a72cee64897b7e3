//! Turns what the request types of the crates hold into requests of ours.

use std::collections::{BTreeMap, HashMap};

use stripe_client_core::{RequestBuilder, StripeMethod};

use super::fault::{Fault, Kind};
use super::wire::{Method, Request};

/// What is kept with an object at Stripe, for us alone: at most 50 keys of up to 40 characters,
/// with values of up to 500. In an update a key that is not named stays, and an empty value removes
/// it.
pub type Metadata = BTreeMap<String, String>;

/// The longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Parameters that are maps: the request types keep them in no order, and Stripe in none either.
const MAPS: [&str; 2] = ["metadata[", "payload["];

/// Makes a request. Its key is given where a repeat must not happen again.
pub(super) fn shape(built: RequestBuilder, key: Option<&str>) -> Result<Request, Fault> {
    if !is_path(&built.path) {
        return Err(wrong("an id is empty or is none of Stripe's"));
    }
    if key.is_some_and(|key| !is_key(key)) {
        return Err(wrong(
            "an idempotency key is empty, too long or no plain text",
        ));
    }
    let mut query = built.query.unwrap_or_default();
    let mut body = in_order(&built.body.unwrap_or_default());
    let method = match built.method {
        StripeMethod::Get => Method::Get,
        StripeMethod::Post => Method::Post,
        // What lies on the way may drop the body of a DELETE, so its parameters go where Stripe's
        // own clients put them.
        StripeMethod::Delete => {
            if query.is_empty() {
                query = std::mem::take(&mut body);
            }
            Method::Delete
        }
    };
    Ok(Request {
        method,
        path: format!("/v1{}", built.path),
        query,
        body,
        idempotency_key: key.map(str::to_owned),
    })
}

/// Returns the fault of a call that Stripe would refuse, however often it is made; it is not made.
pub(super) fn wrong(message: &str) -> Fault {
    Fault::of(Kind::InvalidRequest, message)
}

fn is_key(key: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether a path is one of the API's. Ids are put into it as they stand, and one that is
/// empty or holds a slash would name another resource: a list instead of an object.
fn is_path(path: &str) -> bool {
    let Some(parts) = path.strip_prefix('/') else {
        return false;
    };
    parts.split('/').all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

/// Orders the entries of each map by their keys, so that the same call is the same bytes each time.
/// The rest stays as it is: the order of elements of a list may matter.
fn in_order(body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let mut pairs: Vec<&str> = body.split('&').collect();
    for run in pairs.chunk_by_mut(|left, right| {
        let map = map_of(left);
        map.is_some() && map == map_of(right)
    }) {
        run.sort_unstable();
    }
    pairs.join("&")
}

/// Returns the map whose entry a pair is, with what stands before it.
fn map_of(pair: &str) -> Option<&str> {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let end = name.rfind('[')? + 1;
    MAPS.iter()
        .any(|map| name[..end].ends_with(map))
        .then(|| &name[..end])
}

/// Adds a parameter that empties what it names, which the request types cannot say.
pub(super) fn emptied(mut built: RequestBuilder, name: &str) -> RequestBuilder {
    let body = built.body.get_or_insert_default();
    if !body.is_empty() {
        body.push('&');
    }
    body.push_str(name);
    body.push('=');
    built
}

/// Returns metadata as the request types take it.
pub(super) fn unordered(metadata: &Metadata) -> HashMap<String, String> {
    metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Returns metadata for a part of a request that may be without.
pub(super) fn unordered_if_any(metadata: &Metadata) -> Option<HashMap<String, String>> {
    (!metadata.is_empty()).then(|| unordered(metadata))
}

#[cfg(test)]
mod tests;
