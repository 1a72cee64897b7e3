//! What billing could not do, as callers see it.

use super::Fault;
use crate::engine::BillingFault;
use crate::grpc::pb::ErrorReason;

/// Says why billing could not do it. What Stripe says to us is shown as it is; it is about the call, not about us.
pub(super) fn refused(fault: &BillingFault, text: String) -> Fault {
    match fault {
        BillingFault::Absent | BillingFault::NotSetUp(_) | BillingFault::OtherMoney(_) => {
            let reason = ErrorReason::StripeNotSetUp;
            Fault::failed(reason, text, &[]).precondition("SETUP", "stripe")
        }
        BillingFault::Declined { code, .. } => {
            let metadata = [("code", code.clone())];
            Fault::failed(ErrorReason::PaymentDeclined, text, &metadata)
                .precondition("DECLINED", code)
        }
        BillingFault::Unavailable(_) => Fault::unavailable(ErrorReason::StripeUnavailable, text),
        BillingFault::OutcomeUnknown(_) => {
            Fault::unavailable(ErrorReason::StripeOutcomeUnknown, text)
        }
        BillingFault::Refused(_) => {
            Fault::failed(ErrorReason::StripeRefused, text, &[]).precondition("REFUSED", "stripe")
        }
        BillingFault::Committed { until } => {
            let metadata = [("end_time", until.to_string())];
            Fault::failed(ErrorReason::CommitmentRunning, text, &metadata)
                .precondition("COMMITTED", "subscription")
        }
        BillingFault::SandboxOnly | BillingFault::ClockShared => {
            Fault::failed(ErrorReason::SandboxOnly, text, &[]).precondition("SANDBOX", "stripe")
        }
    }
}
