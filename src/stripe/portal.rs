//! What customers may do in Stripe's portal: who promised to stay cannot leave there either.

use std::collections::BTreeMap;

use super::biller::{StripeBiller, refused};
use super::gateway::{Cursor, PortalRights};
use crate::domain::id::CustomerId;
use crate::engine::{BillingFault, Error};

/// The metadata of a configuration that says for whom it is.
const PORTAL_KEY: &str = "bursar_portal";

impl StripeBiller {
    /// Returns the configuration of the portal for a customer; `None`: the account's default.
    pub(super) async fn configuration(
        &self,
        customer: &CustomerId,
    ) -> Result<Option<String>, Error> {
        let stays = match self.check_commitment(customer, true).await {
            Ok(()) => false,
            Err(Error::Billing(BillingFault::Committed { .. })) => true,
            Err(error) => return Err(error),
        };
        let name = match (stays, self.has_sandbox()) {
            (true, _) => "committed",
            // Nobody sets a sandbox up by hand.
            (false, true) => "sandbox",
            (false, false) => return Ok(None),
        };
        let mut page = self
            .gateway
            .list_portal_configurations(Cursor::FIRST)
            .await
            .map_err(refused)?;
        loop {
            let found = page.data.iter().find(|one| {
                let is_for = one.metadata.get(PORTAL_KEY);
                one.active && is_for.is_some_and(|is_for| is_for == name)
            });
            if let Some(found) = found {
                return Ok(Some(found.id.clone()));
            }
            let Some(next) = page.next() else {
                break;
            };
            page = self
                .gateway
                .list_portal_configurations(next)
                .await
                .map_err(refused)?;
        }
        let rights = PortalRights {
            cancel: !stays,
            metadata: BTreeMap::from([(PORTAL_KEY.to_owned(), name.to_owned())]),
            ..PortalRights::default()
        };
        let key = format!("portal_{name}");
        let made = self.gateway.create_portal_configuration(&rights, &key);
        Ok(Some(made.await.map_err(refused)?.id))
    }
}
