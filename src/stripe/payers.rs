//! Who customers are at Stripe: created there when billing first needs them.

use std::sync::Arc;

use super::gateway::{Fault, Gateway, Kind, NewCustomer};
use super::subscriptions::NotFollowed;
use crate::domain::fingerprint::fingerprint;
use crate::domain::id::CustomerId;
use crate::engine::{Engine, Error, Thing};

/// Finds customers at Stripe, or creates them.
#[derive(Clone)]
pub(super) struct Payers {
    engine: Engine,
    gateway: Arc<Gateway>,
    /// Which life of the database this is: a restored one must not find what another one made and forgot.
    incarnation: Box<str>,
}

impl Payers {
    pub(super) const fn new(engine: Engine, gateway: Arc<Gateway>, incarnation: Box<str>) -> Self {
        Self {
            engine,
            gateway,
            incarnation,
        }
    }

    /// Links a customer with who it is at Stripe.
    pub(super) async fn link(&self, id: &CustomerId, payer: &str) -> Result<(), NotFollowed> {
        let theirs = self.gateway.retrieve_customer(payer).await?;
        if theirs.deleted {
            return Err(Fault::of(Kind::NotFound, format!("{payer} was deleted")).into());
        }
        let linked = self.engine.link_payer(id, payer).await?;
        if *linked == *payer {
            return Ok(());
        }
        Err(NotFollowed::Engine(Error::Exists {
            kind: Thing::Payer,
            id: linked.into(),
        }))
    }

    /// Returns who a customer is at Stripe. Two that ask at once get the same: the key is the customer's.
    pub(super) async fn of(&self, id: &CustomerId) -> Result<Box<str>, NotFollowed> {
        let (customer, _) = self.engine.get_customer(id).await?;
        if let Some(payer) = customer.payer {
            return Ok(payer);
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let new = NewCustomer {
            ours: id.to_string(),
            name: some(&customer.display_name),
            email: some(&customer.email),
            ..NewCustomer::default()
        };
        let name = format!("{} {id}", self.incarnation);
        let key = format!("customer_{}", fingerprint(name, 16));
        let theirs = self.gateway.create_customer(&new, &key).await?;
        Ok(self.engine.link_payer(id, &theirs.id).await?)
    }
}
