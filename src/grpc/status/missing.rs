//! Things that are not there, as callers see them.

use super::Fault;
use crate::engine::Thing;
use crate::grpc::pb::ErrorReason;

pub(super) fn not_found(kind: Thing, id: &str, text: String) -> Fault {
    let (reason, key) = match kind {
        Thing::Customer => (ErrorReason::CustomerNotFound, "customer_id"),
        Thing::Subaccount => (ErrorReason::SubaccountNotFound, "subaccount_id"),
        Thing::Meter => (ErrorReason::MeterNotFound, "meter_id"),
        Thing::Feature => (ErrorReason::FeatureNotFound, "feature_id"),
        Thing::Plan => (ErrorReason::PlanNotFound, "plan_id"),
        Thing::Product => (ErrorReason::ProductNotFound, "product_id"),
        Thing::Reservation => (ErrorReason::ReservationNotFound, "reservation_id"),
        Thing::Allocation => (ErrorReason::AllocationNotFound, "allocation_id"),
        Thing::Override => (ErrorReason::OverrideNotFound, "feature_id"),
        Thing::Event => (ErrorReason::EventNotFound, "event_id"),
        Thing::CatalogVersion => (ErrorReason::CatalogVersionNotFound, "version"),
        Thing::CreditUnit => (ErrorReason::CreditUnitNotFound, "credit_unit"),
        Thing::Grant => (ErrorReason::GrantNotFound, "grant_id"),
        Thing::Payer => (ErrorReason::StripeCustomerNotFound, "stripe_customer_id"),
        Thing::Payment => (ErrorReason::PaymentNotFound, "payment_id"),
        Thing::Subscription => (ErrorReason::SubscriptionNotFound, "customer_id"),
        Thing::Chunk => (ErrorReason::ChunkNotFound, "chunk_id"),
        Thing::Hold => (ErrorReason::HoldNotFound, "hold_id"),
    };
    Fault::missing(reason, text, &[(key, id.to_owned())]).thing(&kind.to_string(), id)
}
