//! What Stripe has for a customer, asked for and taken over.

use std::sync::Arc;

use super::gateway::{Cursor, Fault, Gateway, SubscriptionFilter};
use super::mirrored::mirrored;
use crate::domain::billing::Mirrored;
use crate::domain::id::CustomerId;
use crate::engine::{Engine, Error};

/// Takes over what Stripe has.
#[derive(Clone)]
pub struct Follower {
    engine: Engine,
    gateway: Arc<Gateway>,
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
    pub const fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self { engine, gateway }
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
        let all = self.all(payer).await?;
        self.engine
            .take_subscriptions((customer, payer), token, all)
            .await?;
        Ok(())
    }

    /// Links a payer with the customer that its metadata names.
    async fn introduced(&self, payer: &str) -> Result<Option<CustomerId>, NotFollowed> {
        let theirs = self.gateway.retrieve_customer(payer).await?;
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

    async fn all(&self, payer: &str) -> Result<Vec<Mirrored>, Fault> {
        let filter = SubscriptionFilter {
            customer: Some(payer),
            price: None,
        };
        let mut page = self
            .gateway
            .list_subscriptions(filter, Cursor::FIRST)
            .await?;
        let mut all: Vec<Mirrored> = page.data.iter().map(mirrored).collect();
        while let Some(next) = page.next() {
            page = self.gateway.list_subscriptions(filter, next).await?;
            all.extend(page.data.iter().map(mirrored));
        }
        Ok(all)
    }
}
