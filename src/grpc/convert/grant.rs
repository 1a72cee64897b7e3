//! What a plan or an override grants.

use super::{at, known, required, span, within};
use crate::domain::catalog::{
    EntitlementSpec, FeatureKind, Limit, MeteredSpec, Mode, OnLimit, RateSpec,
};
use crate::domain::customer::Override;
use crate::domain::id::CustomerId;
use crate::domain::time::Span;
use crate::domain::window::{ROLLING_MAX, ROLLING_MIN, Window};
use crate::engine::Error;
use crate::grpc::pb;
use crate::grpc::pb::entitlement_value::Value;

/// Reads a value. Whether it fits its feature is for the engine to say.
pub(in crate::grpc) fn grant(
    value: Option<pb::EntitlementValue>,
) -> Result<EntitlementSpec, Error> {
    let value = required("value", value.and_then(|value| value.value))?;
    let spec = match value {
        Value::Boolean(granted) => Ok(EntitlementSpec::Boolean(granted)),
        Value::StaticValue(text) => Ok(EntitlementSpec::Static(text.into())),
        Value::Metered(metered) => read_metered(metered)
            .map(EntitlementSpec::Metered)
            .map_err(|wrong| within("metered", wrong)),
        Value::Allocation(capacity) => Ok(EntitlementSpec::Allocation(capacity.amount)),
        Value::Concurrency(capacity) => Ok(EntitlementSpec::Concurrency(capacity.amount)),
        Value::Rate(rate) => read_rate(&rate)
            .map(EntitlementSpec::Rate)
            .map_err(|wrong| within("rate", wrong)),
    };
    spec.map_err(|wrong| within("value", wrong))
}

fn read_metered(metered: pb::MeteredValue) -> Result<MeteredSpec, Error> {
    let rate = metered.rate.as_ref().map(read_rate).transpose();
    Ok(MeteredSpec {
        limits: read_limits("limits", metered.limits)?,
        subaccount_limits: read_limits("subaccount_limits", metered.subaccount_limits)?,
        concurrency: metered.concurrency,
        rate: rate.map_err(|wrong| within("rate", wrong))?,
        charge: None,
    })
}

fn read_limits(field: &str, limits: Vec<pb::Limit>) -> Result<Vec<Limit>, Error> {
    let limits = limits.into_iter().enumerate();
    limits
        .map(|(index, limit)| read_limit(limit).map_err(|wrong| at(field, index, wrong)))
        .collect()
}

fn read_limit(limit: pb::Limit) -> Result<Limit, Error> {
    let window = required("window", limit.window)?;
    let on_limit = match known::<pb::OnLimit>("on_limit", limit.on_limit)? {
        pb::OnLimit::Unspecified | pb::OnLimit::Block => OnLimit::Block,
        pb::OnLimit::AllowUpTo => OnLimit::AllowUpTo(limit.buffer),
        pb::OnLimit::Allow => OnLimit::Allow,
    };
    if limit.buffer != 0 && !matches!(on_limit, OnLimit::AllowUpTo(_)) {
        return Err(Error::invalid("buffer", "is for ON_LIMIT_ALLOW_UP_TO only"));
    }
    let mode = match known::<pb::LimitMode>("mode", limit.mode)? {
        pb::LimitMode::Unspecified | pb::LimitMode::Enforce => Mode::Enforce,
        pb::LimitMode::Observe => Mode::Observe,
    };
    Ok(Limit {
        amount: limit.amount,
        window: read_window(&window).map_err(|wrong| within("window", wrong))?,
        on_limit,
        mode,
    })
}

fn read_window(window: &pb::Window) -> Result<Window, Error> {
    let kind = known::<pb::WindowKind>("kind", window.kind)?;
    if window.length.is_some() && kind != pb::WindowKind::Rolling {
        return Err(Error::invalid("length", "is for WINDOW_KIND_ROLLING only"));
    }
    match kind {
        pb::WindowKind::Unspecified => Err(Error::invalid("kind", "must be given")),
        pb::WindowKind::Hour => Ok(Window::Hour),
        pb::WindowKind::Day => Ok(Window::Day),
        pb::WindowKind::Week => Ok(Window::Week),
        pb::WindowKind::Month => Ok(Window::Month),
        pb::WindowKind::BillingPeriod => Ok(Window::BillingPeriod),
        pb::WindowKind::Lifetime => Ok(Window::Lifetime),
        pb::WindowKind::Rolling => {
            let length = Some(required("length", window.length)?);
            let bounds = (ROLLING_MIN, ROLLING_MAX);
            span("length", length, Span::ZERO, bounds).map(Window::Rolling)
        }
    }
}

fn read_rate(rate: &pb::RateLimit) -> Result<RateSpec, Error> {
    let calls = |field: &str, calls: i64| {
        u32::try_from(calls).map_err(|_| Error::invalid(field, "must be 1 to 1000000"))
    };
    let amount = calls("amount", rate.amount)?;
    let per = Some(required("per", rate.per)?);
    let bounds = (Span::from_secs(1), Span::from_minutes(1));
    Ok(RateSpec {
        amount,
        per: span("per", per, Span::ZERO, bounds)?,
        burst: match calls("burst", rate.burst)? {
            0 => amount,
            burst => burst,
        },
    })
}

impl From<&EntitlementSpec> for pb::EntitlementValue {
    fn from(spec: &EntitlementSpec) -> Self {
        let capacity = |amount: Option<i64>| pb::Capacity { amount };
        let value = match spec {
            EntitlementSpec::Boolean(granted) => Value::Boolean(*granted),
            EntitlementSpec::Static(text) => Value::StaticValue(text.to_string()),
            EntitlementSpec::Metered(metered) => Value::Metered(pb::MeteredValue {
                limits: metered.limits.iter().map(pb::Limit::from).collect(),
                subaccount_limits: metered
                    .subaccount_limits
                    .iter()
                    .map(pb::Limit::from)
                    .collect(),
                concurrency: metered.concurrency,
                rate: metered.rate.map(pb::RateLimit::from),
            }),
            EntitlementSpec::Allocation(amount) => Value::Allocation(capacity(*amount)),
            EntitlementSpec::Concurrency(amount) => Value::Concurrency(capacity(*amount)),
            EntitlementSpec::Rate(rate) => Value::Rate((*rate).into()),
        };
        Self { value: Some(value) }
    }
}

impl From<RateSpec> for pb::RateLimit {
    fn from(rate: RateSpec) -> Self {
        Self {
            amount: rate.amount.into(),
            per: Some(super::to_duration(rate.per)),
            burst: rate.burst.into(),
        }
    }
}

impl From<&FeatureKind> for pb::FeatureKind {
    fn from(kind: &FeatureKind) -> Self {
        match kind {
            FeatureKind::Boolean => Self::Boolean,
            FeatureKind::Static => Self::Static,
            FeatureKind::Metered { .. } => Self::Metered,
            FeatureKind::Allocation => Self::Allocation,
            FeatureKind::Concurrency => Self::Concurrency,
            FeatureKind::Rate => Self::Rate,
        }
    }
}

/// Writes an override of a customer.
pub(in crate::grpc) fn granted(set: Override, customer: &CustomerId) -> pb::Override {
    pb::Override {
        customer_id: customer.to_string(),
        subaccount_id: super::or_empty(set.subaccount),
        feature_id: set.feature.into(),
        value: Some((&set.spec).into()),
        expire_time: set.expire_time.map(super::to_timestamp),
        reason: set.note.into(),
        update_time: Some(super::to_timestamp(set.create_time)),
    }
}
