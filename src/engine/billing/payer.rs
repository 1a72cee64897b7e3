//! Who a customer is at Stripe.

use std::sync::Arc;

use super::document::payer_key;
use crate::domain::billing::FIRST_LOOK;
use crate::domain::id::CustomerId;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::{Error, Thing};
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::profiles::check_live;
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow};

impl Engine {
    /// Says who a customer is at Stripe. It says so once: a customer that has another payer keeps it.
    ///
    /// # Errors
    /// When there is no such customer, or the payer is another customer's.
    pub async fn link_payer(&self, id: &CustomerId, payer: &str) -> Result<Box<str>, Error> {
        let cells = [self.customer(id).await?];
        let key = payer_key(payer);
        self.submit(Link { cells, key }).await
    }

    /// Returns the customer that is this one at Stripe; `None`: none is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn customer_of_payer(&self, payer: &str) -> Result<Option<CustomerId>, Error> {
        let query = BillingQuery {
            id: Some(payer.into()),
            ..BillingQuery::of(BillingKind::Payer, 1)
        };
        let page = self.shared.store.billing(query).await?;
        Ok(page.items.into_iter().find_map(|row| row.customer))
    }
}

/// Says who a customer is at Stripe.
struct Link {
    cells: [Arc<Cell>; 1],
    key: BillingKey,
}

impl Mutation for Link {
    const METHOD: &'static str = "LinkPayer";
    type Answer = Box<str>;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Box<str>>, Error> {
        let (now, customer) = (step.now(), &self.cells[0].id);
        let linked = step.document(0, &self.key);
        let is_anothers = |row: &BillingRow| row.customer.as_ref() != Some(customer);
        if linked.as_ref().is_some_and(is_anothers) {
            return Err(Error::Exists {
                kind: Thing::Payer,
                id: self.key.id.to_string(),
            });
        }
        let payer = step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            if account.customer.payer.is_none() {
                account.customer.payer = Some(self.key.id.clone());
                effects.customer = true;
            }
            Ok::<_, Error>(account.customer.payer.clone())
        })??;
        let payer = payer.unwrap_or_default();
        if payer == self.key.id && linked.is_none() {
            step.put_document(BillingRow {
                key: self.key.clone(),
                customer: Some(customer.clone()),
                state: "linked".into(),
                due_time: Some(now.plus(FIRST_LOOK)),
                create_time: now,
                body: "{}".into(),
            });
        }
        Ok(Applied::Done(payer))
    }
}
