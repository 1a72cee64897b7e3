//! What events can have changed, by their type.

/// What an event can have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concern {
    /// What a customer has: Stripe is asked how its subscriptions stand.
    Customer,
    /// What is sold, or how it is counted: `bursar stripe verify` tells of it, and nothing follows by itself.
    Catalog,
    /// Nothing that is known here.
    Nothing,
}

/// How the types of events begin that tell of a customer, its subscriptions, and money.
const OF_CUSTOMERS: [&str; 11] = [
    "customer.",
    "subscription_schedule.",
    "checkout.session.",
    "invoice.",
    "invoice_payment.",
    "payment_intent.",
    "payment_method.",
    "charge.",
    "refund.",
    "setup_intent.",
    "entitlements.",
];

/// How the types of events begin that tell of what is sold.
const OF_THE_CATALOG: [&str; 6] = [
    "product.",
    "price.",
    "plan.",
    "coupon.",
    "billing.meter.",
    "v1.billing.meter.",
];

impl Concern {
    /// Returns what events of a type can have changed.
    pub(super) fn of(kind: &str) -> Self {
        let begins = |with: &[&str]| with.iter().any(|begin| kind.starts_with(begin));
        if begins(&OF_CUSTOMERS) {
            Self::Customer
        } else if begins(&OF_THE_CATALOG) {
            Self::Catalog
        } else {
            Self::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_that_matters_is_understood() {
        for kind in "customer.subscription.created customer.subscription.updated customer.subscription.deleted \
             customer.subscription.paused customer.subscription.resumed customer.subscription.trial_will_end \
             customer.subscription.pending_update_applied customer.subscription.pending_update_expired \
             subscription_schedule.created subscription_schedule.updated subscription_schedule.released \
             subscription_schedule.completed subscription_schedule.canceled subscription_schedule.aborted \
             subscription_schedule.expiring checkout.session.completed checkout.session.expired \
             checkout.session.async_payment_succeeded checkout.session.async_payment_failed invoice.created \
             invoice.finalized invoice.finalization_failed invoice.paid invoice.payment_failed \
             invoice.payment_action_required invoice.payment_succeeded invoice.voided invoice.marked_uncollectible \
             invoice.upcoming invoice.overdue invoice_payment.paid payment_intent.succeeded \
             payment_intent.payment_failed refund.created refund.updated refund.failed charge.refunded \
             charge.succeeded charge.failed charge.dispute.created charge.dispute.updated charge.dispute.closed \
             charge.dispute.funds_withdrawn charge.dispute.funds_reinstated \
             entitlements.active_entitlement_summary.updated"
            .split_ascii_whitespace()
        {
            assert_eq!(Concern::of(kind), Concern::Customer, "{kind}");
        }
        for kind in
            "price.created price.updated price.deleted product.updated billing.meter.created \
             v1.billing.meter.error_report_triggered v1.billing.meter.no_meter_found"
                .split_ascii_whitespace()
        {
            assert_eq!(Concern::of(kind), Concern::Catalog, "{kind}");
        }
        for kind in ["", "foo.bar", "account.updated", "customers"] {
            assert_eq!(Concern::of(kind), Concern::Nothing, "{kind}");
        }
    }
}
