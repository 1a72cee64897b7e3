//! Spending credits: at once, or set aside first.

use crate::engine::{CaptureCall, DebitCall, Engine, Error, ReleaseHoldCall};
use crate::grpc::convert::wallet::{amount, amount_from, held, hold_ttl, name, note, to_name};
use crate::grpc::convert::{id, request_id};
use crate::grpc::{CALLER, pb};

pub(super) async fn debit_credits(
    engine: &Engine,
    request: pb::DebitCreditsRequest,
) -> Result<pb::DebitCreditsResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = DebitCall {
        spender: name("spender", request.spender)?,
        amount: amount("amount_micros", request.amount_micros)?,
        may_owe: request.allow_receivable,
        note: note(request.note)?,
    };
    let customer = call.spender.customer.clone();
    let moved = engine.debit_credits(CALLER, key, call).await?;
    Ok(pb::DebitCreditsResponse {
        wallet: to_name(customer, moved.wallet),
        balance: Some(moved.balance.into()),
    })
}

pub(super) async fn hold_credits(
    engine: &Engine,
    request: pb::HoldCreditsRequest,
) -> Result<pb::HoldCreditsResponse, Error> {
    let key = request_id(request.request_id)?;
    let spender = name("spender", request.spender)?;
    let asked = (
        amount("amount_micros", request.amount_micros)?,
        hold_ttl(request.ttl)?,
    );
    let note = note(request.note)?;
    let view = engine
        .hold_credits(CALLER, key, spender, asked, note)
        .await?;
    let (hold, balance) = held(view);
    Ok(pb::HoldCreditsResponse {
        hold: Some(hold),
        balance: Some(balance),
    })
}

pub(super) async fn capture_hold(
    engine: &Engine,
    request: pb::CaptureHoldRequest,
) -> Result<pb::CaptureHoldResponse, Error> {
    let key = request_id(request.request_id)?;
    // Nothing that stays open is nothing done.
    let least = i64::from(request.keep_open);
    let asked = request.amount_micros;
    let call = CaptureCall {
        customer: id("customer_id", request.customer_id)?,
        hold: id("hold_id", request.hold_id)?,
        amount: asked
            .map(|asked| amount_from("amount_micros", asked, least))
            .transpose()?,
        keep_open: request.keep_open,
        note: note(request.note)?,
    };
    let view = engine.capture_hold(CALLER, key, call).await?;
    let (hold, balance) = held(view);
    Ok(pb::CaptureHoldResponse {
        hold: Some(hold),
        balance: Some(balance),
    })
}

pub(super) async fn release_hold(
    engine: &Engine,
    request: pb::ReleaseHoldRequest,
) -> Result<pb::ReleaseHoldResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = ReleaseHoldCall {
        customer: id("customer_id", request.customer_id)?,
        hold: id("hold_id", request.hold_id)?,
        note: note(request.note)?,
    };
    let view = engine.release_hold(CALLER, key, call).await?;
    let (hold, balance) = held(view);
    Ok(pb::ReleaseHoldResponse {
        hold: Some(hold),
        balance: Some(balance),
    })
}
