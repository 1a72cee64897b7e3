//! Payments that are asked for once, and money that goes back.

use super::biller::StripeBiller;
use super::gateway::{
    CheckoutPage, CheckoutSession, Fault, Kind, Metadata, NewPayment, NewPaymentLink, NewRefund,
    PaymentItem, PaymentTerms, RefundReason,
};
use super::purpose::{KEEPS_CREDITS, written};
use super::refused::{not_followed, refused};
use crate::domain::billing::{PaymentStatus, Purchase, Sale};
use crate::domain::id::CustomerId;
use crate::engine::{
    AccountBalance, BillingFault, Error, PayAsk, PaymentPage, PaymentRequest, PaymentView,
    RefundAsk, RefundWhy, Thing,
};

impl StripeBiller {
    /// Opens a page on which a customer pays once.
    pub(super) async fn purchase_checkout(
        &self,
        (page, customer): (CheckoutPage, &CustomerId),
        purchase: &Purchase,
        key: &str,
    ) -> Result<CheckoutSession, Error> {
        let sale = self.engine.sale(customer, purchase).await?;
        let terms = PaymentTerms {
            items: vec![self.item(&sale).await?],
            keep_method: true,
        };
        let page = CheckoutPage {
            metadata: written(customer, &sale.purpose),
            ..page
        };
        let session = self.gateway.create_payment_checkout(&page, &terms, key);
        session.await.map_err(refused)
    }

    /// Asks a customer for money.
    pub(super) async fn ask_for(&self, ask: &PayAsk, key: &str) -> Result<Box<str>, Error> {
        let sale = self.engine.sale(&ask.customer, &ask.purchase).await?;
        let payer = self.payer(&ask.customer).await?;
        let charge_now = if ask.charge_now {
            Some(self.default_method(&payer).await?)
        } else {
            None
        };
        let new = NewPayment {
            customer: payer.to_string(),
            cents: sale.cents,
            charge_now,
            description: Some(sale.name.to_string()),
            metadata: written(&ask.customer, &sale.purpose),
        };
        let intent = match self.gateway.create_payment_intent(&new, key).await {
            Ok(intent) => intent,
            Err(fault) => return Err(self.declined(fault).await),
        };
        Ok(intent.id.into())
    }

    /// Returns a payment that was asked for.
    pub(super) async fn asked_for(&self, id: &str) -> Result<PaymentRequest, Error> {
        let view = self.look(id).await?;
        let client_secret = match view.payment.status {
            PaymentStatus::Succeeded | PaymentStatus::Processing | PaymentStatus::Canceled => None,
            PaymentStatus::Open | PaymentStatus::Failed => {
                let intent = self.gateway.retrieve_payment_intent(id).await;
                intent.map_err(refused)?.client_secret
            }
        };
        Ok(PaymentRequest {
            view,
            client_secret: client_secret.map_or_else(Box::default, |secret| secret.expose().into()),
        })
    }

    /// Keeps a payment that was declined, with why, and says so.
    pub(super) async fn declined(&self, fault: Fault) -> Error {
        if let (Kind::CardDeclined, Some(id)) = (fault.kind, &fault.details.payment_intent)
            && let Err(error) = self.payments.follow(id).await
        {
            tracing::warn!(payment.id = %id, %error, "a payment that was declined is noted later");
        }
        refused(fault)
    }

    /// Returns what a customer pays with by default.
    pub(super) async fn default_method(&self, payer: &str) -> Result<String, Error> {
        let theirs = self.gateway.retrieve_customer(payer).await;
        let theirs = theirs.map_err(refused)?;
        let method = theirs.default_payment_method().map(ToOwned::to_owned);
        method.ok_or_else(|| {
            Error::Billing(BillingFault::Declined {
                code: "no_payment_method".to_owned(),
                message: "There is nothing to pay with by default.".to_owned(),
            })
        })
    }

    /// Makes a page on which whoever has its address pays.
    pub(super) async fn link_for(
        &self,
        customer: &CustomerId,
        purchase: &Purchase,
        key: &str,
    ) -> Result<PaymentPage, Error> {
        let sale = self.engine.sale(customer, purchase).await?;
        let new = NewPaymentLink {
            items: vec![self.item(&sale).await?],
            metadata: written(customer, &sale.purpose),
        };
        let link = self.gateway.create_payment_link(&new, key).await;
        let link = link.map_err(refused)?;
        Ok(PaymentPage {
            id: link.id.into(),
            url: link.url.into(),
        })
    }

    /// Returns the line of a page: at a price of the catalog's, or an amount.
    async fn item(&self, sale: &Sale) -> Result<PaymentItem, Error> {
        let Some((key, quantity)) = &sale.price else {
            return Ok(PaymentItem::Amount {
                cents: sale.cents,
                name: sale.name.to_string(),
            });
        };
        Ok(PaymentItem::Price {
            price: self.price(key).await?.id,
            quantity: quantity.unsigned_abs(),
        })
    }

    /// Gives money of a payment back.
    pub(super) async fn give_back(&self, ask: &RefundAsk, key: &str) -> Result<PaymentView, Error> {
        // Nobody gives money of others back.
        let known = self.look(&ask.payment).await?;
        let mut metadata = Metadata::new();
        if ask.keep_credits {
            metadata.insert(KEEPS_CREDITS.to_owned(), "true".to_owned());
        }
        let new = NewRefund {
            payment_intent: known.payment.id.to_string(),
            cents: ask.cents,
            reason: ask.why.map(|why| match why {
                RefundWhy::Duplicate => RefundReason::Duplicate,
                RefundWhy::Fraudulent => RefundReason::Fraudulent,
                RefundWhy::RequestedByCustomer => RefundReason::RequestedByCustomer,
            }),
            metadata,
        };
        self.gateway
            .create_refund(&new, key)
            .await
            .map_err(refused)?;
        self.look(&ask.payment).await
    }

    /// Returns the charge that a payment made last.
    pub(super) async fn charge_of(&self, payment: &str) -> Result<(String, i64), Error> {
        let intent = match self.gateway.retrieve_payment_intent(payment).await {
            Ok(intent) => intent,
            Err(fault) if fault.kind == Kind::NotFound => {
                return Err(Error::not_found(Thing::Payment, payment));
            }
            Err(fault) => return Err(refused(fault)),
        };
        let charge = intent.latest_charge.map(|link| link.id().to_owned());
        let rule = "must be of a payment that has succeeded";
        let charge = charge.ok_or_else(|| Error::invalid("payment_id", rule))?;
        Ok((charge, intent.amount))
    }

    /// Takes over how a payment stands.
    async fn look(&self, id: &str) -> Result<PaymentView, Error> {
        let found = self.payments.follow(id).await.map_err(not_followed)?;
        found.ok_or_else(|| Error::not_found(Thing::Payment, id))
    }

    /// Returns what Stripe holds for the account.
    pub(super) async fn held_balance(&self) -> Result<AccountBalance, Error> {
        let balance = self.gateway.retrieve_balance().await.map_err(refused)?;
        let sum = |parts: &[super::gateway::BalancePart]| {
            let dollars = parts.iter().filter(|part| part.currency == "usd");
            dollars.fold(0_i64, |sum, part| sum.saturating_add(part.amount))
        };
        Ok(AccountBalance {
            available_cents: sum(&balance.available),
            pending_cents: sum(&balance.pending),
            livemode: balance.livemode,
        })
    }
}
