//! `CatalogService`: what is for sale.

use tonic::{Request, Response, Status};

use super::convert::page::page;
use super::convert::plan::plan;
use super::convert::price::{changes, new_price, product};
use super::convert::{id, request_id, to_timestamp};
use super::customer::shown;
use super::{CALLER, pb, respond};
use crate::domain::catalog::CatalogEdit;
use crate::domain::id::RequestId;
use crate::domain::rating::InvalidPercent;
use crate::engine::{CatalogAnswer, CatalogCall, EditCall, Engine, Error};

/// Serves `CatalogService`.
pub struct Catalogs {
    engine: Engine,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::catalog_service_server::CatalogService for Catalogs {
    async fn apply_catalog(
        &self,
        request: Request<pb::ApplyCatalogRequest>,
    ) -> Answer<pb::ApplyCatalogResponse> {
        respond(self.apply(request.into_inner()).await)
    }

    async fn get_catalog(
        &self,
        request: Request<pb::GetCatalogRequest>,
    ) -> Answer<pb::GetCatalogResponse> {
        respond(self.get(request.into_inner()).await)
    }

    async fn list_plans(
        &self,
        request: Request<pb::ListPlansRequest>,
    ) -> Answer<pb::ListPlansResponse> {
        respond(self.plans(request.into_inner()).await)
    }

    async fn register_product(
        &self,
        request: Request<pb::RegisterProductRequest>,
    ) -> Answer<pb::RegisterProductResponse> {
        respond(self.register(request.into_inner()).await)
    }

    async fn set_price(
        &self,
        request: Request<pb::SetPriceRequest>,
    ) -> Answer<pb::SetPriceResponse> {
        respond(self.price(request.into_inner()).await)
    }

    async fn set_discount(
        &self,
        request: Request<pb::SetDiscountRequest>,
    ) -> Answer<pb::SetDiscountResponse> {
        respond(self.discount(request.into_inner()).await)
    }
}

impl Catalogs {
    /// Serves from an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn apply(
        &self,
        request: pb::ApplyCatalogRequest,
    ) -> Result<pb::ApplyCatalogResponse, Error> {
        let key = request_id(request.request_id)?;
        if request.toml.is_empty() {
            return Err(Error::invalid("toml", "must not be empty"));
        }
        let call = CatalogCall {
            source: request.toml.into(),
            expected_version: request.expected_version,
        };
        let answer = if request.dry_run {
            self.engine.compare_catalog(&call)?
        } else {
            self.engine.apply_catalog(CALLER, key, call).await?
        };
        Ok(pb::ApplyCatalogResponse {
            version: answer.version,
            changes: answer.changes.into_iter().map(Into::into).collect(),
        })
    }

    async fn get(&self, request: pb::GetCatalogRequest) -> Result<pb::GetCatalogResponse, Error> {
        let version = version(request.version)?;
        let found = self.engine.get_catalog(version).await?;
        let is_applied = found.version() > 0;
        Ok(pb::GetCatalogResponse {
            version: found.version(),
            toml: found.source.to_string(),
            apply_time: is_applied.then(|| to_timestamp(found.apply_time)),
        })
    }

    async fn plans(
        &self,
        mut request: pb::ListPlansRequest,
    ) -> Result<pb::ListPlansResponse, Error> {
        let page = page(&mut request)?;
        let version = version(request.version)?;
        let list = self
            .engine
            .list_plans(version, page.after.as_deref(), page.limit);
        let (stored, found) = list.await?;
        let items = found.items.iter();
        Ok(pb::ListPlansResponse {
            plans: items.map(|item| plan(item, &stored.catalog)).collect(),
            next_page_token: page.next_token(found.next),
            version: stored.version(),
        })
    }

    async fn register(
        &self,
        request: pb::RegisterProductRequest,
    ) -> Result<pb::RegisterProductResponse, Error> {
        let key = request_id(request.request_id)?;
        let call = EditCall {
            edit: CatalogEdit::Register(product(request.product)?),
            expected_version: request.expected_version,
        };
        let answer = self.edit(key, call, request.dry_run).await?;
        let (version, changes) = changes(answer);
        Ok(pb::RegisterProductResponse { version, changes })
    }

    async fn price(&self, mut request: pb::SetPriceRequest) -> Result<pb::SetPriceResponse, Error> {
        let key = request_id(std::mem::take(&mut request.request_id))?;
        let (expected_version, dry_run) = (request.expected_version, request.dry_run);
        let call = EditCall {
            edit: new_price(request)?,
            expected_version,
        };
        let (version, changes) = changes(self.edit(key, call, dry_run).await?);
        Ok(pb::SetPriceResponse { version, changes })
    }

    async fn edit(
        &self,
        key: RequestId,
        call: EditCall,
        dry_run: bool,
    ) -> Result<CatalogAnswer, Error> {
        if dry_run {
            return self.engine.compare_edit(&call);
        }
        self.engine.edit_catalog(CALLER, key, call).await
    }

    async fn discount(
        &self,
        request: pb::SetDiscountRequest,
    ) -> Result<pb::SetDiscountResponse, Error> {
        let key = request_id(request.request_id)?;
        let who = id("customer_id", request.customer_id)?;
        let percent = request.percent.parse();
        let percent = percent.map_err(|wrong: InvalidPercent| {
            let rule = wrong.to_string();
            Error::invalid("percent", rule)
        })?;
        let set = self.engine.set_discount(CALLER, key, &who, percent).await?;
        let customer = Some(shown(&self.engine, set).await?);
        Ok(pb::SetDiscountResponse { customer })
    }
}

fn version(given: Option<i64>) -> Result<Option<i64>, Error> {
    if given.is_some_and(|version| version < 1) {
        return Err(Error::invalid("version", "must be at least 1"));
    }
    Ok(given)
}
