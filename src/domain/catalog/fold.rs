//! What plans inherit: entitlements, feature by feature; never prices, trial, commitment, add-ons or credits.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Plan;
use crate::domain::id::PlanId;

/// Most entitlements of all plans together once inherited ones are folded in. A short file could otherwise grow
/// without bound, since each step of `extends` repeats all that came before it.
pub(super) const FOLDED_ENTITLEMENTS_MAX: usize = 20_000;

/// The folded plans would hold more than [`FOLDED_ENTITLEMENTS_MAX`] entitlements.
#[derive(Debug)]
pub(super) struct TooManyEntitlements;

/// Gives each plan what it does not declare itself and the plan it extends grants.
///
/// Expects every `extends` to name a plan, without cycles.
pub(super) fn fold(
    declared: &BTreeMap<PlanId, Plan>,
) -> Result<BTreeMap<PlanId, Arc<Plan>>, TooManyEntitlements> {
    let mut folded: BTreeMap<PlanId, Arc<Plan>> = BTreeMap::new();
    let mut total = 0;
    for start in declared.values() {
        // From the plan up to one that is already folded; then down again.
        let mut chain = Vec::new();
        let mut next = Some(start);
        while let Some(plan) = next.filter(|plan| !folded.contains_key(&plan.id)) {
            chain.push(plan);
            next = plan
                .extends
                .as_ref()
                .and_then(|parent| declared.get(parent));
        }
        for plan in chain.into_iter().rev() {
            let mut plan = plan.clone();
            if let Some(parent) = plan.extends.as_ref().and_then(|id| folded.get(id)) {
                for (feature, spec) in &parent.entitlements {
                    if !plan.entitlements.contains_key(feature) {
                        plan.entitlements.insert(feature.clone(), spec.clone());
                    }
                }
            }
            total += plan.entitlements.len();
            if total > FOLDED_ENTITLEMENTS_MAX {
                return Err(TooManyEntitlements);
            }
            folded.insert(plan.id.clone(), Arc::new(plan));
        }
    }
    Ok(folded)
}
