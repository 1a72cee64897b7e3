//! What answers say, in the model's words.

use bursar::domain::id::GrantId;
use bursar::domain::wallet::{HoldState, Refusal};
use bursar::engine::{Error, RecordOutcome};

use super::super::backends::Backend;
use super::model::Model;
use super::purse::{Ended, Why};
use super::system::System;
use super::usage::Fate;

impl<B: Backend> System<B> {
    /// Gives numbers to grants that came, the parts of a transfer in their order.
    pub fn name_grants(&mut self, who: usize, model: &Model) {
        if self.named[who].grants.len() == model.customers[who].vault.piles.len() {
            return;
        }
        let known = &self.named[who].grants;
        let views = self.views(who);
        let grants = views.iter().flat_map(|view| &view.grants);
        let mut new: Vec<GrantId> = grants
            .map(|grant| grant.id.clone())
            .filter(|id| !known.contains(id))
            .collect();
        new.sort_by_key(|id| {
            let leg = id.as_str().rsplit_once('.');
            leg.map_or(0, |(_, leg)| leg.parse::<u32>().unwrap_or(0))
        });
        self.named[who].grants.extend(new);
        let named = self.named[who].grants.len();
        assert_eq!(
            named,
            model.customers[who].vault.piles.len(),
            "as many grants as were made"
        );
    }

    /// Says why wallets refuse.
    pub fn why(&self, who: usize, refusal: &Refusal) -> Why {
        let grants = &self.named[who].grants;
        match *refusal {
            Refusal::InsufficientCredits { needed, available } => {
                Why::Insufficient { needed, available }
            }
            Refusal::CapReached {
                needed, cap, left, ..
            } => Why::Cap { needed, cap, left },
            Refusal::BlockedByReceivable { owed } => Why::Blocked { owed },
            Refusal::GrantExpired { .. } => Why::GrantExpired,
            Refusal::PaymentGranted { ref grant, .. } => Why::PaidBefore {
                grant: grants.iter().position(|id| id == grant).unwrap(),
            },
            Refusal::ClawbackTooLarge { amount, left } => Why::ClawbackTooLarge { amount, left },
            Refusal::GrantTransferred { ref origin, .. } => Why::Transferred {
                origin: grants
                    .iter()
                    .position(|id| id.as_str() == &**origin)
                    .unwrap(),
            },
            Refusal::HoldResolved { state, captured } => {
                let state = match state {
                    HoldState::Captured => Ended::Captured,
                    HoldState::Released => Ended::Released,
                    HoldState::Expired => Ended::Expired,
                    HoldState::Open => panic!("an open hold is not resolved"),
                };
                Why::HoldResolved { state, captured }
            }
            Refusal::CaptureTooLarge { amount, held } => Why::CaptureTooLarge { amount, held },
            Refusal::AmountOutOfRange => Why::OutOfRange,
            Refusal::WalletsDoNotMatch => Why::OneWallet,
            ref refusal => panic!("{refusal}"),
        }
    }
}

/// Says what became of an event.
pub fn fate(outcome: &RecordOutcome) -> Fate {
    match outcome {
        RecordOutcome::Recorded(_) => Fate::Recorded,
        RecordOutcome::Duplicate(_) => Fate::Duplicate,
        RecordOutcome::Rejected(Error::EventIdReused { .. }) => Fate::Reused,
        RecordOutcome::Rejected(error) => panic!("{error}"),
    }
}
