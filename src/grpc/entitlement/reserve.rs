//! Setting aside before work, and settling after it.

use super::check::known;
use crate::domain::catalog::FeatureKind;
use crate::domain::decision::Decision;
use crate::domain::id::{CustomerId, FeatureId, ReservationId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ITEMS_MAX, TTL_DEFAULT, TTL_MAX, TTL_MIN};
use crate::domain::time::Span;
use crate::domain::usage::{Labels, UsageEvent};
use crate::engine::{Engine, Error, ReserveAnswer, ReserveCall};
use crate::grpc::convert::decision::decision;
use crate::grpc::convert::reservation::reservation;
use crate::grpc::convert::usage::kept;
use crate::grpc::convert::{
    at, count, dimensions, id, metadata, optional_id, request_id, span, text, units,
};
use crate::grpc::{CALLER, pb};

/// Longest holder, in bytes.
pub(super) const HOLDER_BYTES_MAX: usize = 128;
/// Most events in one commit.
const EVENTS_MAX: usize = 1000;

pub(super) async fn reserve(
    engine: &Engine,
    request: pb::ReserveRequest,
) -> Result<pb::ReserveResponse, Error> {
    let key = request_id(request.request_id)?;
    count("items", request.items.len(), 1, ITEMS_MAX)?;
    let items = request.items.into_iter().enumerate();
    let items = items
        .map(|(index, item)| read_item(engine, item).map_err(|wrong| at("items", index, wrong)))
        .collect::<Result<Vec<_>, _>>()?;
    let call = ReserveCall {
        customer: id("customer_id", request.customer_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        items,
        ttl: ttl(request.ttl)?,
        holder: text("holder", request.holder, HOLDER_BYTES_MAX)?,
        metadata: metadata(request.metadata)?,
        verbose: request.verbose,
    };
    let answer = engine.reserve(CALLER, key, call.clone()).await?;
    for ((feature, ..), made) in call.items.iter().zip(&answer.decisions) {
        known(engine, feature, call.subaccount.as_ref(), made)?;
    }
    Ok(reserved(engine, &call, answer))
}

type Item = (FeatureId, i64, i64, Labels);

fn read_item(engine: &Engine, item: pb::ReserveItem) -> Result<Item, Error> {
    let feature: FeatureId = id("feature_id", item.feature_id)?;
    let quantity = units("quantity", item.quantity, 1, 1)?;
    let least = units("min_quantity", item.min_quantity, quantity, 1)?;
    if least > quantity {
        return Err(Error::invalid("min_quantity", "must be at most quantity"));
    }
    if let Some(declared) = engine.catalog().catalog.features.get(&feature) {
        match &declared.kind {
            FeatureKind::Metered { .. } | FeatureKind::Concurrency | FeatureKind::Rate => {}
            FeatureKind::Boolean | FeatureKind::Static | FeatureKind::Allocation => {
                return Err(Error::FeatureKind {
                    id: feature.into(),
                    kind: declared.kind.as_str(),
                    wanted: "metered, concurrency or rate",
                });
            }
        }
    }
    let dimensions = dimensions("dimensions", item.dimensions)?;
    Ok((feature, quantity, least, dimensions))
}

fn reserved(engine: &Engine, call: &ReserveCall, answer: ReserveAnswer) -> pb::ReserveResponse {
    let subaccount = call.subaccount.as_ref();
    let is_granted = answer.reservation.is_some();
    let deciding = deciding(&answer.decisions).cloned();
    let items = call.items.iter().zip(answer.decisions);
    pb::ReserveResponse {
        decision: deciding.map(|made| decision(made, subaccount)),
        items: items
            .map(|((feature, ..), made)| pb::ReserveItemResult {
                feature_id: feature.to_string(),
                granted_quantity: if is_granted { made.granted } else { 0 },
                decision: Some(decision(made, subaccount)),
            })
            .collect(),
        reservation: answer
            .reservation
            .map(|held| reservation(held, &call.customer, engine.now())),
    }
}

/// Returns the first denial, else the decision with the least remaining.
fn deciding(decisions: &[Decision]) -> Option<&Decision> {
    decisions.iter().find(|made| !made.allowed).or_else(|| {
        decisions
            .iter()
            .min_by_key(|made| made.remaining.unwrap_or(Milli(i64::MAX)))
    })
}

fn ttl(given: Option<prost_types::Duration>) -> Result<Span, Error> {
    span("ttl", given, TTL_DEFAULT, (TTL_MIN, TTL_MAX))
}

pub(super) async fn extend_reservation(
    engine: &Engine,
    request: pb::ExtendReservationRequest,
) -> Result<pb::ExtendReservationResponse, Error> {
    let key = request_id(request.request_id)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let which: ReservationId = id("reservation_id", request.reservation_id)?;
    let ttl = ttl(request.ttl)?;
    let held = engine
        .extend(CALLER, key, customer.clone(), which, ttl)
        .await?;
    Ok(pb::ExtendReservationResponse {
        reservation: Some(reservation(held, &customer, engine.now())),
    })
}

pub(super) async fn commit_reservation(
    engine: &Engine,
    request: pb::CommitReservationRequest,
) -> Result<pb::CommitReservationResponse, Error> {
    let key = request_id(request.request_id)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let which: ReservationId = id("reservation_id", request.reservation_id)?;
    count("events", request.events.len(), 0, EVENTS_MAX)?;
    let events = request.events.into_iter().enumerate();
    let events = events
        .map(|(index, event)| {
            last_event(event, &customer, &which).map_err(|wrong| at("events", index, wrong))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (held, recorded) = engine
        .commit(CALLER, key, customer.clone(), which, events)
        .await?;
    let status = |duplicate| {
        if duplicate {
            pb::RecordStatus::Duplicate
        } else {
            pb::RecordStatus::Recorded
        }
    };
    Ok(pb::CommitReservationResponse {
        reservation: Some(reservation(held, &customer, engine.now())),
        results: recorded
            .iter()
            .map(|(duplicate, one)| kept(status(*duplicate), one))
            .collect(),
    })
}

/// Reads an event that may leave out what the reservation says already.
fn last_event(
    mut event: pb::UsageEvent,
    customer: &CustomerId,
    reservation: &ReservationId,
) -> Result<UsageEvent, Error> {
    same("customer_id", &mut event.customer_id, customer.as_str())?;
    same(
        "reservation_id",
        &mut event.reservation_id,
        reservation.as_str(),
    )?;
    UsageEvent::try_from(event)
}

fn same(field: &str, given: &mut String, wanted: &str) -> Result<(), Error> {
    if given.is_empty() {
        wanted.clone_into(given);
    } else if given != wanted {
        return Err(Error::invalid(field, "must be that of the request"));
    }
    Ok(())
}

pub(super) async fn release_reservation(
    engine: &Engine,
    request: pb::ReleaseReservationRequest,
) -> Result<pb::ReleaseReservationResponse, Error> {
    let key = request_id(request.request_id)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let which: ReservationId = id("reservation_id", request.reservation_id)?;
    let held = engine.release(CALLER, key, customer.clone(), which).await?;
    Ok(pb::ReleaseReservationResponse {
        reservation: Some(reservation(held, &customer, engine.now())),
    })
}
