//! What wallets hold, and what moved in them.

use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::{Engine, Error};
use crate::grpc::convert::ledger::{cause, transaction};
use crate::grpc::convert::page::page;
use crate::grpc::convert::wallet::{name, wallet};
use crate::grpc::convert::{id, optional_id, optional_timestamp};
use crate::grpc::pb;
use crate::storage::LedgerQuery;

pub(super) async fn get_wallet(
    engine: &Engine,
    request: pb::GetWalletRequest,
) -> Result<pb::GetWalletResponse, Error> {
    let name = name("wallet", request.wallet)?;
    let view = engine.get_wallet(&name).await?;
    let wallet = Some(wallet(name.customer, view));
    Ok(pb::GetWalletResponse { wallet })
}

pub(super) async fn list_wallets(
    engine: &Engine,
    mut request: pb::ListWalletsRequest,
) -> Result<pb::ListWalletsResponse, Error> {
    let page = page(&mut request)?;
    let customer: CustomerId = id("customer_id", request.customer_id)?;
    let after = page.after.clone();
    let found = engine.list_wallets(&customer, after, page.limit).await?;
    let wallets = found.items.into_iter();
    Ok(pb::ListWalletsResponse {
        wallets: wallets
            .map(|view| wallet(customer.as_str(), view))
            .collect(),
        next_page_token: page.next_token(found.next),
    })
}

pub(super) async fn list_ledger_entries(
    engine: &Engine,
    mut request: pb::ListLedgerEntriesRequest,
) -> Result<pb::ListLedgerEntriesResponse, Error> {
    let page = page(&mut request)?;
    let wallet = name("wallet", request.wallet)?;
    let start = optional_timestamp("start_time", request.start_time)?;
    let end = optional_timestamp("end_time", request.end_time)?;
    let range = TimeRange {
        start: start.unwrap_or(Timestamp::MIN),
        end: end.unwrap_or(Timestamp::MAX),
    };
    if range.end <= range.start {
        return Err(Error::invalid("end_time", "must lie after the start"));
    }
    let query = LedgerQuery {
        wallet: wallet.key(),
        customer: wallet.customer,
        range,
        cause: cause(request.cause)?,
        hold: optional_id("hold_id", request.hold_id)?,
        grant: optional_id("grant_id", request.grant_id)?,
        is_rising: request.oldest_first,
        after: page.after.clone(),
        limit: page.limit,
    };
    let found = engine.ledger(query).await?;
    Ok(pb::ListLedgerEntriesResponse {
        transactions: found.items.into_iter().map(transaction).collect(),
        next_page_token: page.next_token(found.next),
    })
}
