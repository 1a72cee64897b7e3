//! Visits to Stripe's portal, and what each customer may do there: who promised to stay cannot leave there either.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::biller::StripeBiller;
use super::gateway::{Fault, NewPortalSession};
use super::refused::refused;
use super::setup::Portal;
use crate::domain::id::CustomerId;
use crate::engine::{BillingFault, Error, HostedPage};

/// The ids of settings of the portal, once they are known.
#[derive(Default)]
pub(super) struct PortalsKnown(Mutex<BTreeMap<Portal, String>>);

impl StripeBiller {
    /// Opens the portal for a customer.
    pub(super) async fn visit_portal(
        &self,
        customer: &CustomerId,
        return_url: &str,
        key: &str,
    ) -> Result<HostedPage, Error> {
        let payer = self.payer(customer).await?;
        let portal = match self.check_commitment(customer, true).await {
            Ok(()) => Portal::Standard,
            Err(Error::Billing(BillingFault::Committed { .. })) => Portal::Committed,
            Err(error) => return Err(error),
        };
        let visit = NewPortalSession {
            customer: payer.to_string(),
            configuration: self.settings_of(portal).await.map_err(refused)?,
            return_url: Some(return_url.to_owned()),
        };
        let opened = self.gateway.create_portal_session(&visit, key).await;
        let session = opened.map_err(|fault| {
            // The settings may be gone.
            self.portals.0.lock().remove(&portal);
            refused(fault)
        })?;
        Ok(HostedPage {
            id: session.id.into(),
            url: session.url.into(),
            expire_time: None,
        })
    }

    /// Returns the id of settings of the portal; `None`: those that the account has by default.
    async fn settings_of(&self, portal: Portal) -> Result<Option<String>, Fault> {
        if let Some(known) = self.portals.0.lock().get(&portal) {
            return Ok(Some(known.clone()));
        }
        let mut found = self.setup.portal(portal).await?;
        // Nobody sets a sandbox up by hand, and a promise holds whether an account was set up or not.
        let is_needed = self.has_sandbox() || portal == Portal::Committed;
        if found.is_none() && is_needed {
            found = Some(self.setup.make_portal(portal, None).await?);
        }
        if let Some(id) = &found {
            self.portals.0.lock().insert(portal, id.clone());
        }
        Ok(found)
    }
}
