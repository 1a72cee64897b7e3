//! `WalletService`: prepaid credits, and the ledger of what moved.
//!
//! Each method is a function of its own in the file of its kind; this is their list.

mod fund;
mod read;
mod spend;
mod terms;

use tonic::{Request, Response, Status};

use super::{pb, respond};
use crate::engine::Engine;

/// Serves `WalletService`.
pub struct Wallets {
    engine: Engine,
}

impl Wallets {
    /// Serves from an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::wallet_service_server::WalletService for Wallets {
    async fn get_wallet(
        &self,
        request: Request<pb::GetWalletRequest>,
    ) -> Answer<pb::GetWalletResponse> {
        respond(read::get_wallet(&self.engine, request.into_inner()).await)
    }

    async fn list_wallets(
        &self,
        request: Request<pb::ListWalletsRequest>,
    ) -> Answer<pb::ListWalletsResponse> {
        respond(read::list_wallets(&self.engine, request.into_inner()).await)
    }

    async fn grant_credits(
        &self,
        request: Request<pb::GrantCreditsRequest>,
    ) -> Answer<pb::GrantCreditsResponse> {
        respond(fund::grant_credits(&self.engine, request.into_inner()).await)
    }

    async fn debit_credits(
        &self,
        request: Request<pb::DebitCreditsRequest>,
    ) -> Answer<pb::DebitCreditsResponse> {
        respond(spend::debit_credits(&self.engine, request.into_inner()).await)
    }

    async fn hold_credits(
        &self,
        request: Request<pb::HoldCreditsRequest>,
    ) -> Answer<pb::HoldCreditsResponse> {
        respond(spend::hold_credits(&self.engine, request.into_inner()).await)
    }

    async fn capture_hold(
        &self,
        request: Request<pb::CaptureHoldRequest>,
    ) -> Answer<pb::CaptureHoldResponse> {
        respond(spend::capture_hold(&self.engine, request.into_inner()).await)
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Answer<pb::ReleaseHoldResponse> {
        respond(spend::release_hold(&self.engine, request.into_inner()).await)
    }

    async fn transfer_credits(
        &self,
        request: Request<pb::TransferCreditsRequest>,
    ) -> Answer<pb::TransferCreditsResponse> {
        respond(fund::transfer_credits(&self.engine, request.into_inner()).await)
    }

    async fn expire_grant(
        &self,
        request: Request<pb::ExpireGrantRequest>,
    ) -> Answer<pb::ExpireGrantResponse> {
        respond(fund::expire_grant(&self.engine, request.into_inner()).await)
    }

    async fn claw_back_grant(
        &self,
        request: Request<pb::ClawBackGrantRequest>,
    ) -> Answer<pb::ClawBackGrantResponse> {
        respond(fund::claw_back_grant(&self.engine, request.into_inner()).await)
    }

    async fn set_spend_cap(
        &self,
        request: Request<pb::SetSpendCapRequest>,
    ) -> Answer<pb::SetSpendCapResponse> {
        respond(terms::set_spend_cap(&self.engine, request.into_inner()).await)
    }

    async fn set_auto_top_up(
        &self,
        request: Request<pb::SetAutoTopUpRequest>,
    ) -> Answer<pb::SetAutoTopUpResponse> {
        respond(terms::set_auto_top_up(&self.engine, request.into_inner()).await)
    }

    async fn list_ledger_entries(
        &self,
        request: Request<pb::ListLedgerEntriesRequest>,
    ) -> Answer<pb::ListLedgerEntriesResponse> {
        respond(read::list_ledger_entries(&self.engine, request.into_inner()).await)
    }
}
