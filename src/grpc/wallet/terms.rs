//! What is set for a wallet.

use crate::engine::{CapCall, Engine, Error, TopUpCall};
use crate::grpc::convert::request_id;
use crate::grpc::convert::wallet::{amount_from, cap_window, name, top_up, wallet};
use crate::grpc::{CALLER, pb};

pub(super) async fn set_spend_cap(
    engine: &Engine,
    request: pb::SetSpendCapRequest,
) -> Result<pb::SetSpendCapResponse, Error> {
    let key = request_id(request.request_id)?;
    let asked = request.amount_micros;
    let call = CapCall {
        wallet: name("wallet", request.wallet)?,
        amount: asked
            .map(|asked| amount_from("amount_micros", asked, 0))
            .transpose()?,
        window: cap_window(&request.window)?,
    };
    let customer = call.wallet.customer.clone();
    let view = engine.set_spend_cap(CALLER, key, call).await?;
    let wallet = Some(wallet(customer, view));
    Ok(pb::SetSpendCapResponse { wallet })
}

pub(super) async fn set_auto_top_up(
    engine: &Engine,
    request: pb::SetAutoTopUpRequest,
) -> Result<pb::SetAutoTopUpResponse, Error> {
    let key = request_id(request.request_id)?;
    let call = TopUpCall {
        wallet: name("wallet", request.wallet)?,
        terms: request.terms.map(top_up).transpose()?,
    };
    let customer = call.wallet.customer.clone();
    let view = engine.set_auto_top_up(CALLER, key, call).await?;
    let wallet = Some(wallet(customer, view));
    Ok(pb::SetAutoTopUpResponse { wallet })
}
