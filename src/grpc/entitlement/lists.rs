//! Lists of entitlements, reservations and denials.

use super::reserve::HOLDER_BYTES_MAX;
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::{Denied, Engine, Entitled, EntitledAsk, Error};
use crate::grpc::convert::decision::{decision, reason};
use crate::grpc::convert::page::page;
use crate::grpc::convert::reservation::{reservation, state};
use crate::grpc::convert::{id, known, optional_id, optional_timestamp, text, to_timestamp};
use crate::grpc::pb;
use crate::storage::{DenialQuery, ReservationQuery};

pub(super) async fn list_entitlements(
    engine: &Engine,
    mut request: pb::ListEntitlementsRequest,
) -> Result<pb::ListEntitlementsResponse, Error> {
    let page = page(&mut request)?;
    let ask = EntitledAsk {
        customer: id("customer_id", request.customer_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        features: Vec::new(),
        verbose: request.verbose,
    };
    let found = engine.entitlements(&ask, page.after.as_deref(), page.limit);
    let found = found.await?;
    Ok(pb::ListEntitlementsResponse {
        entitlements: entitlements(found.items, ask.subaccount.as_ref()),
        next_page_token: page.next_token(found.next),
    })
}

/// Writes entitlements as this subaccount sees them.
pub(super) fn entitlements(
    entitled: Vec<Entitled>,
    subaccount: Option<&SubaccountId>,
) -> Vec<pb::Entitlement> {
    let write = |one: Entitled| pb::Entitlement {
        feature_id: one.feature.id.to_string(),
        display_name: one.feature.name.to_string(),
        kind: pb::FeatureKind::from(&one.feature.kind).into(),
        decision: Some(decision(one.decision, subaccount)),
        value: Some((&one.spec).into()),
        overridden: one.overridden,
    };
    entitled.into_iter().map(write).collect()
}

pub(super) async fn list_reservations(
    engine: &Engine,
    mut request: pb::ListReservationsRequest,
) -> Result<pb::ListReservationsResponse, Error> {
    let page = page(&mut request)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let holder = text("holder", request.holder, HOLDER_BYTES_MAX)?;
    let query = ReservationQuery {
        customer: customer.clone(),
        id: None,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        state: state(known("state", request.state)?),
        holder: Some(holder).filter(|holder| !holder.is_empty()),
        after: page.after.clone(),
        limit: page.limit,
    };
    let found = engine.reservations(query).await?;
    let (now, items) = (engine.now(), found.items.into_iter());
    Ok(pb::ListReservationsResponse {
        reservations: items
            .map(|held| reservation(held, &customer, now))
            .collect(),
        next_page_token: page.next_token(found.next),
    })
}

pub(super) async fn list_denials(
    engine: &Engine,
    mut request: pb::ListDenialsRequest,
) -> Result<pb::ListDenialsResponse, Error> {
    let page = page(&mut request)?;
    let start = optional_timestamp("start_time", request.start_time)?;
    let end = optional_timestamp("end_time", request.end_time)?;
    let query = DenialQuery {
        customer: id("customer_id", request.customer_id)?,
        feature: optional_id("feature_id", request.feature_id)?,
        reason: reason(known("reason", request.reason)?).map(|reason| reason.as_str().into()),
        range: TimeRange {
            start: start.unwrap_or(Timestamp::MIN),
            end: end.unwrap_or(Timestamp::MAX),
        },
        after: page.after.clone(),
        limit: page.limit,
    };
    let subaccount = optional_id("subaccount_id", request.subaccount_id)?;
    let found = engine.denials(query, subaccount.as_ref()).await?;
    Ok(pb::ListDenialsResponse {
        denials: found.items.into_iter().map(denial).collect(),
        next_page_token: page.next_token(found.next),
    })
}

fn denial(denied: Denied) -> pb::Denial {
    let (counted, last) = (denied.denial, denied.sample);
    pb::Denial {
        customer_id: counted.customer.into(),
        subaccount_id: last
            .subaccount
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        feature_id: counted.feature.into(),
        reason: pb::DecisionReason::from(last.decision.reason).into(),
        minute_time: Some(to_timestamp(counted.minute)),
        denial_count: counted.count,
        last_time: Some(to_timestamp(last.decision.evaluate_time)),
        last_quantity: last.quantity,
        last_decision: Some(decision(last.decision, last.subaccount.as_ref())),
    }
}
