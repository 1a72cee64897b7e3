//! Customers, subaccounts and what they have allocated.

use prost_types::FieldMask;

use super::{metadata, text, to_map, to_timestamp, within};
use crate::domain::customer::{Allocation, Customer, Subaccount};
use crate::domain::id::{CustomerId, PlanId};
use crate::domain::subscription::{Subscription, anchor_of};
use crate::domain::usage::LABEL_BYTES_MAX;
use crate::engine::{Error, Profile, ProfileChange, SubaccountChange, SubaccountProfile};
use crate::grpc::pb;

/// Writes a customer with its subscription and the plan that is in force for it.
pub(in crate::grpc) fn customer(
    customer: Customer,
    subscription: Option<&Subscription>,
    plan: Option<PlanId>,
) -> pb::Customer {
    let anchor = anchor_of(&customer, subscription);
    pb::Customer {
        customer_id: customer.id.into(),
        display_name: customer.display_name.into(),
        email: customer.email.into(),
        metadata: to_map(customer.metadata),
        billing_anchor: Some(to_timestamp(anchor.start)),
        plan_id: super::or_empty(plan),
        discount_percent: customer.discount.to_string(),
        stripe_customer_id: customer.payer.map(String::from).unwrap_or_default(),
        create_time: Some(to_timestamp(customer.create_time)),
        update_time: Some(to_timestamp(customer.update_time)),
    }
}

/// Writes a subaccount of a customer.
pub(in crate::grpc) fn subaccount(part: Subaccount, customer: &CustomerId) -> pb::Subaccount {
    pb::Subaccount {
        subaccount_id: part.id.into(),
        customer_id: customer.to_string(),
        display_name: part.display_name.into(),
        metadata: to_map(part.metadata),
        create_time: Some(to_timestamp(part.create_time)),
        update_time: Some(to_timestamp(part.update_time)),
    }
}

/// Writes an allocation of a customer.
pub(in crate::grpc) fn allocation(held: Allocation, customer: &CustomerId) -> pb::Allocation {
    pb::Allocation {
        allocation_id: held.id.into(),
        customer_id: customer.to_string(),
        feature_id: held.feature.into(),
        subaccount_id: super::or_empty(held.subaccount),
        metadata: to_map(held.metadata),
        create_time: Some(to_timestamp(held.create_time)),
    }
}

/// Reads what a customer is to be called and found by.
pub(in crate::grpc) fn profile(customer: pb::Customer) -> Result<Profile, Error> {
    let read = || {
        Ok(Profile {
            display_name: text("display_name", customer.display_name, LABEL_BYTES_MAX)?,
            email: text("email", customer.email, LABEL_BYTES_MAX)?,
            metadata: metadata(customer.metadata)?,
            billing_anchor: super::optional_timestamp("billing_anchor", customer.billing_anchor)?,
        })
    };
    read().map_err(|wrong| within("customer", wrong))
}

/// Reads what of a customer is to be changed.
pub(in crate::grpc) fn profile_change(
    customer: pb::Customer,
    mask: Option<&FieldMask>,
) -> Result<ProfileChange, Error> {
    let named = Named::read(mask, &["display_name", "email", "metadata"])?;
    let has = [
        named.has("display_name", !customer.display_name.is_empty()),
        named.has("email", !customer.email.is_empty()),
        named.has("metadata", !customer.metadata.is_empty()),
    ];
    let profile = profile(pb::Customer {
        billing_anchor: None,
        ..customer
    })?;
    Ok(ProfileChange {
        display_name: has[0].then_some(profile.display_name),
        email: has[1].then_some(profile.email),
        metadata: has[2].then_some(profile.metadata),
    })
}

/// Reads what a subaccount is to be called and found by.
pub(in crate::grpc) fn subaccount_profile(
    part: pb::Subaccount,
) -> Result<SubaccountProfile, Error> {
    let read = || {
        Ok(SubaccountProfile {
            display_name: text("display_name", part.display_name, LABEL_BYTES_MAX)?,
            metadata: metadata(part.metadata)?,
        })
    };
    read().map_err(|wrong| within("subaccount", wrong))
}

/// Reads what of a subaccount is to be changed.
pub(in crate::grpc) fn subaccount_change(
    part: pb::Subaccount,
    mask: Option<&FieldMask>,
) -> Result<SubaccountChange, Error> {
    let named = Named::read(mask, &["display_name", "metadata"])?;
    let has = [
        named.has("display_name", !part.display_name.is_empty()),
        named.has("metadata", !part.metadata.is_empty()),
    ];
    let profile = subaccount_profile(part)?;
    Ok(SubaccountChange {
        display_name: has[0].then_some(profile.display_name),
        metadata: has[1].then_some(profile.metadata),
    })
}

/// The fields that an update names; `None`: those that are not empty.
struct Named<'a>(Option<&'a [String]>);

impl<'a> Named<'a> {
    fn read(mask: Option<&'a FieldMask>, known: &[&str]) -> Result<Self, Error> {
        let Some(mask) = mask else {
            return Ok(Self(None));
        };
        let unknown = |path: &String| !known.contains(&path.as_str());
        if let Some(index) = mask.paths.iter().position(unknown) {
            let rule = format!("must be one of {}", known.join(", "));
            return Err(Error::invalid(format!("update_mask.paths[{index}]"), rule));
        }
        Ok(Self(Some(&mask.paths)))
    }

    fn has(&self, field: &str, is_given: bool) -> bool {
        match self.0 {
            Some(paths) => paths.iter().any(|path| path == field),
            None => is_given,
        }
    }
}
