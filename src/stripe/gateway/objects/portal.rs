//! The portal, where customers look after their subscriptions themselves.

use super::super::shape::Metadata;
use super::{Link, object};

object! {
    /// What customers may do in the portal.
    PortalConfiguration {
        /// Whether sessions may use it.
        active: bool,
        /// Whether sessions use it that name none.
        is_default: bool,
        /// Where its way back leads.
        default_return_url: Option<String>,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

object! {
    /// A customer's visit to the portal.
    PortalSession {
        /// Where it is.
        url: String,
        /// Who.
        customer: Option<Link>,
        /// What they may do.
        configuration: Option<Link>,
        /// Where its way back leads.
        return_url: Option<String>,
        /// Whether money is real.
        livemode: bool,
    }
}
