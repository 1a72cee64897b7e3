//! All of it together: meters, prices, the portal and webhooks.

use super::{Adoption, Difference, Setup};
use crate::domain::billing::PriceList;
use crate::domain::id::PlanId;
use crate::stripe::gateway::{Fault, Secret};

/// What Stripe is to have.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What is for sale.
    pub list: PriceList,
    /// Prices that it had before, which are to be used.
    pub adopted: Vec<Adoption>,
    /// Where webhooks are to go; `None`: nobody says, and endpoints stay as they are.
    pub webhook_url: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// What was changed.
    pub changes: Vec<Difference>,
    /// What a new endpoint signs webhooks with. Stripe tells it this once.
    pub secret: Option<Secret>,
}

/// Why Stripe could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupFault {
    /// Stripe cannot be asked, or refuses.
    #[error(transparent)]
    Stripe(#[from] Fault),
    /// A plan that a price is said to be of is not for sale so.
    #[error("the catalog has no price of plan {0} for that interval")]
    NotSold(PlanId),
    /// A price is not what the catalog says.
    #[error("{price} cannot be the price of plan {plan}: {why}")]
    Unfit {
        /// Its id.
        price: String,
        /// Of which it is said to be.
        plan: PlanId,
        /// Why not.
        why: &'static str,
    },
}

impl Setup {
    /// Returns in what Stripe differs from all that it is to have.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or a price cannot be what it is said to be.
    pub async fn all_differences(&self, wanted: &Wanted) -> Result<Vec<Difference>, SetupFault> {
        let mut found = self.differences(&wanted.list).await?;
        self.adopt((&wanted.list, &wanted.adopted), &mut found)
            .await?;
        for (portal, id) in self.portal_differences().await? {
            found.push(match id {
                None => Difference::CreatePortal(portal),
                Some(id) => Difference::ChangePortal { id, portal },
            });
        }
        if let Some(url) = &wanted.webhook_url {
            found.extend(self.endpoint_difference(url).await?);
        }
        Ok(found)
    }

    /// Makes Stripe have all that it is to have.
    ///
    /// # Errors
    /// When Stripe cannot be asked or refuses, or a price cannot be what it is said to be; what was done until then stays,
    /// and the same may be done again.
    pub async fn apply_all(&self, wanted: &Wanted) -> Result<Done, SetupFault> {
        let found = self.all_differences(wanted).await?;
        // Prices that are there take their names before others would be made.
        for difference in &found {
            if let Difference::AdoptPrice { id, listed } = difference {
                self.take_price(id, listed).await?;
            }
        }
        self.make_prices(&wanted.list, &found).await?;
        let mut secret = None;
        for difference in &found {
            match difference {
                Difference::CreatePortal(portal) => {
                    self.make_portal(*portal, None).await?;
                }
                Difference::ChangePortal { id, portal } => {
                    self.make_portal(*portal, Some(id)).await?;
                }
                Difference::CreateEndpoint { url } => secret = self.create_endpoint(url).await?,
                Difference::ChangeEndpoint { id, events, .. } => {
                    self.change_endpoint(id, events).await?;
                }
                Difference::ReplaceEndpoint { id, url, .. } => {
                    secret = self.replace_endpoint(id, url).await?;
                }
                Difference::CreateMeter(_)
                | Difference::RenameMeter { .. }
                | Difference::CreatePrice(_)
                | Difference::ReplacePrice { .. }
                | Difference::AdoptPrice { .. } => {}
            }
        }
        let changes = found;
        Ok(Done { changes, secret })
    }
}
