//! Rights that differ from the plan's.

use crate::domain::id::CustomerId;
use crate::domain::usage::LABEL_BYTES_MAX;
use crate::engine::{Engine, Error, OverrideCall, OverrideQuery};
use crate::grpc::convert::grant::{grant, granted};
use crate::grpc::convert::page::page;
use crate::grpc::convert::{id, optional_id, optional_timestamp, request_id, text};
use crate::grpc::{CALLER, pb};

pub(super) async fn set_override(
    engine: &Engine,
    request: pb::SetOverrideRequest,
) -> Result<pb::SetOverrideResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = OverrideCall {
        customer: id("customer_id", request.customer_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        feature: id("feature_id", request.feature_id)?,
        spec: grant(request.value)?,
        expire_time: optional_timestamp("expire_time", request.expire_time)?,
        note: text("reason", request.reason, LABEL_BYTES_MAX)?,
    };
    let customer = call.customer.clone();
    let set = engine.set_override(CALLER, key, call).await?;
    let entitlement_override = Some(granted(set, &customer));
    Ok(pb::SetOverrideResponse {
        entitlement_override,
    })
}

pub(super) async fn delete_override(
    engine: &Engine,
    request: pb::DeleteOverrideRequest,
) -> Result<pb::DeleteOverrideResponse, Error> {
    let key = request_id(request.request_id)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let subaccount = optional_id("subaccount_id", request.subaccount_id)?;
    let feature = id("feature_id", request.feature_id)?;
    let delete = engine.delete_override(CALLER, key, &customer, feature, subaccount);
    delete.await?;
    Ok(pb::DeleteOverrideResponse {})
}

pub(super) async fn list_overrides(
    engine: &Engine,
    mut request: pb::ListOverridesRequest,
) -> Result<pb::ListOverridesResponse, Error> {
    let page = page(&mut request)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let query = OverrideQuery {
        customer: customer.clone(),
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        feature: optional_id("feature_id", request.feature_id)?,
        after: page.after.clone(),
        limit: page.limit,
    };
    let found = engine.list_overrides(query).await?;
    let items = found.items.into_iter();
    Ok(pb::ListOverridesResponse {
        overrides: items.map(|set| granted(set, &customer)).collect(),
        next_page_token: page.next_token(found.next),
    })
}
