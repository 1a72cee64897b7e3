//! The account's own money.

use stripe_core::balance::RetrieveForMyAccountBalance;

use super::super::account::{Answer, Gateway};
use super::super::objects::Balance;

impl Gateway {
    /// Returns what Stripe holds for the account.
    pub async fn retrieve_balance(&self) -> Answer<Balance> {
        self.read(&RetrieveForMyAccountBalance::new()).await
    }
}
