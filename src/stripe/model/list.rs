//! Lists: newest first, in pages.

use serde_json::Value;

use super::Model;
use super::fault::Fault;
use super::form::Params;
use super::render::page;
use super::route::{Answer, Call};
use super::shape::{int, text};
use super::store::Kind;

/// Answers with a page of a kind's objects that fit; a time range in `created` is looked at here.
pub(super) fn answer(
    model: &Model,
    call: &Call,
    kind: Kind,
    url: &str,
    fits: impl Fn(&Value) -> bool,
) -> Answer {
    let created = range(&call.params);
    let fitting = model
        .store
        .all(kind)
        .rev()
        .filter(|object| object["deleted"] != true && created(created_at(object)) && fits(object))
        .cloned()
        .collect();
    pages(fitting, &call.params, url)
}

/// Cuts the page that a call asks for from all that it could see.
pub(super) fn pages(mut all: Vec<Value>, params: &Params, url: &str) -> Answer {
    let limit = params.int("limit").unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Fault::invalid(
            "limit",
            format!("This value must be from 1 to 100, and is {limit}."),
        ));
    }
    if let Some(after) = params.text("starting_after") {
        let at = position(&all, after, "starting_after")?;
        all.drain(..=at);
    }
    let limit = usize::try_from(limit).unwrap_or(10);
    if let Some(before) = params.text("ending_before") {
        let at = position(&all, before, "ending_before")?;
        all.truncate(at);
        let start = all.len().saturating_sub(limit);
        return Ok(page(all.split_off(start), start > 0, url));
    }
    let has_more = all.len() > limit;
    all.truncate(limit);
    Ok(page(all, has_more, url))
}

fn position(all: &[Value], id: &str, param: &str) -> Result<usize, Fault> {
    all.iter()
        .position(|object| text(&object["id"]) == id)
        .ok_or_else(|| {
            Fault::invalid(param, format!("No such object: '{id}'")).code("resource_missing")
        })
}

/// Returns the test of a `created` range.
fn range(params: &Params) -> impl Fn(i64) -> bool + use<> {
    let part = params.part("created");
    let bound = |name: &str| part.as_ref().and_then(|part| part.int(name));
    let (gt, gte, lt, lte) = (bound("gt"), bound("gte"), bound("lt"), bound("lte"));
    move |time| {
        gt.is_none_or(|bound| time > bound)
            && gte.is_none_or(|bound| time >= bound)
            && lt.is_none_or(|bound| time < bound)
            && lte.is_none_or(|bound| time <= bound)
    }
}

/// Returns when an object was made; invoice items have another name for it.
fn created_at(object: &Value) -> i64 {
    object["created"]
        .as_i64()
        .unwrap_or_else(|| int(&object["date"]))
}
