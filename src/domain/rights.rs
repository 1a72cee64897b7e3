//! What a customer or subaccount is entitled to, compiled from plan and overrides for fast answers.

use std::sync::Arc;

use super::catalog::{
    Catalog, Charge, CreditUnit, EntitlementSpec, Feature, FeatureKind, Filter, Limit, Meter, Plan,
    WarningLevels,
};
use super::counter::CounterSpec;
use super::customer::Override;
use super::id::{FeatureId, MeterId};
use super::time::Timestamp;
use super::usage::Labels;

/// Counters that are kept for a customer or subaccount, in a fixed order that slots number.
pub type Tracked = Arc<[Arc<CounterSpec>]>;

/// The rights of one customer or subaccount.
#[derive(Debug)]
pub struct Rights {
    /// By feature, sorted.
    rights: Vec<Right>,
    /// The counters that slots number.
    pub tracked: Tracked,
    /// Slots by meter, sorted.
    by_meter: Vec<(MeterId, Vec<usize>)>,
    /// Which rights draw on a wallet.
    drawing: Vec<usize>,
    /// When decisions start to warn.
    pub warnings: WarningLevels,
}

/// The right to one feature.
#[derive(Debug)]
pub struct Right {
    /// The feature.
    pub feature: Arc<Feature>,
    /// What is granted.
    pub spec: EntitlementSpec,
    /// The meter of a metered feature.
    pub meter: Option<Arc<Meter>>,
    /// The counter of each limit, by position.
    pub slots: Vec<usize>,
    /// The unit of the wallet that it draws on.
    pub unit: Option<CreditUnit>,
}

/// Who rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The customer as a whole.
    Customer,
    /// One of its subaccounts.
    Subaccount(&'a str),
}

impl Owner<'_> {
    fn owns(self, set: &Override) -> bool {
        match self {
            Self::Customer => set.subaccount.is_none(),
            Self::Subaccount(id) => set
                .subaccount
                .as_ref()
                .is_some_and(|sub| sub.as_str() == id),
        }
    }

    fn limits(self, spec: &EntitlementSpec) -> &[Limit] {
        let EntitlementSpec::Metered(metered) = spec else {
            return &[];
        };
        match self {
            Self::Customer => &metered.limits,
            Self::Subaccount(_) => &metered.subaccount_limits,
        }
    }
}

/// Returns the counters that an owner needs: those of its plan and of all its overrides, whether these hold now
/// or not, so that the end of an override never asks for a counter that was not kept.
#[must_use]
pub fn needed(
    owner: Owner<'_>,
    catalog: &Catalog,
    plan: Option<&Plan>,
    overrides: &[Override],
) -> Vec<CounterSpec> {
    let mut specs = Vec::new();
    let mut add = |feature: &FeatureId, limits: &[Limit]| {
        for (spec, _) in limit_counters(catalog, feature, limits) {
            if !specs.contains(&spec) {
                specs.push(spec);
            }
        }
    };
    for (feature, spec) in plan.iter().flat_map(|plan| &plan.entitlements) {
        add(feature, owner.limits(spec));
    }
    for set in overrides.iter().filter(|set| owner.owns(set)) {
        if let EntitlementSpec::Metered(metered) = &set.spec {
            add(&set.feature, &metered.limits);
        }
    }
    specs
}

/// Returns the counters that limits on a feature count in, with the limits' amounts.
pub(super) fn limit_counters(
    catalog: &Catalog,
    feature: &FeatureId,
    limits: &[Limit],
) -> Vec<(CounterSpec, Option<i64>)> {
    let kind = catalog.features.get(feature).map(|feature| &feature.kind);
    let Some(FeatureKind::Metered { meter, filter }) = kind else {
        return Vec::new();
    };
    limits
        .iter()
        .map(|limit| (counter_of(meter, filter, limit), limit.amount))
        .collect()
}

fn counter_of(meter: &MeterId, filter: &Filter, limit: &Limit) -> CounterSpec {
    CounterSpec {
        meter: meter.clone(),
        filter: filter.clone(),
        window: limit.window,
    }
}

impl Rights {
    /// Compiles what an owner may at `now`. A limit whose counter is not in `tracked` is left out, so the caller
    /// sees to it that all of [`needed`] are.
    #[must_use]
    pub fn compile(
        owner: Owner<'_>,
        catalog: &Catalog,
        plan: Option<&Plan>,
        overrides: &[Override],
        tracked: Tracked,
        now: Timestamp,
    ) -> Self {
        let mut rights: Vec<Right> = Vec::new();
        for (id, spec) in plan.iter().flat_map(|plan| &plan.entitlements) {
            let Some(feature) = catalog.features.get(id) else {
                continue;
            };
            let spec = match owner {
                Owner::Customer => spec.clone(),
                Owner::Subaccount(_) => match subaccount_default(spec) {
                    Some(spec) => spec,
                    None => continue,
                },
            };
            rights.push(Right::new(feature, spec, catalog, &tracked));
        }
        let holds =
            |set: &&Override| owner.owns(set) && set.expire_time.is_none_or(|expire| now < expire);
        for set in overrides.iter().filter(holds) {
            let Some(feature) = catalog.features.get(&set.feature) else {
                continue;
            };
            let same = |right: &Right| right.feature.id == set.feature;
            let place = rights.iter().position(same);
            let mut spec = set.spec.clone();
            if let Some(place) = place {
                keep_charge(&mut spec, &rights[place].spec);
            }
            let right = Right::new(feature, spec, catalog, &tracked);
            match place {
                Some(place) => rights[place] = right,
                None => rights.push(right),
            }
        }
        rights.sort_by(|a, b| a.feature.id.cmp(&b.feature.id));
        let drawing = (0..rights.len())
            .filter(|index| rights[*index].draws())
            .collect();
        let mut by_meter: Vec<(MeterId, Vec<usize>)> = Vec::new();
        for (slot, spec) in tracked.iter().enumerate() {
            match by_meter.binary_search_by(|entry| entry.0.cmp(&spec.meter)) {
                Ok(index) => by_meter[index].1.push(slot),
                Err(index) => by_meter.insert(index, (spec.meter.clone(), vec![slot])),
            }
        }
        Self {
            rights,
            tracked,
            by_meter,
            drawing,
            warnings: catalog.warnings,
        }
    }

    /// Returns no rights over these counters: what is counted before rights are compiled.
    #[must_use]
    pub fn bare(tracked: Tracked, warnings: WarningLevels) -> Self {
        Self {
            rights: Vec::new(),
            tracked,
            by_meter: Vec::new(),
            drawing: Vec::new(),
            warnings,
        }
    }

    /// Returns the right to a feature.
    #[must_use]
    pub fn get(&self, feature: &str) -> Option<&Right> {
        let index = self
            .rights
            .binary_search_by(|right| right.feature.id.as_str().cmp(feature));
        index.ok().map(|index| &self.rights[index])
    }

    /// Returns all rights, by feature.
    #[must_use]
    pub fn all(&self) -> &[Right] {
        &self.rights
    }

    /// Returns the right that draws on a wallet for usage of a meter; a catalog has at most one.
    #[must_use]
    pub fn drawing(&self, meter: &MeterId, dimensions: &Labels) -> Option<&Right> {
        let mut drawing = self.drawing.iter().map(|index| &self.rights[*index]);
        drawing.find(|right| match &right.feature.kind {
            FeatureKind::Metered { meter: of, filter } => of == meter && filter.accepts(dimensions),
            FeatureKind::Boolean
            | FeatureKind::Static
            | FeatureKind::Allocation
            | FeatureKind::Concurrency
            | FeatureKind::Rate => false,
        })
    }

    /// Returns the slots whose counters count a meter.
    #[must_use]
    pub fn slots_of(&self, meter: &MeterId) -> &[usize] {
        self.by_meter
            .binary_search_by(|entry| entry.0.cmp(meter))
            .map_or(&[], |index| self.by_meter[index].1.as_slice())
    }
}

/// An override changes how much is included, not what use costs beyond that.
fn keep_charge(set: &mut EntitlementSpec, plan: &EntitlementSpec) {
    if let (EntitlementSpec::Metered(set), EntitlementSpec::Metered(plan)) = (set, plan)
        && set.charge.is_none()
    {
        set.charge.clone_from(&plan.charge);
    }
}

/// What a plan grants each subaccount by itself.
fn subaccount_default(spec: &EntitlementSpec) -> Option<EntitlementSpec> {
    let EntitlementSpec::Metered(metered) = spec else {
        return None;
    };
    if metered.subaccount_limits.is_empty() {
        return None;
    }
    let mut own = super::catalog::MeteredSpec::default();
    own.limits.clone_from(&metered.subaccount_limits);
    Some(EntitlementSpec::Metered(own))
}

impl Right {
    fn new(
        feature: &Arc<Feature>,
        mut spec: EntitlementSpec,
        catalog: &Catalog,
        tracked: &[Arc<CounterSpec>],
    ) -> Self {
        let mut slots = Vec::new();
        let mut meter = None;
        if let (FeatureKind::Metered { meter: id, filter }, EntitlementSpec::Metered(metered)) =
            (&feature.kind, &mut spec)
        {
            meter = catalog.meters.get(id).cloned();
            metered.limits.retain(|limit| {
                let wanted = counter_of(id, filter, limit);
                let slot = tracked.iter().position(|spec| **spec == wanted);
                slots.extend(slot);
                slot.is_some()
            });
        }
        Self {
            unit: unit_of(&spec, catalog),
            feature: Arc::clone(feature),
            spec,
            meter,
            slots,
        }
    }

    /// Whether use of it is charged to a wallet.
    fn draws(&self) -> bool {
        match &self.spec {
            EntitlementSpec::Metered(metered) => {
                matches!(metered.charge, Some(Charge::Wallet { .. }))
            }
            EntitlementSpec::Boolean(_)
            | EntitlementSpec::Static(_)
            | EntitlementSpec::Allocation(_)
            | EntitlementSpec::Concurrency(_)
            | EntitlementSpec::Rate(_) => false,
        }
    }
}

/// Returns the unit of the wallet that a right draws on.
fn unit_of(spec: &EntitlementSpec, catalog: &Catalog) -> Option<CreditUnit> {
    let EntitlementSpec::Metered(metered) = spec else {
        return None;
    };
    match &metered.charge {
        Some(Charge::Wallet { credit_unit, .. }) => catalog.credit_units.get(credit_unit).cloned(),
        Some(Charge::Overage(_)) | None => None,
    }
}
