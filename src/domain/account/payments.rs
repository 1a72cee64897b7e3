//! What payments do to the wallets of a customer: credits come once, go with the money behind them, and rest while a payment
//! is disputed.

use super::Account;
use crate::domain::billing::{Payment, Purpose, Settlement};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{About, Category, Grant, NewGrant, Refusal, Source, Wallet, WalletKey};

impl Account {
    /// Does what is still to be done about a payment as it stands now. `fresh` names the grant, if there is to be one. What
    /// cannot be done is noted, and tried again the next time.
    pub fn settle_payment(
        &mut self,
        payment: &Payment,
        settlement: &mut Settlement,
        (fresh, freezes): (&GrantId, bool),
        now: Timestamp,
    ) {
        let brought = self.bring_credits(payment, settlement, fresh, now);
        let done = brought.and_then(|()| self.level_credits(payment, settlement, fresh, now));
        settlement.fault = done.err().map(|refusal| refusal.to_string().into());
        if freezes {
            self.freeze_for(payment, settlement);
        }
    }

    /// Brings the credits that were paid for, unless they came before, however they did.
    fn bring_credits(
        &mut self,
        payment: &Payment,
        settlement: &mut Settlement,
        fresh: &GrantId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some((wallet, micros)) = payment.brings().filter(|_| settlement.grant.is_none()) else {
            return Ok(());
        };
        let before = self.grant_of(&payment.id);
        if before.is_some() {
            settlement.grant = before;
            return Ok(());
        }
        let new = NewGrant {
            id: fresh.clone(),
            amount: micros,
            priority: 0,
            category: Category::Paid,
            source: Source::Stripe,
            reference: payment.id.clone(),
            expire_time: None,
        };
        let key = self.place_of(wallet);
        let grant = self.book.grant(&key, new, about(payment), now)?;
        settlement.grant = Some(grant);
        Ok(())
    }

    /// Returns the grant that a payment brought, whoever booked it.
    fn grant_of(&self, payment: &str) -> Option<GrantId> {
        let mut grants = self.book.wallets().flat_map(Wallet::grants);
        let is_its =
            |grant: &&Grant| grant.source == Source::Stripe && *grant.reference == *payment;
        grants.find(is_its).map(|grant| grant.id.clone())
    }

    /// Takes credits back as far as the money behind them is gone, and returns what was taken for money that stayed after all.
    fn level_credits(
        &mut self,
        payment: &Payment,
        settlement: &mut Settlement,
        fresh: &GrantId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (Some(grant), lost) = (settlement.grant.clone(), payment.lost_credits()) else {
            return Ok(());
        };
        if lost > settlement.taken_back {
            let part = lost - settlement.taken_back;
            self.book.claw_back(&grant, part, about(payment), now)?;
        } else if lost < settlement.taken_back {
            let Some((wallet, _)) = payment.brings() else {
                return Ok(());
            };
            let new = NewGrant {
                id: fresh.clone(),
                amount: settlement.taken_back - lost,
                priority: 0,
                category: Category::Paid,
                source: Source::Stripe,
                reference: format!("{} returned {}", payment.id, settlement.returns + 1).into(),
                expire_time: None,
            };
            let key = self.place_of(wallet);
            self.book.grant(&key, new, about(payment), now)?;
            settlement.returns += 1;
        }
        settlement.taken_back = lost;
        Ok(())
    }

    /// Lets the wallet rest that a disputed payment brought credits to, until the bank has decided.
    fn freeze_for(&mut self, payment: &Payment, settlement: &mut Settlement) {
        let Purpose::Credits { wallet, .. } = &payment.purpose else {
            return;
        };
        let key = self.place_of(wallet);
        let open: Vec<Box<str>> = payment.open_disputes().map(|one| one.id.clone()).collect();
        let over = settlement.frozen_for.iter();
        let over: Vec<Box<str>> = over.filter(|id| !open.contains(id)).cloned().collect();
        for (ids, is_open) in [(&over, false), (&open, true)] {
            for id in ids {
                self.book.wallet_mut(&key).freeze(id, is_open);
            }
        }
        settlement.frozen_for = open;
    }

    /// Returns the wallet that credits come to: that of the subaccount, or the customer's own when there is none any more.
    fn place_of(&self, wallet: &WalletKey) -> WalletKey {
        let is_there = |id| self.live_subaccount(id).is_some();
        if wallet.owner.as_ref().is_none_or(is_there) {
            wallet.clone()
        } else {
            WalletKey::own(wallet.unit.clone())
        }
    }
}

fn about(payment: &Payment) -> About {
    About {
        note: format!("payment {}", payment.id).into(),
        ..About::default()
    }
}
