//! Payments and invoices, between the wire and the engine.

use super::{id, optional_id, or_empty, text, to_timestamp};
use crate::domain::billing::{
    DisputeStatus, Payment, PaymentStatus, Purchase, Purpose, QUANTITY_MAX, Verdict,
};
use crate::engine::{Error, InvoiceView, PaymentView, PendingLine};
use crate::grpc::pb;

/// Longest description that Stripe takes for a line, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 500;
/// The least and the most that Stripe charges at once, in cents.
const CENTS: std::ops::RangeInclusive<i64> = 50..=99_999_999;

/// Longest id of Stripe's, in bytes.
const ID_BYTES_MAX: usize = 255;

/// Reads the id of a payment: it becomes a part of an address at Stripe.
pub(in crate::grpc) fn payment_id(id: String) -> Result<Box<str>, Error> {
    let id = text("payment_id", id, ID_BYTES_MAX)?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if id.starts_with("pi_") && id.bytes().all(is_word) {
        Ok(id)
    } else {
        Err(Error::invalid(
            "payment_id",
            "must be the id of a payment, as pi_…",
        ))
    }
}

/// Reads what somebody wants to pay for.
pub(in crate::grpc) fn purchase(bought: pb::Purchase) -> Result<Purchase, Error> {
    let invalid = |field: &str, rule: &str| Err(Error::invalid(field, rule));
    if bought.product_id.is_empty() {
        if bought.quantity != 0 {
            return invalid("purchase.quantity", "must be absent without a product");
        }
        if !bought.subaccount_id.is_empty() {
            return invalid("purchase.subaccount_id", "must be absent without a product");
        }
        if !CENTS.contains(&bought.amount_cents) {
            return invalid("purchase.amount_cents", "must be from 50 to 99999999");
        }
        let field = "purchase.description";
        let description = text(field, bought.description, DESCRIPTION_BYTES_MAX)?;
        if description.is_empty() {
            return invalid(field, "must say what the amount is for");
        }
        return Ok(Purchase::Amount {
            cents: bought.amount_cents,
            description,
        });
    }
    if bought.amount_cents != 0 {
        return invalid("purchase.amount_cents", "must be absent with a product");
    }
    if !bought.description.is_empty() {
        return invalid("purchase.description", "must be absent with a product");
    }
    let quantity = match i64::from(bought.quantity) {
        0 => 1,
        quantity => quantity,
    };
    if !(1..=QUANTITY_MAX).contains(&quantity) {
        return invalid("purchase.quantity", "must be from 1 to 10000");
    }
    Ok(Purchase::Product {
        product: id("purchase.product_id", bought.product_id)?,
        quantity,
        subaccount: optional_id("purchase.subaccount_id", bought.subaccount_id)?,
    })
}

/// Reads a status by which payments are listed.
pub(in crate::grpc) const fn status(status: pb::PaymentStatus) -> Option<PaymentStatus> {
    match status {
        pb::PaymentStatus::Unspecified => None,
        pb::PaymentStatus::Open => Some(PaymentStatus::Open),
        pb::PaymentStatus::Processing => Some(PaymentStatus::Processing),
        pb::PaymentStatus::Succeeded => Some(PaymentStatus::Succeeded),
        pb::PaymentStatus::Failed => Some(PaymentStatus::Failed),
        pb::PaymentStatus::Canceled => Some(PaymentStatus::Canceled),
    }
}

impl From<PaymentStatus> for pb::PaymentStatus {
    fn from(status: PaymentStatus) -> Self {
        match status {
            PaymentStatus::Open => Self::Open,
            PaymentStatus::Processing => Self::Processing,
            PaymentStatus::Succeeded => Self::Succeeded,
            PaymentStatus::Failed => Self::Failed,
            PaymentStatus::Canceled => Self::Canceled,
        }
    }
}

impl From<Verdict> for pb::PaymentVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Verified => Self::Verified,
            Verdict::NotSucceeded => Self::NotSucceeded,
            Verdict::AmountDiffers => Self::AmountDiffers,
            Verdict::CurrencyDiffers => Self::CurrencyDiffers,
            Verdict::LivemodeDiffers => Self::LivemodeDiffers,
            Verdict::NotOurs => Self::OtherCustomer,
            Verdict::Used => Self::Used,
            Verdict::Refunded => Self::Refunded,
            Verdict::Disputed => Self::Disputed,
        }
    }
}

impl From<PaymentView> for pb::Payment {
    fn from(view: PaymentView) -> Self {
        let (payment, settled) = (view.payment, view.settlement);
        let mut written = Self {
            customer_id: view.customer.into(),
            grant_id: or_empty(settled.grant),
            taken_back_micros: settled.taken_back,
            verified: settled.verified_by.is_some(),
            fault: or_empty(settled.fault),
            ..about(&payment)
        };
        match payment.purpose {
            Purpose::Credits {
                product,
                quantity,
                wallet,
                micros,
            } => {
                written.product_id = or_empty(product);
                written.quantity = quantity;
                written.credits_micros = micros;
                written.credit_unit = wallet.unit.into();
                written.subaccount_id = or_empty(wallet.owner);
            }
            Purpose::Outcome { product, quantity } => {
                written.product_id = product.into();
                written.quantity = quantity;
            }
            Purpose::Amount | Purpose::Other => {}
        }
        written
    }
}

/// Writes a payment as Stripe has it.
fn about(payment: &Payment) -> pb::Payment {
    let refunds = payment.refunds.iter().map(|refund| pb::Refund {
        refund_id: refund.id.to_string(),
        amount_cents: refund.cents,
        failed: refund.has_failed,
        keep_credits: refund.keeps_credits,
    });
    let disputes = payment.disputes.iter().map(|dispute| {
        let status = match dispute.status {
            DisputeStatus::Open => pb::DisputeStatus::Open,
            DisputeStatus::Won => pb::DisputeStatus::Won,
            DisputeStatus::Lost => pb::DisputeStatus::Lost,
        };
        pb::Dispute {
            dispute_id: dispute.id.to_string(),
            amount_cents: dispute.cents,
            status: status.into(),
            reason: dispute.reason.to_string(),
        }
    });
    pb::Payment {
        payment_id: payment.id.to_string(),
        status: pb::PaymentStatus::from(payment.status).into(),
        amount_cents: payment.cents,
        received_cents: payment.received_cents,
        refunded_cents: payment.refunded_cents(),
        currency: payment.currency.to_string(),
        description: payment.description.to_string(),
        failure: payment.failure.as_ref().map(|why| pb::PaymentFailure {
            code: why.code.to_string(),
            message: why.message.to_string(),
        }),
        refunds: refunds.collect(),
        disputes: disputes.collect(),
        livemode: payment.livemode,
        create_time: Some(to_timestamp(payment.create_time)),
        ..pb::Payment::default()
    }
}

impl From<InvoiceView> for pb::Invoice {
    fn from(view: InvoiceView) -> Self {
        let lines = view.lines.into_iter().map(|line| pb::InvoiceLine {
            description: line.description.into(),
            amount_cents: line.cents,
            quantity: line.quantity,
        });
        Self {
            invoice_id: view.id.into(),
            number: view.number.into(),
            status: view.status.into(),
            total_cents: view.total_cents,
            due_cents: view.due_cents,
            paid_cents: view.paid_cents,
            attempt_count: i32::try_from(view.attempts).unwrap_or(i32::MAX),
            next_attempt_time: view.next_attempt.map(to_timestamp),
            billing_reason: view.reason.into(),
            stripe_subscription_id: view.subscription.into(),
            payment_id: view.payment.into(),
            url: view.url.into(),
            create_time: Some(to_timestamp(view.create_time)),
            period_start: Some(to_timestamp(view.period_start)),
            period_end: Some(to_timestamp(view.period_end)),
            lines: lines.collect(),
        }
    }
}

impl From<PendingLine> for pb::UsageLine {
    fn from(pending: PendingLine) -> Self {
        Self {
            subject: pending.line.subject.into(),
            description: pending.line.description.into(),
            quantity_milli: pending.line.quantity.0,
            period_cents: pending.line.cents,
            amount_cents: pending.cents,
        }
    }
}
