//! Checking several features as one request: each is decided as if those before it were granted.

use super::Engine;
use super::cell::Cell;
use super::check::{CheckAsk, CheckMode};
use super::error::Error;
use super::reserve::{rate_tokens, take, too_large};
use crate::domain::account::{Account, Ask, Effects, ReserveAsk, ReserveItem};
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{ReservationId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;

impl Engine {
    /// Decides by reserving on a copy, with the function that reserves in earnest. Rate tokens are taken only when
    /// all is allowed.
    pub(super) fn check_together(
        &self,
        cell: &Cell,
        subaccount: Option<&SubaccountId>,
        asks: &[CheckAsk],
        mode: CheckMode,
    ) -> Result<Vec<Decision>, Error> {
        let now = self.now();
        let outage = self.shared.outage.since();
        let trial = trial(subaccount, asks, now)?;
        let mut inner = cell.lock();
        self.shared.refresh_rights(&mut inner, now);
        let seen = inner.look(now, |account| {
            let decided = account
                .clone()
                .reserve(&trial, now, &mut Effects::default())
                .map_err(|wrong| too_large(&trial, wrong))?;
            let decided = asks.iter().zip(decided.decisions).map(|(ask, decision)| {
                let ask = question(ask, subaccount, mode.verbose);
                let rate = account.rate_of(ask.feature);
                let tokens = rate_tokens(account, ask.feature, ask.quantity);
                let mut decision = self.finish(account, &ask, decision, outage);
                list_limits(account, &ask, &mut decision);
                (decision, rate.map(|rate| (rate, tokens)))
            });
            Ok::<Vec<_>, Error>(decided.collect())
        });
        let Some(seen) = seen else {
            return Ok(vec![
                Decision::denied(Reason::CustomerUnknown, now);
                asks.len()
            ]);
        };
        let mut seen = seen?;
        if !mode.dry_run && seen.iter().all(|(decision, _)| decision.allowed) {
            for (ask, (decision, rate)) in asks.iter().zip(&mut seen) {
                if let Some((rate, tokens)) = *rate {
                    let rates = &mut inner.rates;
                    let of = (&cell.id, &ask.feature);
                    take(rates, of, rate, tokens, &self.shared, decision);
                }
            }
        }
        drop(inner);
        for (ask, (decision, _)) in asks.iter().zip(&seen) {
            self.shared.note_check(&cell.id, subaccount, ask, decision);
        }
        Ok(seen.into_iter().map(|(decision, _)| decision).collect())
    }
}

/// Returns what would be reserved. It is never stored, so its id is nobody's.
fn trial(
    subaccount: Option<&SubaccountId>,
    asks: &[CheckAsk],
    now: Timestamp,
) -> Result<ReserveAsk, Error> {
    let item = |ask: &CheckAsk| ReserveItem {
        feature: ask.feature.clone(),
        quantity: ask.quantity,
        min_quantity: ask.quantity,
        dimensions: ask.dimensions.clone(),
    };
    Ok(ReserveAsk {
        id: ReservationId::new("check").map_err(|_| Error::Internal)?,
        subaccount: subaccount.cloned(),
        holder: Box::default(),
        metadata: Labels::new(),
        expire_time: now,
        items: asks.iter().map(item).collect(),
    })
}

fn question<'a>(ask: &'a CheckAsk, subaccount: Option<&'a SubaccountId>, verbose: bool) -> Ask<'a> {
    Ask {
        feature: &ask.feature,
        quantity: ask.quantity,
        min_quantity: ask.quantity,
        subaccount,
        dimensions: &ask.dimensions,
        verbose,
    }
}

/// Lists the limits when they are asked for: reserving does not.
fn list_limits(account: &Account, ask: &Ask<'_>, decision: &mut Decision) {
    if ask.verbose {
        decision.limits = account.check(ask, decision.evaluate_time).limits;
    }
}
