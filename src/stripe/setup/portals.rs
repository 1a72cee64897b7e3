//! The settings of Stripe's portal: what customers may do there by themselves.
//!
//! Plans are never changed there. A plan is several prices, its own and those of use beyond it, and the portal changes one;
//! so plans change through `ChangePlan`, which changes all of them and waits for what is due.

use std::fmt;

use super::{Setup, key};
use crate::stripe::gateway::{Cursor, Fault, PortalConfiguration, PortalRights};

/// The metadata of settings that says which they are.
const PORTAL_KEY: &str = "bursar_portal";

/// Which settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Portal {
    /// Of customers that may leave when the running period ends.
    Standard,
    /// Of customers that promised to stay: Stripe does not know of that and would let them go.
    Committed,
}

impl Portal {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Committed];

    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Committed => "committed",
        }
    }

    /// Whether customers may end subscriptions.
    const fn may_cancel(self) -> bool {
        match self {
            Self::Standard => true,
            Self::Committed => false,
        }
    }

    fn rights(self) -> PortalRights {
        PortalRights {
            cancel: self.may_cancel(),
            update: None,
            return_url: None,
            metadata: [(PORTAL_KEY.to_owned(), self.word().to_owned())].into(),
        }
    }

    /// Whether settings at Stripe allow what they should, and no more.
    fn agrees(self, theirs: &PortalConfiguration) -> bool {
        let features = &theirs.features;
        let cancel = &features.subscription_cancel;
        let in_time = !cancel.enabled || cancel.mode.as_deref() == Some("at_period_end");
        cancel.enabled == self.may_cancel()
            && in_time
            && features.invoice_history.enabled
            && features.payment_method_update.enabled
            && !features.subscription_update.enabled
    }
}

impl fmt::Display for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invoices, cards")?;
        if self.may_cancel() {
            f.write_str(", leaving at the end of a period")?;
        }
        Ok(())
    }
}

impl Setup {
    /// Returns the id of settings of the portal; `None`: Stripe has none such.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    pub async fn portal(&self, portal: Portal) -> Result<Option<String>, Fault> {
        let held = self.held_portals().await?;
        let found = held.into_iter().find(|one| is(one, portal));
        Ok(found.map(|found| found.id))
    }

    /// Returns which settings Stripe lacks (`None`), or has otherwise, by their ids.
    pub(super) async fn portal_differences(&self) -> Result<Vec<(Portal, Option<String>)>, Fault> {
        let held = self.held_portals().await?;
        let mut found = Vec::new();
        for portal in Portal::ALL {
            match held.iter().find(|one| is(one, portal)) {
                None => found.push((portal, None)),
                Some(theirs) if portal.agrees(theirs) => {}
                Some(theirs) => found.push((portal, Some(theirs.id.clone()))),
            }
        }
        Ok(found)
    }

    /// Creates settings of the portal, or sets those of an id right; returns their id.
    ///
    /// # Errors
    /// When Stripe refuses.
    pub async fn make_portal(&self, portal: Portal, id: Option<&str>) -> Result<String, Fault> {
        let rights = portal.rights();
        let made = match id {
            None => {
                let key = key(&("portal", &rights));
                self.gateway
                    .create_portal_configuration(&rights, &key)
                    .await?
            }
            Some(id) => {
                // What is set right again was changed by somebody: the same call is another one then.
                let key = format!("{}_{}", key(&("portal", id)), self.turn);
                self.gateway
                    .update_portal_configuration(id, &rights, &key)
                    .await?
            }
        };
        Ok(made.id)
    }

    /// Returns the settings that sessions may use.
    async fn held_portals(&self) -> Result<Vec<PortalConfiguration>, Fault> {
        let mut page = self
            .gateway
            .list_portal_configurations(Cursor::FIRST)
            .await?;
        let mut all = page.data.clone();
        while let Some(next) = page.next() {
            page = self.gateway.list_portal_configurations(next).await?;
            all.extend(page.data.iter().cloned());
        }
        all.retain(|one| one.active);
        Ok(all)
    }
}

fn is(theirs: &PortalConfiguration, portal: Portal) -> bool {
    theirs.metadata.get(PORTAL_KEY).map(String::as_str) == Some(portal.word())
}
