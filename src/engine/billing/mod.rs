//! Billing through Stripe, as far as it is ours to decide: who pays, what usage is sealed, and what is on its way. Stripe
//! itself is spoken to elsewhere.

mod account_mode;
mod biller;
mod calls;
mod charged;
mod chunks;
mod document;
mod fault;
mod inbox;
mod invoices;
mod listing;
mod payer;
mod payments;
mod purchases;
mod reconcile;
mod reflect;
mod refused;
mod sandbox;
mod seal;
mod statement;
mod test_clock;

use crate::domain::billing::LEASE;
use crate::domain::time::Span;
use crate::engine::Engine;

pub use self::account_mode::money_mode;
pub use self::biller::{
    Biller, CancelWhen, ChangeAsk, ChangePreview, ChangeWhen, CheckoutAsk, HostedPage, Order,
    PreviewLine, Replayed, SubscribeAsk,
};
pub use self::calls::Calling;
pub use self::chunks::ChunkView;
pub use self::fault::BillingFault;
pub use self::inbox::InboundView;
pub use self::invoices::{PendingInvoice, PendingLine};
pub use self::payments::PaymentView;
pub use self::purchases::{
    AccountBalance, InvoiceAsk, InvoiceLineView, InvoiceView, PayAsk, PaymentPage, PaymentRequest,
    RefundAsk, RefundWhy, UsageInvoice,
};
pub use self::reconcile::{MeterBill, Reconciled};
pub use self::refused::{LateRefusal, OtherRefusals};
pub use self::sandbox::SandboxMemory;
pub use self::statement::{OwnInvoice, OwnLine};
pub use self::test_clock::moved_ahead;

/// What billing needs to know beside the catalog.
#[derive(Debug, Clone)]
pub struct BillingTerms {
    /// Which life of the database this is: what another one was sending is in doubt.
    pub incarnation: Box<str>,
    /// How long usage is gathered before it is sealed; at least a second.
    pub window: Span,
    /// Whether a wallet rests while a payment for its credits is disputed.
    pub disputes_freeze: bool,
    /// Whether money is real: what Stripe tells of the other kind is not for this database.
    pub is_live: bool,
    /// How long whoever claimed a chunk has to send it and to say what came of it, before another sends it: longer than a
    /// call may take.
    pub lease: Span,
}

impl Default for BillingTerms {
    fn default() -> Self {
        Self {
            incarnation: Box::default(),
            window: Span::from_hours(1),
            disputes_freeze: true,
            is_live: false,
            lease: LEASE,
        }
    }
}

impl Engine {
    /// Says on what terms usage is billed; the first that says so counts.
    pub fn set_billing(&self, terms: BillingTerms) {
        if self.shared.billing.set(terms).is_err() {
            tracing::error!("the terms of billing were set twice; the first count");
        }
    }

    /// Returns on what terms usage is billed.
    #[must_use]
    pub fn billing_terms(&self) -> BillingTerms {
        self.shared.billing.get().cloned().unwrap_or_default()
    }
}
