//! `BillingService`: money that is asked for, money that goes back, and invoices.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::page::page;
use super::convert::payment::{payment_id, purchase, status};
use super::convert::reconciliation::{csv, reconciliation_row};
use super::convert::{
    id, known, optional_id, optional_timestamp, request_id, required, to_timestamp,
};
use super::{CALLER, pb, respond};
use crate::domain::billing::Verdict;
use crate::domain::id::CustomerId;
use crate::engine::{
    Biller, Calling, Engine, Error, InvoiceAsk, PayAsk, RefundAsk, RefundWhy, Thing, UsageInvoice,
};

/// Most invoices of a page.
const INVOICES_MAX: usize = 100;
/// Most days until an invoice is due.
const DUE_DAYS_MAX: u32 = 365;

/// Serves `BillingService`.
pub struct Billing {
    engine: Engine,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::billing_service_server::BillingService for Billing {
    async fn create_payment_intent(
        &self,
        request: Request<pb::CreatePaymentIntentRequest>,
    ) -> Answer<pb::CreatePaymentIntentResponse> {
        respond(self.ask(request.into_inner()).await)
    }

    async fn create_payment_link(
        &self,
        request: Request<pb::CreatePaymentLinkRequest>,
    ) -> Answer<pb::CreatePaymentLinkResponse> {
        respond(self.link(request.into_inner()).await)
    }

    async fn verify_payment(
        &self,
        request: Request<pb::VerifyPaymentRequest>,
    ) -> Answer<pb::VerifyPaymentResponse> {
        respond(self.verify(request.into_inner()).await)
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Answer<pb::RefundPaymentResponse> {
        respond(self.refund(request.into_inner()).await)
    }

    async fn list_payments(
        &self,
        request: Request<pb::ListPaymentsRequest>,
    ) -> Answer<pb::ListPaymentsResponse> {
        respond(self.payments(request.into_inner()).await)
    }

    async fn list_invoices(
        &self,
        request: Request<pb::ListInvoicesRequest>,
    ) -> Answer<pb::ListInvoicesResponse> {
        respond(self.invoices(request.into_inner()).await)
    }

    async fn create_invoice_from_usage(
        &self,
        request: Request<pb::CreateInvoiceFromUsageRequest>,
    ) -> Answer<pb::CreateInvoiceFromUsageResponse> {
        respond(self.invoice(request.into_inner()).await)
    }

    async fn get_reconciliation(
        &self,
        request: Request<pb::GetReconciliationRequest>,
    ) -> Answer<pb::GetReconciliationResponse> {
        respond(self.reconcile(request.into_inner()).await)
    }

    async fn get_balance(
        &self,
        _: Request<pb::GetBalanceRequest>,
    ) -> Answer<pb::GetBalanceResponse> {
        respond(self.balance().await)
    }
}

impl Billing {
    /// Serves from an engine.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn ask(
        &self,
        request: pb::CreatePaymentIntentRequest,
    ) -> Result<pb::CreatePaymentIntentResponse, Error> {
        let key = request_id(request.request_id)?;
        let ask = &PayAsk {
            customer: id("customer_id", request.customer_id)?,
            purchase: purchase(required("purchase", request.purchase)?)?,
            charge_now: request.charge_now,
        };
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, Box<str>> {
            Box::pin(async move { biller.ask_payment(ask, &key).await })
        };
        let method = (CALLER, "CreatePaymentIntent");
        let payment = self.engine.call_once(method, &key, ask, call).await?;
        let made = self.engine.biller()?.payment_request(&payment).await?;
        Ok(pb::CreatePaymentIntentResponse {
            payment: Some(made.view.into()),
            client_secret: made.client_secret.into(),
        })
    }

    async fn link(
        &self,
        request: pb::CreatePaymentLinkRequest,
    ) -> Result<pb::CreatePaymentLinkResponse, Error> {
        let key = request_id(request.request_id)?;
        let customer: &CustomerId = &id("customer_id", request.customer_id)?;
        let purchase = &purchase(required("purchase", request.purchase)?)?;
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.payment_page(customer, purchase, &key).await })
        };
        let (method, content) = ((CALLER, "CreatePaymentLink"), (customer, purchase));
        let page = self.engine.call_once(method, &key, &content, call).await?;
        Ok(pb::CreatePaymentLinkResponse {
            link_id: page.id.into(),
            url: page.url.into(),
            sandbox: self.engine.biller()?.is_sandbox(),
        })
    }

    async fn verify(
        &self,
        request: pb::VerifyPaymentRequest,
    ) -> Result<pb::VerifyPaymentResponse, Error> {
        let key = request_id(request.request_id)?;
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let payment = payment_id(request.payment_id)?;
        if request.amount_cents < 1 {
            return Err(Error::invalid("amount_cents", "must be at least 1"));
        }
        let biller = self.engine.biller()?;
        let found = biller.look_at_payment(&payment).await?;
        found.ok_or_else(|| Error::not_found(Thing::Payment, &*payment))?;
        let expected = (request.amount_cents, biller.is_live());
        let verified = self
            .engine
            .verify_payment((CALLER, &key), &customer, &payment, expected);
        let (verdict, view) = verified.await?;
        Ok(pb::VerifyPaymentResponse {
            verified: verdict == Verdict::Verified,
            verdict: pb::PaymentVerdict::from(verdict).into(),
            payment: view.map(Into::into),
        })
    }

    async fn refund(
        &self,
        request: pb::RefundPaymentRequest,
    ) -> Result<pb::RefundPaymentResponse, Error> {
        let key = request_id(request.request_id)?;
        let cents = match request.amount_cents {
            0 => None,
            cents if cents > 0 => Some(cents),
            _ => return Err(Error::invalid("amount_cents", "must not be below 0")),
        };
        let why = match known("reason", request.reason)? {
            pb::RefundReason::Unspecified => None,
            pb::RefundReason::Duplicate => Some(RefundWhy::Duplicate),
            pb::RefundReason::Fraudulent => Some(RefundWhy::Fraudulent),
            pb::RefundReason::RequestedByCustomer => Some(RefundWhy::RequestedByCustomer),
        };
        let ask = &RefundAsk {
            payment: payment_id(request.payment_id)?,
            cents,
            why,
            keep_credits: request.keep_credits,
        };
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.refund(ask, &key).await })
        };
        let method = (CALLER, "RefundPayment");
        let view = self.engine.call_once(method, &key, ask, call).await?;
        let payment = Some(view.into());
        Ok(pb::RefundPaymentResponse { payment })
    }

    async fn payments(
        &self,
        mut request: pb::ListPaymentsRequest,
    ) -> Result<pb::ListPaymentsResponse, Error> {
        let page = page(&mut request)?;
        let customer = optional_id("customer_id", request.customer_id)?;
        let status = status(known("status", request.status)?);
        let range = (page.after.clone(), page.limit);
        let found = self.engine.list_payments(customer, status, range).await?;
        Ok(pb::ListPaymentsResponse {
            payments: found.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    async fn invoices(
        &self,
        mut request: pb::ListInvoicesRequest,
    ) -> Result<pb::ListInvoicesResponse, Error> {
        let page = page(&mut request)?;
        let customer = id("customer_id", request.customer_id)?;
        let limit = page.limit.min(INVOICES_MAX);
        let biller = self.engine.biller()?;
        let found = biller.invoices(&customer, page.after.as_deref(), limit);
        let (found, has_more) = found.await?;
        let last = found.last().filter(|_| has_more);
        let next = last.map(|invoice| invoice.id.to_string());
        Ok(pb::ListInvoicesResponse {
            next_page_token: page.next_token(next),
            invoices: found.into_iter().map(Into::into).collect(),
        })
    }

    async fn invoice(
        &self,
        request: pb::CreateInvoiceFromUsageRequest,
    ) -> Result<pb::CreateInvoiceFromUsageResponse, Error> {
        let key = request_id(request.request_id)?;
        let due_days = u32::try_from(request.due_days).ok();
        let due_days = due_days.filter(|days| *days <= DUE_DAYS_MAX);
        let ask = &InvoiceAsk {
            customer: id("customer_id", request.customer_id)?,
            at: optional_timestamp("period_time", request.period_time)?,
            due_days: due_days
                .ok_or_else(|| Error::invalid("due_days", "must be from 0 to 365"))?,
        };
        let made: UsageInvoice = if request.dry_run {
            self.engine.plan_invoice(ask).await?
        } else {
            let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
                Box::pin(async move { biller.invoice_usage(ask, &key).await })
            };
            let method = (CALLER, "CreateInvoiceFromUsage");
            self.engine.call_once(method, &key, ask, call).await?
        };
        Ok(pb::CreateInvoiceFromUsageResponse {
            invoice: made.invoice.map(Into::into),
            lines: made.lines.into_iter().map(Into::into).collect(),
            period_start: Some(to_timestamp(made.period.start)),
            period_end: Some(to_timestamp(made.period.end)),
        })
    }

    async fn reconcile(
        &self,
        mut request: pb::GetReconciliationRequest,
    ) -> Result<pb::GetReconciliationResponse, Error> {
        let page = page(&mut request)?;
        let customer = optional_id("customer_id", request.customer_id)?;
        let at = optional_timestamp("period_time", request.period_time)?;
        let (is_first, range) = (page.after.is_none(), (page.after.clone(), page.limit));
        let found = self.engine.biller()?.reconcile(customer, at, range).await?;
        let rows: Vec<_> = found.items.into_iter().map(reconciliation_row).collect();
        Ok(pb::GetReconciliationResponse {
            csv: if request.csv {
                csv(&rows, is_first)?
            } else {
                String::new()
            },
            rows,
            next_page_token: page.next_token(found.next),
        })
    }

    async fn balance(&self) -> Result<pb::GetBalanceResponse, Error> {
        let held = self.engine.biller()?.balance().await?;
        Ok(pb::GetBalanceResponse {
            available_cents: held.available_cents,
            pending_cents: held.pending_cents,
            livemode: held.livemode,
        })
    }
}
