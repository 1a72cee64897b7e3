//! `CustomerService`: who is billed and entitled.

use tonic::{Request, Response, Status};

use super::convert::customer::{
    customer, profile, profile_change, subaccount, subaccount_change, subaccount_profile,
};
use super::convert::page::page;
use super::convert::{id, metadata, optional_id, request_id, required, text, to_timestamp, within};
use super::{CALLER, pb, respond};
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::LABEL_BYTES_MAX;
use crate::engine::{Engine, Error, SubaccountQuery, Thing};
use crate::storage::CustomerQuery;

/// How far ahead the anchor of a new customer may lie.
const ANCHOR_AHEAD_MAX: Span = Span::from_days(35);

/// Serves `CustomerService`.
pub struct Customers {
    engine: Engine,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::customer_service_server::CustomerService for Customers {
    async fn create_customer(
        &self,
        request: Request<pb::CreateCustomerRequest>,
    ) -> Answer<pb::CreateCustomerResponse> {
        respond(self.create(request.into_inner()).await)
    }

    async fn get_customer(
        &self,
        request: Request<pb::GetCustomerRequest>,
    ) -> Answer<pb::GetCustomerResponse> {
        respond(self.get(request.into_inner()).await)
    }

    async fn update_customer(
        &self,
        request: Request<pb::UpdateCustomerRequest>,
    ) -> Answer<pb::UpdateCustomerResponse> {
        respond(self.update(request.into_inner()).await)
    }

    async fn list_customers(
        &self,
        request: Request<pb::ListCustomersRequest>,
    ) -> Answer<pb::ListCustomersResponse> {
        respond(self.list(request.into_inner()).await)
    }

    async fn delete_customer(
        &self,
        request: Request<pb::DeleteCustomerRequest>,
    ) -> Answer<pb::DeleteCustomerResponse> {
        respond(self.delete(request.into_inner()).await)
    }

    async fn create_subaccount(
        &self,
        request: Request<pb::CreateSubaccountRequest>,
    ) -> Answer<pb::CreateSubaccountResponse> {
        respond(self.create_part(request.into_inner()).await)
    }

    async fn get_subaccount(
        &self,
        request: Request<pb::GetSubaccountRequest>,
    ) -> Answer<pb::GetSubaccountResponse> {
        respond(self.get_part(request.into_inner()).await)
    }

    async fn update_subaccount(
        &self,
        request: Request<pb::UpdateSubaccountRequest>,
    ) -> Answer<pb::UpdateSubaccountResponse> {
        respond(self.update_part(request.into_inner()).await)
    }

    async fn list_subaccounts(
        &self,
        request: Request<pb::ListSubaccountsRequest>,
    ) -> Answer<pb::ListSubaccountsResponse> {
        respond(self.list_parts(request.into_inner()).await)
    }

    async fn delete_subaccount(
        &self,
        request: Request<pb::DeleteSubaccountRequest>,
    ) -> Answer<pb::DeleteSubaccountResponse> {
        respond(self.delete_part(request.into_inner()).await)
    }
}

impl Customers {
    /// Serves from an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn create(
        &self,
        request: pb::CreateCustomerRequest,
    ) -> Result<pb::CreateCustomerResponse, Error> {
        let key = request_id(request.request_id)?;
        let mut given = required("customer", request.customer)?;
        let who = id(
            "customer.customer_id",
            std::mem::take(&mut given.customer_id),
        )?;
        let profile = profile(given)?;
        check_anchor(profile.billing_anchor, self.engine.now())?;
        let created = self
            .engine
            .create_customer(CALLER, key, who, profile)
            .await?;
        let customer = Some(shown(&self.engine, created).await?);
        Ok(pb::CreateCustomerResponse { customer })
    }

    async fn get(&self, request: pb::GetCustomerRequest) -> Result<pb::GetCustomerResponse, Error> {
        let who: CustomerId = id("customer_id", request.customer_id)?;
        let (found, subscription) = self.engine.get_customer(&who).await?;
        let customer = Some(write(&self.engine, found, subscription.as_ref()));
        Ok(pb::GetCustomerResponse { customer })
    }

    async fn update(
        &self,
        request: pb::UpdateCustomerRequest,
    ) -> Result<pb::UpdateCustomerResponse, Error> {
        let key = request_id(request.request_id)?;
        let mut given = required("customer", request.customer)?;
        let who = id(
            "customer.customer_id",
            std::mem::take(&mut given.customer_id),
        )?;
        let change = profile_change(given, request.update_mask.as_ref())?;
        let updated = self
            .engine
            .update_customer(CALLER, key, &who, change)
            .await?;
        let customer = Some(shown(&self.engine, updated).await?);
        Ok(pb::UpdateCustomerResponse { customer })
    }

    async fn list(
        &self,
        mut request: pb::ListCustomersRequest,
    ) -> Result<pb::ListCustomersResponse, Error> {
        let page = page(&mut request)?;
        let plan = optional_id("plan_id", request.plan_id)?;
        let email = text("email", request.email, LABEL_BYTES_MAX)?;
        let query = CustomerQuery {
            email: (!email.is_empty()).then_some(email),
            plan: plan.map(|plan| self.engine.plan_in_force(plan)),
            metadata: metadata(request.metadata)?,
            after: page.after.clone(),
            limit: page.limit,
            ..CustomerQuery::default()
        };
        let found = self.engine.list_customers(query).await?;
        let items = found.items.into_iter();
        Ok(pb::ListCustomersResponse {
            customers: items
                .map(|(who, held)| write(&self.engine, who, held.as_ref()))
                .collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    async fn delete(
        &self,
        request: pb::DeleteCustomerRequest,
    ) -> Result<pb::DeleteCustomerResponse, Error> {
        let key = request_id(request.request_id)?;
        let who = id("customer_id", request.customer_id)?;
        let time = self.engine.delete_customer(CALLER, key, &who).await?;
        let delete_time = Some(to_timestamp(time));
        Ok(pb::DeleteCustomerResponse { delete_time })
    }

    async fn create_part(
        &self,
        request: pb::CreateSubaccountRequest,
    ) -> Result<pb::CreateSubaccountResponse, Error> {
        let key = request_id(request.request_id)?;
        let mut given = required("subaccount", request.subaccount)?;
        let (who, part) = part_ids(&mut given)?;
        let profile = subaccount_profile(given)?;
        let create = self
            .engine
            .create_subaccount(CALLER, key, &who, part, profile);
        let subaccount = Some(subaccount(create.await?, &who));
        Ok(pb::CreateSubaccountResponse { subaccount })
    }

    async fn get_part(
        &self,
        request: pb::GetSubaccountRequest,
    ) -> Result<pb::GetSubaccountResponse, Error> {
        let who = id("customer_id", request.customer_id)?;
        let part = id("subaccount_id", request.subaccount_id)?;
        let found = self.engine.get_subaccount(&who, &part).await?;
        let subaccount = Some(subaccount(found, &who));
        Ok(pb::GetSubaccountResponse { subaccount })
    }

    async fn update_part(
        &self,
        request: pb::UpdateSubaccountRequest,
    ) -> Result<pb::UpdateSubaccountResponse, Error> {
        let key = request_id(request.request_id)?;
        let mut given = required("subaccount", request.subaccount)?;
        let (who, part) = part_ids(&mut given)?;
        let change = subaccount_change(given, request.update_mask.as_ref())?;
        let update = self
            .engine
            .update_subaccount(CALLER, key, &who, part, change);
        let subaccount = Some(subaccount(update.await?, &who));
        Ok(pb::UpdateSubaccountResponse { subaccount })
    }

    async fn list_parts(
        &self,
        mut request: pb::ListSubaccountsRequest,
    ) -> Result<pb::ListSubaccountsResponse, Error> {
        let page = page(&mut request)?;
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let query = SubaccountQuery {
            customer: customer.clone(),
            metadata: metadata(request.metadata)?,
            after: page.after.clone(),
            limit: page.limit,
        };
        let found = self.engine.list_subaccounts(query).await?;
        let items = found.items.into_iter();
        Ok(pb::ListSubaccountsResponse {
            subaccounts: items.map(|part| subaccount(part, &customer)).collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    async fn delete_part(
        &self,
        request: pb::DeleteSubaccountRequest,
    ) -> Result<pb::DeleteSubaccountResponse, Error> {
        let key = request_id(request.request_id)?;
        let who = id("customer_id", request.customer_id)?;
        let part = id("subaccount_id", request.subaccount_id)?;
        let delete = self.engine.delete_subaccount(CALLER, key, &who, part);
        let delete_time = Some(to_timestamp(delete.await?));
        Ok(pb::DeleteSubaccountResponse { delete_time })
    }
}

fn write(engine: &Engine, who: Customer, held: Option<&Subscription>) -> pb::Customer {
    let plan = engine.plan_of(held);
    customer(who, held, plan)
}

/// Writes a customer as a mutation left it, with the plan that it has now.
pub(super) async fn shown(engine: &Engine, who: Customer) -> Result<pb::Customer, Error> {
    let held = match engine.get_customer(&who.id).await {
        Ok((_, held)) => held,
        // Deleted since: the answer to a repeat is still that of the first call.
        Err(Error::NotFound {
            kind: Thing::Customer,
            ..
        }) => None,
        Err(other) => return Err(other),
    };
    Ok(write(engine, who, held.as_ref()))
}

fn part_ids(given: &mut pb::Subaccount) -> Result<(CustomerId, SubaccountId), Error> {
    let read = |given: &mut pb::Subaccount| {
        let who = id("customer_id", std::mem::take(&mut given.customer_id))?;
        let part = id("subaccount_id", std::mem::take(&mut given.subaccount_id))?;
        Ok((who, part))
    };
    read(given).map_err(|wrong| within("subaccount", wrong))
}

fn check_anchor(anchor: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    if anchor.is_some_and(|anchor| anchor > now.plus(ANCHOR_AHEAD_MAX)) {
        let rule = "must lie at most 35 days ahead";
        return Err(Error::invalid("customer.billing_anchor", rule));
    }
    Ok(())
}
