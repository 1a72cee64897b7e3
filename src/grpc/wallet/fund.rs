//! How credits come, go to other wallets, run out and are taken back.

use crate::domain::id::SubaccountId;
use crate::engine::{ClawBackCall, Engine, Error, ExpireGrantCall, GrantCall, TransferCall};
use crate::grpc::convert::wallet::{amount, category, name, note, reference, source, unit};
use crate::grpc::convert::{id, optional_id, optional_timestamp, request_id};
use crate::grpc::{CALLER, pb};

pub(super) async fn grant_credits(
    engine: &Engine,
    request: pb::GrantCreditsRequest,
) -> Result<pb::GrantCreditsResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = GrantCall {
        wallet: name("wallet", request.wallet)?,
        id: None,
        amount: amount("amount_micros", request.amount_micros)?,
        priority: request.priority,
        category: category(request.category)?,
        source: source(request.source)?,
        reference: reference(request.reference)?,
        expire_time: optional_timestamp("expire_time", request.expire_time)?,
        note: note(request.note)?,
    };
    let granted = engine.grant_credits(CALLER, key, call).await?;
    Ok(pb::GrantCreditsResponse {
        grant: Some(granted.grant.into()),
        balance: Some(granted.moved.balance.into()),
    })
}

pub(super) async fn expire_grant(
    engine: &Engine,
    request: pb::ExpireGrantRequest,
) -> Result<pb::ExpireGrantResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = ExpireGrantCall {
        customer: id("customer_id", request.customer_id)?,
        grant: id("grant_id", request.grant_id)?,
        note: note(request.note)?,
    };
    let ended = engine.expire_grant(CALLER, key, call).await?;
    Ok(pb::ExpireGrantResponse {
        grant: Some(ended.grant.into()),
        balance: Some(ended.moved.balance.into()),
    })
}

pub(super) async fn claw_back_grant(
    engine: &Engine,
    request: pb::ClawBackGrantRequest,
) -> Result<pb::ClawBackGrantResponse, Error> {
    let key = request_id(request.request_id)?;
    let asked = request.amount_micros;
    let call = ClawBackCall {
        customer: id("customer_id", request.customer_id)?,
        grant: id("grant_id", request.grant_id)?,
        amount: asked
            .map(|asked| amount("amount_micros", asked))
            .transpose()?,
        note: note(request.note)?,
    };
    let taken = engine.claw_back_grant(CALLER, key, call).await?;
    Ok(pb::ClawBackGrantResponse {
        grant: Some(taken.grant.into()),
        balance: Some(taken.moved.balance.into()),
    })
}

pub(super) async fn transfer_credits(
    engine: &Engine,
    request: pb::TransferCreditsRequest,
) -> Result<pb::TransferCreditsResponse, Error> {
    let key = request_id(request.request_id)?;
    let customer = id("customer_id", request.customer_id)?;
    let unit = unit(request.credit_unit)?;
    let from: Option<SubaccountId> = optional_id("from_subaccount_id", request.from_subaccount_id)?;
    let to: Option<SubaccountId> = optional_id("to_subaccount_id", request.to_subaccount_id)?;
    if from == to {
        let rule = "must be another wallet than the one that gives";
        return Err(Error::invalid("to_subaccount_id", rule));
    }
    let call = TransferCall {
        customer,
        unit,
        from,
        to,
        id: None,
        amount: amount("amount_micros", request.amount_micros)?,
        note: note(request.note)?,
    };
    let (from, to) = engine.transfer_credits(CALLER, key, call).await?;
    Ok(pb::TransferCreditsResponse {
        from_balance: Some(from.balance.into()),
        to_balance: Some(to.balance.into()),
    })
}
