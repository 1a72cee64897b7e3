//! Checks, answered from memory.

use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{CustomerId, FeatureId, SubaccountId};
use crate::engine::{CheckAsk, CheckMode, Engine, Error, Thing};
use crate::grpc::convert::decision::decision;
use crate::grpc::convert::{at, count, dimensions, id, optional_id, units};
use crate::grpc::pb;

/// Most items of one batch.
const ITEMS_MAX: usize = 100;

pub(super) async fn check_entitlement(
    engine: &Engine,
    request: pb::CheckEntitlementRequest,
) -> Result<pb::CheckEntitlementResponse, Error> {
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let subaccount: Option<SubaccountId> = optional_id("subaccount_id", request.subaccount_id)?;
    let ask = CheckAsk {
        feature: id("feature_id", request.feature_id)?,
        quantity: units("quantity", request.quantity, 1, 0)?,
        dimensions: dimensions("dimensions", request.dimensions)?,
    };
    let mode = CheckMode {
        dry_run: request.dry_run,
        verbose: request.verbose,
        all_or_none: false,
    };
    let decided = match engine.check_in_memory(&customer, subaccount.as_ref(), &ask, mode) {
        Some(decided) => decided,
        None => engine
            .check(
                &customer,
                subaccount.as_ref(),
                std::slice::from_ref(&ask),
                mode,
            )
            .await?
            .pop()
            .ok_or(Error::Internal)?,
    };
    declared(engine, &ask.feature, &decided)?;
    Ok(pb::CheckEntitlementResponse {
        decision: Some(decision(decided, subaccount.as_ref())),
    })
}

pub(super) async fn batch_check_entitlements(
    engine: &Engine,
    request: pb::BatchCheckEntitlementsRequest,
) -> Result<pb::BatchCheckEntitlementsResponse, Error> {
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let subaccount: Option<SubaccountId> = optional_id("subaccount_id", request.subaccount_id)?;
    count("items", request.items.len(), 1, ITEMS_MAX)?;
    let items = request.items.into_iter().enumerate();
    let asks = items
        .map(|(index, item)| check_ask(item).map_err(|wrong| at("items", index, wrong)))
        .collect::<Result<Vec<_>, _>>()?;
    let mode = CheckMode {
        dry_run: request.dry_run,
        verbose: request.verbose,
        all_or_none: request.all_or_none,
    };
    let decided = engine
        .check(&customer, subaccount.as_ref(), &asks, mode)
        .await?;
    for (ask, decided) in asks.iter().zip(&decided) {
        declared(engine, &ask.feature, decided)?;
    }
    Ok(pb::BatchCheckEntitlementsResponse {
        allowed: decided.iter().all(|decided| decided.allowed),
        decisions: decided
            .into_iter()
            .map(|decided| decision(decided, subaccount.as_ref()))
            .collect(),
    })
}

fn check_ask(item: pb::CheckItem) -> Result<CheckAsk, Error> {
    Ok(CheckAsk {
        feature: id("feature_id", item.feature_id)?,
        quantity: units("quantity", item.quantity, 1, 0)?,
        dimensions: dimensions("dimensions", item.dimensions)?,
    })
}

/// Tells a feature that no plan grants to this customer from one that does not exist.
pub(super) fn declared(engine: &Engine, feature: &FeatureId, made: &Decision) -> Result<(), Error> {
    if made.reason == Reason::FeatureNotInPlan
        && !engine.catalog().catalog.features.contains_key(feature)
    {
        return Err(Error::not_found(Thing::Feature, feature));
    }
    Ok(())
}

/// As [`declared`], for what changes something: a subaccount that does not exist is an error there, too.
pub(super) fn known(
    engine: &Engine,
    feature: &FeatureId,
    subaccount: Option<&SubaccountId>,
    made: &Decision,
) -> Result<(), Error> {
    match subaccount {
        Some(id) if made.reason == Reason::SubaccountUnknown => {
            Err(Error::not_found(Thing::Subaccount, id))
        }
        Some(_) | None => declared(engine, feature, made),
    }
}
