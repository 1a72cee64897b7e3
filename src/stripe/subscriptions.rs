//! What Stripe has for a customer, asked for and taken over.

use std::sync::Arc;

use super::commitments::Commitments;
use super::gateway::{
    Cursor, Fault, Gateway, InvoiceFilter, Kind, Subscription, SubscriptionFilter,
};
use super::mirrored::{at, mirrored};
use crate::domain::billing::{Mirrored, StripeStatus, in_force};
use crate::domain::id::CustomerId;
use crate::engine::{Engine, Error};

/// How the ids of invoices begin.
const INVOICE: &str = "in_";

/// Takes over what Stripe has.
#[derive(Clone)]
pub struct Follower {
    engine: Engine,
    gateway: Arc<Gateway>,
    commitments: Commitments,
}

/// Why what Stripe has was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum NotFollowed {
    /// Stripe could not be asked, or refused.
    #[error(transparent)]
    Stripe(#[from] Fault),
    /// It could not be stored.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Follower {
    /// Asks through a gateway.
    #[must_use]
    pub fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        let commitments = Commitments::new(Arc::clone(&gateway));
        Self {
            engine,
            gateway,
            commitments,
        }
    }

    /// Takes over what Stripe has for a payer; false when the payer is nobody that we know.
    ///
    /// A payer that nobody was linked with yet is linked when Stripe's customer says whose it is.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or it cannot be stored.
    pub async fn follow(&self, payer: &str) -> Result<bool, NotFollowed> {
        let customer = match self.engine.customer_of_payer(payer).await? {
            Some(customer) => customer,
            None => match self.introduced(payer).await? {
                Some(customer) => customer,
                None => return Ok(false),
            },
        };
        self.take_over(&customer, payer).await?;
        Ok(true)
    }

    /// Takes over what Stripe has for a customer that is linked with a payer.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or it cannot be stored.
    pub async fn take_over(&self, customer: &CustomerId, payer: &str) -> Result<(), NotFollowed> {
        // The token is taken before Stripe is asked: who asks later knows at least as much.
        let token = self.engine.ask_about(customer, payer).await?;
        self.answer(customer, payer, token).await
    }

    /// As [`Follower::take_over`], if it is time to although no webhook says so; false when it is not, or somebody else does.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or it cannot be stored.
    pub async fn take_over_if_due(
        &self,
        customer: &CustomerId,
        payer: &str,
    ) -> Result<bool, NotFollowed> {
        let Some(token) = self.engine.ask_if_due(customer, payer).await? else {
            return Ok(false);
        };
        self.answer(customer, payer, token).await?;
        Ok(true)
    }

    /// Returns the payer of a payment or an invoice; `None`: it has none, or is not there.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    pub async fn payer_through(&self, way: &str) -> Result<Option<Box<str>>, NotFollowed> {
        let found = if way.starts_with(INVOICE) {
            let invoice = self.gateway.retrieve_invoice(way).await;
            invoice.map(|invoice| invoice.customer)
        } else {
            let payment = self.gateway.retrieve_payment_intent(way).await;
            payment.map(|payment| payment.customer)
        };
        let customer = known(found)?.flatten();
        Ok(customer.map(|link| link.id().into()))
    }

    async fn answer(
        &self,
        customer: &CustomerId,
        payer: &str,
        token: i64,
    ) -> Result<(), NotFollowed> {
        let all = self.all(payer).await?;
        self.check_money(&all)?;
        let mut seen: Vec<Mirrored> = all.iter().map(mirrored).collect();
        for one in &mut seen {
            if one.status == StripeStatus::PastDue {
                self.find_unpaid(one).await?;
            }
        }
        let counts = in_force(&seen).map(|one| one.id.clone());
        let of = (customer, payer);
        if !self.engine.take_subscriptions(of, token, seen).await? {
            // Who asked later sees to the rest.
            return Ok(());
        }
        let running = all
            .iter()
            .find(|one| counts.as_deref() == Some(one.id.as_str()));
        if let Some(running) = running {
            let standing = self.engine.get_subscription(customer).await?;
            self.commitments.keep(&standing, running).await?;
        }
        Ok(())
    }

    /// Finds since when a payment is late: the grace goes by that, and not by what was heard of it.
    async fn find_unpaid(&self, one: &mut Mirrored) -> Result<(), Fault> {
        let filter = InvoiceFilter {
            customer: None,
            subscription: Some(&one.id),
        };
        // The newest hundred go back for years.
        let page = self.gateway.list_invoices(filter, Cursor::FIRST).await?;
        let open = page
            .data
            .iter()
            .filter(|invoice| invoice.status.as_deref() == Some("open"));
        one.invoice_time = open.map(|invoice| at(invoice.created)).min();
        Ok(())
    }

    /// Links a payer with the customer that its metadata names.
    async fn introduced(&self, payer: &str) -> Result<Option<CustomerId>, NotFollowed> {
        let Some(theirs) = known(self.gateway.retrieve_customer(payer).await)? else {
            return Ok(None);
        };
        let Some(customer) = theirs.ours().and_then(|id| CustomerId::new(id).ok()) else {
            return Ok(None);
        };
        match self.engine.link_payer(&customer, payer).await {
            Ok(linked) if *linked == *payer => Ok(Some(customer)),
            // It pays as somebody else, or is not here.
            Ok(_) | Err(Error::NotFound { .. } | Error::CustomerDeleted { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses what is of the other kind of money: a key that says one and an account that says the other do not belong
    /// together.
    fn check_money(&self, all: &[Subscription]) -> Result<(), Fault> {
        let is_live = self.engine.billing_terms().is_live;
        let Some(other) = all.iter().find(|one| one.livemode != is_live) else {
            return Ok(());
        };
        let (theirs, ours) = if is_live {
            ("test", "live")
        } else {
            ("live", "test")
        };
        let why = format!("{} is of {theirs} mode, the key of {ours} mode", other.id);
        Err(Fault::of(Kind::Permission, why))
    }

    async fn all(&self, payer: &str) -> Result<Vec<Subscription>, Fault> {
        let filter = SubscriptionFilter {
            customer: Some(payer),
            price: None,
        };
        let mut page = self
            .gateway
            .list_subscriptions(filter, Cursor::FIRST)
            .await?;
        let mut all = Vec::new();
        loop {
            let next = page.next().and_then(|next| next.after).map(str::to_owned);
            all.append(&mut page.data);
            let Some(next) = next else {
                return Ok(all);
            };
            let next = Cursor::after(&next);
            page = self.gateway.list_subscriptions(filter, next).await?;
        }
    }
}

/// Takes that something is not there for an answer.
fn known<T>(found: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.kind == Kind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}
