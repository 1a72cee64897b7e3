//! Things that exist.

use crate::domain::id::CustomerId;
use crate::engine::{AllocateCall, Engine, Error};
use crate::grpc::convert::customer::allocation;
use crate::grpc::convert::decision::decision;
use crate::grpc::convert::page::page;
use crate::grpc::convert::{id, metadata, optional_id, request_id};
use crate::grpc::{CALLER, pb};
use crate::storage::AllocationQuery;

pub(super) async fn allocate(
    engine: &Engine,
    request: pb::AllocateRequest,
) -> Result<pb::AllocateResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = AllocateCall {
        customer: id("customer_id", request.customer_id)?,
        feature: id("feature_id", request.feature_id)?,
        id: id("allocation_id", request.allocation_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        metadata: metadata(request.metadata)?,
    };
    let (customer, subaccount) = (call.customer.clone(), call.subaccount.clone());
    let answer = engine.allocate(CALLER, key, call).await?;
    Ok(pb::AllocateResponse {
        decision: Some(decision(answer.decision, subaccount.as_ref())),
        allocation: answer.allocation.map(|held| allocation(held, &customer)),
    })
}

pub(super) async fn deallocate(
    engine: &Engine,
    request: pb::DeallocateRequest,
) -> Result<pb::DeallocateResponse, Error> {
    let key = request_id(request.request_id)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let feature = id("feature_id", request.feature_id)?;
    let what = id("allocation_id", request.allocation_id)?;
    let freed = engine.deallocate(CALLER, key, &customer, feature, what);
    let allocation = Some(allocation(freed.await?, &customer));
    Ok(pb::DeallocateResponse { allocation })
}

pub(super) async fn list_allocations(
    engine: &Engine,
    mut request: pb::ListAllocationsRequest,
) -> Result<pb::ListAllocationsResponse, Error> {
    let page = page(&mut request)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let query = AllocationQuery {
        customer: customer.clone(),
        feature: optional_id("feature_id", request.feature_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        after: page.after.clone(),
        limit: page.limit,
    };
    let found = engine.list_allocations(query).await?;
    let items = found.items.into_iter();
    Ok(pb::ListAllocationsResponse {
        allocations: items.map(|held| allocation(held, &customer)).collect(),
        next_page_token: page.next_token(found.next),
    })
}
