//! What an override may grant: the rules of a catalog's entitlements, for values that come without a file.

use super::limit::{AMOUNT_MAX, LIMITS_MAX, RATE_MAX};
use super::{EntitlementSpec, FeatureKind, Limit, Meter, MeteredSpec, OnLimit, RateSpec};
use crate::domain::time::Span;
use crate::domain::usage::LABEL_BYTES_MAX;
use crate::domain::window::{ROLLING_MAX, ROLLING_MIN, Window};

/// Whom a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grantee {
    /// The customer as a whole.
    Customer,
    /// One subaccount, which a grant can only narrow.
    Subaccount,
}

/// Why a value cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantFault {
    /// It is of another kind than the feature; the kind, or kinds, that would fit.
    Kind(&'static str),
    /// A part of it breaks a rule.
    Rule {
        /// Where, such as `metered.limits[1].amount`.
        field: String,
        /// What is wrong.
        rule: String,
    },
}

impl GrantFault {
    fn rule(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Rule {
            field: field.into(),
            rule: rule.into(),
        }
    }
}

impl EntitlementSpec {
    /// Checks that a value may be granted for a feature of this kind; `meter` is the one that it limits.
    ///
    /// # Errors
    /// When it is of another kind, or breaks a rule that entitlements in a catalog obey.
    pub fn check_grant(
        &self,
        kind: &FeatureKind,
        meter: Option<&Meter>,
        to: Grantee,
    ) -> Result<(), GrantFault> {
        match (kind, self) {
            (FeatureKind::Boolean, Self::Boolean(_)) => Ok(()),
            (FeatureKind::Metered { .. }, Self::Metered(metered)) => {
                check_metered(metered, meter, to)
            }
            (FeatureKind::Allocation, Self::Allocation(amount)) => {
                check_amount("allocation.amount", *amount)
            }
            (FeatureKind::Concurrency, Self::Concurrency(amount)) => {
                check_amount("concurrency.amount", *amount)
            }
            (FeatureKind::Static | FeatureKind::Rate, _) if to == Grantee::Subaccount => Err(
                GrantFault::Kind("boolean, metered, allocation or concurrency"),
            ),
            (FeatureKind::Static, Self::Static(value)) => check_label("static_value", value),
            (FeatureKind::Rate, Self::Rate(rate)) => check_rate("rate", rate),
            (
                FeatureKind::Boolean
                | FeatureKind::Static
                | FeatureKind::Metered { .. }
                | FeatureKind::Allocation
                | FeatureKind::Concurrency
                | FeatureKind::Rate,
                Self::Boolean(_)
                | Self::Static(_)
                | Self::Metered(_)
                | Self::Allocation(_)
                | Self::Concurrency(_)
                | Self::Rate(_),
            ) => Err(GrantFault::Kind(self.kind_str())),
        }
    }

    /// Returns the kind of feature that the value is for, as catalogs write it.
    #[must_use]
    pub const fn kind_str(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "boolean",
            Self::Static(_) => "static",
            Self::Metered(_) => "metered",
            Self::Allocation(_) => "allocation",
            Self::Concurrency(_) => "concurrency",
            Self::Rate(_) => "rate",
        }
    }
}

fn check_label(field: &str, text: &str) -> Result<(), GrantFault> {
    if text.is_empty() || text.len() > LABEL_BYTES_MAX || text.chars().any(char::is_control) {
        let rule = format!("must be 1 to {LABEL_BYTES_MAX} bytes without control characters");
        return Err(GrantFault::rule(field, rule));
    }
    Ok(())
}

fn check_amount(field: &str, amount: Option<i64>) -> Result<(), GrantFault> {
    if amount.is_some_and(|amount| !(0..=AMOUNT_MAX).contains(&amount)) {
        return Err(GrantFault::rule(
            field,
            format!("must be 0 to {AMOUNT_MAX}"),
        ));
    }
    Ok(())
}

fn check_rate(field: &str, rate: &RateSpec) -> Result<(), GrantFault> {
    let in_range = |calls: u32| (1..=RATE_MAX).contains(&i64::from(calls));
    if !in_range(rate.amount) || !in_range(rate.burst) {
        let rule = format!("must be 1 to {RATE_MAX} calls, at once likewise");
        return Err(GrantFault::rule(field, rule));
    }
    if rate.per != Span::from_secs(1) && rate.per != Span::from_minutes(1) {
        let field = format!("{field}.per");
        return Err(GrantFault::rule(field, "must be one second or one minute"));
    }
    Ok(())
}

fn check_metered(spec: &MeteredSpec, meter: Option<&Meter>, to: Grantee) -> Result<(), GrantFault> {
    let additive = meter.is_some_and(|meter| meter.aggregation.is_additive());
    check_limits("metered.limits", &spec.limits, additive)?;
    check_limits(
        "metered.subaccount_limits",
        &spec.subaccount_limits,
        additive,
    )?;
    check_amount("metered.concurrency", spec.concurrency)?;
    if let Some(rate) = &spec.rate {
        check_rate("metered.rate", rate)?;
    }
    if to == Grantee::Subaccount {
        let given = [
            ("subaccount_limits", !spec.subaccount_limits.is_empty()),
            ("concurrency", spec.concurrency.is_some()),
            ("rate", spec.rate.is_some()),
        ];
        if let Some((field, _)) = given.into_iter().find(|field| field.1) {
            let rule = "must be absent in an override of a subaccount";
            return Err(GrantFault::rule(format!("metered.{field}"), rule));
        }
    }
    Ok(())
}

fn check_limits(field: &str, limits: &[Limit], additive: bool) -> Result<(), GrantFault> {
    if limits.len() > LIMITS_MAX {
        let rule = format!("must be at most {LIMITS_MAX} limits");
        return Err(GrantFault::rule(field, rule));
    }
    if !limits.is_empty() && !additive {
        let rule = "must be empty: the meter is neither a sum nor a count";
        return Err(GrantFault::rule(field, rule));
    }
    for (index, limit) in limits.iter().enumerate() {
        let at = |part: &str| format!("{field}[{index}].{part}");
        check_amount(&at("amount"), limit.amount)?;
        if let OnLimit::AllowUpTo(buffer) = limit.on_limit
            && !(1..=AMOUNT_MAX).contains(&buffer)
        {
            let rule = format!("must be 1 to {AMOUNT_MAX}");
            return Err(GrantFault::rule(at("buffer"), rule));
        }
        if let Window::Rolling(length) = limit.window
            && (!(ROLLING_MIN..=ROLLING_MAX).contains(&length)
                || length.as_micros() % Span::from_minutes(1).as_micros() != 0)
        {
            let rule = "must be one minute to 35 days, in whole minutes";
            return Err(GrantFault::rule(at("window.length"), rule));
        }
        if limits[..index]
            .iter()
            .any(|other| other.window == limit.window)
        {
            let rule = "must be another window than those before: there is one limit per window";
            return Err(GrantFault::rule(at("window"), rule));
        }
    }
    Ok(())
}
