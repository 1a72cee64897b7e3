//! Wallets: their names, amounts and terms as they are asked for, and what they hold.

use super::{id, known, optional_id, or_empty, required, span, text, within};
use super::{to_duration, to_timestamp};
use crate::domain::id::{HoldId, check_id};
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{
    AMOUNT_MAX, AutoTopUp, Balance, Category, Grant, Hold, HoldState, Source, SpendCap, WalletKey,
};
use crate::domain::window::Window;
use crate::engine::{Error, HoldView, TopUpTerms, WalletName, WalletView};
use crate::grpc::pb;

/// Longest note or reference, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Least and most time that a hold made by a caller lives.
const HOLD_BOUNDS: (Span, Span) = (Span::from_secs(1), Span::from_days(7));
const HOLD_DEFAULT: Span = Span::from_minutes(15);
/// Least and most time from one top-up to the next.
const COOL_DOWN_BOUNDS: (Span, Span) = (Span::from_minutes(1), Span::from_days(35));
const COOL_DOWN_DEFAULT: Span = Span::from_hours(1);

/// Reads which wallet is meant, or who spends from it.
pub(in crate::grpc) fn name(
    field: &str,
    given: Option<pb::WalletName>,
) -> Result<WalletName, Error> {
    let given = required(field, given)?;
    let read = || {
        Ok(WalletName {
            customer: id("customer_id", given.customer_id)?,
            subaccount: optional_id("subaccount_id", given.subaccount_id)?,
            unit: unit(given.credit_unit)?,
        })
    };
    read().map_err(|wrong| within(field, wrong))
}

/// Reads a credit unit. Whether there is one is for the engine to say.
pub(in crate::grpc) fn unit(given: String) -> Result<Box<str>, Error> {
    check_id(&given).map_err(|wrong| Error::invalid("credit_unit", wrong.to_string()))?;
    Ok(given.into())
}

/// Reads an amount that must move something.
pub(in crate::grpc) fn amount(field: &str, given: i64) -> Result<i64, Error> {
    amount_from(field, given, 1)
}

/// Reads an amount of `least` to 10^15 micro-units.
pub(in crate::grpc) fn amount_from(field: &str, given: i64, least: i64) -> Result<i64, Error> {
    if (least..=AMOUNT_MAX).contains(&given) {
        return Ok(given);
    }
    let rule = format!("must be {least} to {AMOUNT_MAX} micro-units");
    Err(Error::invalid(field, rule))
}

/// Reads why, for people.
pub(in crate::grpc) fn note(given: String) -> Result<Box<str>, Error> {
    text("note", given, TEXT_BYTES_MAX)
}

/// Reads what names a payment, or a reason, at its source.
pub(in crate::grpc) fn reference(given: String) -> Result<Box<str>, Error> {
    text("reference", given, TEXT_BYTES_MAX)
}

/// Reads how long a hold lives.
pub(in crate::grpc) fn hold_ttl(given: Option<prost_types::Duration>) -> Result<Span, Error> {
    span("ttl", given, HOLD_DEFAULT, HOLD_BOUNDS)
}

/// Reads whether money stands behind credits.
pub(in crate::grpc) fn category(given: i32) -> Result<Category, Error> {
    Ok(match known("category", given)? {
        pb::CreditCategory::Paid => Category::Paid,
        pb::CreditCategory::Unspecified | pb::CreditCategory::Promotional => Category::Promotional,
    })
}

/// Reads where credits come from; from another wallet they come by a transfer only.
pub(in crate::grpc) fn source(given: i32) -> Result<Source, Error> {
    Ok(match known("source", given)? {
        pb::CreditSource::Stripe => Source::Stripe,
        pb::CreditSource::X402 => Source::X402,
        pb::CreditSource::Promotion => Source::Promotion,
        pb::CreditSource::Unspecified | pb::CreditSource::Manual => Source::Manual,
        pb::CreditSource::Transfer => {
            let rule = "is given by the server; use TransferCredits";
            return Err(Error::invalid("source", rule));
        }
    })
}

/// Reads the window of a spend cap.
pub(in crate::grpc) fn cap_window(given: &str) -> Result<Window, Error> {
    match fixed_window(given, Window::Day) {
        Some(window) => Ok(window),
        None => Err(Error::invalid(
            "window",
            "must be hour, day, week, month, billing_period or lifetime",
        )),
    }
}

/// Reads how top-ups work.
pub(in crate::grpc) fn top_up(given: &pb::AutoTopUpTerms) -> Result<TopUpTerms, Error> {
    read_top_up(given).map_err(|wrong| within("terms", wrong))
}

fn read_top_up(given: &pb::AutoTopUpTerms) -> Result<TopUpTerms, Error> {
    let threshold = amount("threshold_micros", given.threshold_micros)?;
    let asked = amount("amount_micros", given.amount_micros)?;
    let cap = amount("window_cap_micros", given.window_cap_micros)?;
    if cap < asked {
        let rule = "must be at least amount_micros";
        return Err(Error::invalid("window_cap_micros", rule));
    }
    let window = fixed_window(&given.window, Window::Month);
    let window = window
        .filter(|window| *window != Window::Lifetime)
        .ok_or_else(|| {
            let rule = "must be hour, day, week, month or billing_period";
            Error::invalid("window", rule)
        })?;
    Ok(TopUpTerms {
        threshold,
        amount: asked,
        cap,
        window,
        cool_down: span(
            "cool_down",
            given.cool_down,
            COOL_DOWN_DEFAULT,
            COOL_DOWN_BOUNDS,
        )?,
    })
}

/// Reads a window that is not a rolling one.
fn fixed_window(given: &str, default: Window) -> Option<Window> {
    if given.is_empty() {
        return Some(default);
    }
    let window = given.parse().ok();
    window.filter(|window| !matches!(window, Window::Rolling(_)))
}

/// Writes which wallet of a customer it is.
pub(in crate::grpc) fn to_name(customer: impl Into<String>, key: WalletKey) -> pb::WalletName {
    pb::WalletName {
        customer_id: customer.into(),
        subaccount_id: or_empty(key.owner),
        credit_unit: key.unit.into(),
    }
}

/// Writes a wallet as it stands.
pub(in crate::grpc) fn wallet(customer: impl Into<String>, view: WalletView) -> pb::Wallet {
    let now = view.time;
    let holds = view.holds.into_iter();
    let top_up = view.terms.top_up.filter(|top_up| !top_up.state.is_unset);
    pb::Wallet {
        customer_id: customer.into(),
        spendable_micros: view.spendable,
        balance: Some(view.balance.into()),
        grants: view.grants.into_iter().map(pb::Grant::from).collect(),
        holds: holds
            .map(|(id, hold)| credit_hold(id, &view.key, hold, now))
            .collect(),
        spend_cap: view.terms.cap.map(|cap| spend_cap(&cap, now)),
        auto_top_up: top_up.map(|top_up| auto_top_up(top_up, now)),
        transaction_count: view.number,
        frozen_for: view
            .terms
            .frozen_for
            .into_iter()
            .map(String::from)
            .collect(),
        subaccount_id: or_empty(view.key.owner),
        credit_unit: view.key.unit.into(),
    }
}

/// Writes a hold as a call left it.
pub(in crate::grpc) fn held(view: HoldView) -> (pb::CreditHold, pb::CreditBalance) {
    // As it stood then: a repeat of the call gets the same answer.
    let then = view.hold.create_time;
    let hold = credit_hold(view.id, &view.wallet, view.hold, then);
    (hold, view.balance.into())
}

/// Writes a hold as it stands at `now`: one whose time is over has expired, whether or not the sweep has been there.
fn credit_hold(id: HoldId, key: &WalletKey, hold: Hold, now: Timestamp) -> pb::CreditHold {
    let rest = hold.held();
    let (state, left, end_time) = match hold.state {
        HoldState::Open if hold.expire_time <= now => {
            (HoldState::Expired, 0, Some(hold.expire_time))
        }
        state => (state, rest, hold.end_time),
    };
    pb::CreditHold {
        hold_id: id.into(),
        wallet_subaccount_id: or_empty(key.owner.clone()),
        credit_unit: key.unit.to_string(),
        spender_subaccount_id: or_empty(hold.spender),
        amount_micros: hold.amount,
        captured_micros: hold.captured,
        held_micros: left,
        state: pb::HoldState::from(state).into(),
        create_time: Some(to_timestamp(hold.create_time)),
        expire_time: (!hold.is_pool).then(|| to_timestamp(hold.expire_time)),
        end_time: end_time.map(to_timestamp),
        for_reservations: hold.is_pool,
    }
}

fn spend_cap(cap: &SpendCap, now: Timestamp) -> pb::SpendCap {
    let range = cap.range(now);
    let has_ends = cap.window != Window::Lifetime;
    pb::SpendCap {
        amount_micros: cap.amount,
        window: cap.window.to_string(),
        spent_micros: cap.spent(now),
        left_micros: cap.left(now),
        window_start: has_ends.then(|| to_timestamp(range.start)),
        window_end: has_ends.then(|| to_timestamp(range.end)),
    }
}

fn auto_top_up(top_up: AutoTopUp, now: Timestamp) -> pb::AutoTopUp {
    let is_off = top_up.is_off();
    let state = top_up.state;
    let waits = state.wait_until > now;
    pb::AutoTopUp {
        terms: Some(pb::AutoTopUpTerms {
            threshold_micros: top_up.threshold,
            amount_micros: top_up.amount,
            window_cap_micros: top_up.cap,
            window: top_up.window.to_string(),
            cool_down: Some(to_duration(top_up.cool_down)),
        }),
        crossing_count: state.crossing,
        pending: state.pending.is_some(),
        fire_time: state.fire_time.map(to_timestamp),
        wait_until: waits.then(|| to_timestamp(state.wait_until)),
        decline_count: i32::try_from(state.declines).unwrap_or(i32::MAX),
        last_error: state.last_error.into(),
        off: is_off,
        window_asked_micros: if state.range.contains(now) {
            state.asked
        } else {
            0
        },
    }
}

impl From<Balance> for pb::CreditBalance {
    fn from(balance: Balance) -> Self {
        Self {
            available_micros: balance.available,
            held_micros: balance.held,
            receivable_micros: balance.receivable,
        }
    }
}

impl From<Grant> for pb::Grant {
    fn from(grant: Grant) -> Self {
        Self {
            amount_micros: grant.amount,
            used_micros: grant.used,
            held_micros: grant.held,
            lapsed_micros: grant.lapsed,
            available_micros: grant.available(),
            returned_micros: grant.returned,
            priority: grant.priority,
            category: pb::CreditCategory::from(grant.category).into(),
            source: pb::CreditSource::from(grant.source).into(),
            create_time: Some(to_timestamp(grant.create_time)),
            expire_time: grant.expire_time.map(to_timestamp),
            grant_id: grant.id.into(),
            reference: grant.reference.into(),
        }
    }
}

impl From<Category> for pb::CreditCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::Paid => Self::Paid,
            Category::Promotional => Self::Promotional,
        }
    }
}

impl From<Source> for pb::CreditSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Stripe => Self::Stripe,
            Source::X402 => Self::X402,
            Source::Promotion => Self::Promotion,
            Source::Manual => Self::Manual,
            Source::Transfer => Self::Transfer,
        }
    }
}

impl From<HoldState> for pb::HoldState {
    fn from(state: HoldState) -> Self {
        match state {
            HoldState::Open => Self::Open,
            HoldState::Captured => Self::Captured,
            HoldState::Released => Self::Released,
            HoldState::Expired => Self::Expired,
        }
    }
}
