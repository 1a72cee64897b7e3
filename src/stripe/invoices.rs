//! Invoices as Stripe has them, and those that we make of what was used.

use super::biller::StripeBiller;
use super::gateway::{
    CUSTOMER_KEY, Collection, Cursor, Invoice, InvoiceFilter, InvoiceLine, Kind, Metadata,
    NewInvoice, NewInvoiceItem, PAGE_MAX, Span,
};
use super::mirrored::{at, seconds};
use super::refused::refused;
use crate::domain::id::CustomerId;
use crate::domain::window::TimeRange;
use crate::engine::{
    Error, InvoiceAsk, InvoiceLineView, InvoiceView, PendingInvoice, UsageInvoice,
};

impl StripeBiller {
    /// Returns invoices of a customer, the newest first, and whether there are more.
    pub(super) async fn list_invoices(
        &self,
        customer: &CustomerId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<InvoiceView>, bool), Error> {
        let (held, _) = self.engine.get_customer(customer).await?;
        // Who never paid has no invoices.
        let Some(payer) = held.payer else {
            return Ok((Vec::new(), false));
        };
        let filter = InvoiceFilter {
            customer: Some(&payer),
            subscription: None,
        };
        let limit = u8::try_from(limit).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let page = self
            .gateway
            .list_invoices(filter, Cursor { after, limit })
            .await
            .map_err(refused)?;
        Ok((page.data.iter().map(view).collect(), page.has_more))
    }

    /// Makes an invoice of what was used in a billing period.
    pub(super) async fn invoice_period(
        &self,
        ask: &InvoiceAsk,
        key: &str,
    ) -> Result<UsageInvoice, Error> {
        let customer = &ask.customer;
        let own = self.engine.own_invoice(customer, ask.at).await?;
        let terms = (key, ask.due_days);
        let begun = self.engine.begin_invoice(customer, &own, terms).await?;
        let Some(pending) = begun else {
            return Ok(UsageInvoice {
                period: own.period,
                invoice: None,
                lines: Vec::new(),
            });
        };
        let payer = self.payer(customer).await?;
        let made = self.invoiced((customer, &payer), own.period, &pending);
        let made = made.await?;
        let end = (&*pending.key, made.id.as_str());
        self.engine.end_invoice(customer, own.period, end).await?;
        Ok(UsageInvoice {
            period: own.period,
            invoice: Some(view(&made)),
            lines: pending.lines,
        })
    }

    /// Puts lines on an invoice and makes it final. Each call has a key of its own, so that all of it can be repeated.
    async fn invoiced(
        &self,
        (customer, payer): (&CustomerId, &str),
        period: TimeRange,
        pending: &PendingInvoice,
    ) -> Result<Invoice, Error> {
        let key = |step: &str| format!("{}_{step}", pending.key);
        let metadata = Metadata::from([(CUSTOMER_KEY.to_owned(), customer.to_string())]);
        let new = NewInvoice {
            customer: payer.to_owned(),
            collection: match pending.due_days {
                0 => Collection::Charge,
                due_days => Collection::Send { due_days },
            },
            take_pending_items: false,
            description: None,
            metadata: metadata.clone(),
        };
        let gateway = &self.gateway;
        let draft = gateway.create_invoice(&new, &key("invoice")).await;
        let draft = draft.map_err(refused)?;
        for (nth, line) in pending.lines.iter().enumerate() {
            let item = NewInvoiceItem {
                customer: payer.to_owned(),
                cents: line.cents,
                description: line.line.description.to_string(),
                invoice: Some(draft.id.clone()),
                subscription: None,
                period: Some(Span {
                    start: seconds(period.start),
                    end: seconds(period.end),
                }),
                metadata: metadata.clone(),
            };
            let key = key(&format!("item{nth}"));
            let made = gateway.create_invoice_item(&item, &key).await;
            made.map_err(refused)?;
        }
        let made = gateway
            .finalize_invoice(&draft.id, true, &key("final"))
            .await;
        let made = made.map_err(refused)?;
        if pending.due_days > 0 || made.status.as_deref() != Some("open") {
            return Ok(made);
        }
        match gateway.pay_invoice(&made.id, None, &key("pay")).await {
            Ok(paid) => Ok(paid),
            // It stays open, and Stripe tries again.
            Err(fault) if matches!(fault.kind, Kind::CardDeclined | Kind::InvalidRequest) => {
                gateway.retrieve_invoice(&made.id).await.map_err(refused)
            }
            Err(fault) => Err(refused(fault)),
        }
    }
}

/// Returns an invoice as callers see it.
pub(super) fn view(invoice: &Invoice) -> InvoiceView {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    InvoiceView {
        id: invoice.id.as_str().into(),
        number: text(&invoice.number),
        status: text(&invoice.status),
        total_cents: invoice.total,
        due_cents: invoice.amount_due,
        paid_cents: invoice.amount_paid,
        attempts: u32::try_from(invoice.attempt_count).unwrap_or(u32::MAX),
        next_attempt: invoice.next_payment_attempt.map(at),
        reason: text(&invoice.billing_reason),
        subscription: invoice.subscription().unwrap_or_default().into(),
        payment: invoice.payment_intent().unwrap_or_default().into(),
        url: text(&invoice.hosted_invoice_url),
        create_time: at(invoice.created),
        period_start: at(invoice.period_start),
        period_end: at(invoice.period_end),
        lines: invoice.lines.data.iter().map(line).collect(),
    }
}

fn line(line: &InvoiceLine) -> InvoiceLineView {
    InvoiceLineView {
        description: line.description.as_deref().unwrap_or_default().into(),
        cents: line.amount,
        quantity: line.quantity.unwrap_or_default(),
    }
}
