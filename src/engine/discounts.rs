//! What a customer's volume takes off its prices.

use std::sync::Arc;

use super::Engine;
use super::cell::Cell;
use super::error::Error;
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::step::Step;
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, RequestId};
use crate::domain::rating::Percent;

impl Engine {
    /// Sets what is taken off the price of a customer's usage, from now on.
    ///
    /// # Errors
    /// When there is no such customer, or it is deleted.
    pub async fn set_discount(
        &self,
        caller: &str,
        request: RequestId,
        id: &CustomerId,
        discount: Percent,
    ) -> Result<Customer, Error> {
        let cells = [self.customer(id).await?];
        let set = SetDiscount { cells, discount };
        self.submit_once(caller, request, &(id, discount), set)
            .await
    }
}

/// Sets a customer's discount.
struct SetDiscount {
    cells: [Arc<Cell>; 1],
    discount: Percent,
}

impl Mutation for SetDiscount {
    const METHOD: &'static str = "SetDiscount";
    type Answer = Customer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Customer>, Error> {
        let now = step.now();
        let discount = self.discount;
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            if account.customer.discount != discount {
                account.customer.discount = discount;
                account.customer.update_time = now;
                effects.customer = true;
            }
            Ok(Applied::Done(account.customer.clone()))
        })?
    }
}
