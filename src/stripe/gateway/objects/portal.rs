//! The portal, where customers look after their subscriptions themselves.

use super::super::shape::Metadata;
use super::{Link, object, part};

object! {
    /// What customers may do in the portal.
    PortalConfiguration {
        /// Whether sessions may use it.
        active: bool,
        /// Whether sessions use it that name none.
        is_default: bool,
        /// Where its way back leads.
        default_return_url: Option<String>,
        /// What they may do.
        features: PortalFeatures,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// What customers may do in the portal, as far as it matters here.
    PortalFeatures {
        /// Whether they see their invoices.
        invoice_history: PortalFeature,
        /// Whether they change what is charged.
        payment_method_update: PortalFeature,
        /// Whether they end subscriptions, and when that is in force: `at_period_end` or `immediately`.
        subscription_cancel: PortalFeature,
        /// Whether they change subscriptions.
        subscription_update: PortalFeature,
    }
}

part! {
    /// One thing that customers may do.
    PortalFeature {
        /// Whether they may.
        enabled: bool,
        /// How, where there are several ways.
        mode: Option<String>,
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
