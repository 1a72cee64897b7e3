//! The pools of credits that open reservations have pledged: one for each feature and wallet, filled and emptied as what
//! is pledged changes, and its price.

use super::credit::{Drawing, Pledged, pool_id};
use super::draw::too_dear;
use super::{Account, ItemExcess};
use crate::domain::id::{FeatureId, ReservationId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{Pledge, Reservation};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{About, WalletKey};

impl Account {
    /// Puts what items pledge into their pools, and notes it with them.
    ///
    /// # Errors
    /// When a wallet does not cover it after all; the caller looked before.
    pub(super) fn pledge(
        &mut self,
        reservation: &mut Reservation,
        pledged: &[Option<Pledged>],
        now: Timestamp,
    ) -> Result<(), ItemExcess> {
        let spender = reservation.subaccount.clone();
        let items = reservation.items.iter_mut().zip(pledged).enumerate();
        for (place, (item, pledged)) in items {
            let Some(pledged) = pledged else {
                continue;
            };
            self.pledges
                .shift(&pledged.feature, &pledged.wallet, pledged.quantity);
            item.pledge = Some(Pledge {
                wallet: pledged.wallet.clone(),
                counted: pledged.cost,
            });
            let caps = (spender.as_ref(), &pledged.wallet);
            self.book.count_caps(caps, pledged.cost, now);
            let about = About {
                reservation: Some(reservation.id.clone()),
                ..About::default()
            };
            if !self.raise_pool(pledged, about, now) {
                let excess = too_dear(Some(pledged.extra));
                return Err(ItemExcess {
                    item: place,
                    excess,
                });
            }
            // What others pledged may now come after this.
            self.fill_pools(&pledged.feature, Some(&pledged.wallet), now);
        }
        Ok(())
    }

    /// Raises a pool by what it lacks for one item; false when the wallet does not cover that. What it lacks for earlier
    /// ones, whose use came to be charged for since, is not this item's to bring.
    fn raise_pool(&mut self, pledged: &Pledged, about: About, now: Timestamp) -> bool {
        if pledged.extra == 0 {
            return true;
        }
        let right = self.rights.get(pledged.feature.as_str());
        let owed_max = right
            .and_then(Drawing::of)
            .map_or(0, |terms| terms.owed_max());
        let Some(id) = pool_id(&pledged.feature) else {
            return false;
        };
        let wallet = self.book.wallet_mut(&pledged.wallet);
        let Ok(done) = wallet.raise_pool(&id, pledged.extra, owed_max, now) else {
            return false;
        };
        self.book.post(&pledged.wallet, done, about, now);
        true
    }

    /// Returns what a pool lacks for what is pledged, below zero what it has too much; and how much may be owed.
    fn lacks(&self, feature: &FeatureId, key: &WalletKey, now: Timestamp) -> (i64, i64) {
        let right = self.rights.get(feature.as_str());
        let terms = right.and_then(Drawing::of);
        let pledged = (
            self.pledged_by_others(feature, key),
            self.pledges.quantity(feature, key),
        );
        // What was pledged in another unit, or before the feature ceased to draw, has no price here: what was set aside
        // for it stays until it ends.
        let terms = terms.filter(|terms| *terms.unit == *key.unit);
        let target = match &terms {
            Some(terms) => self.cost(terms, pledged, now),
            None if pledged.1 == Milli::ZERO => 0,
            None => self.pool(feature, key),
        };
        let owed_max = terms.map_or(0, |terms| terms.owed_max());
        (target.saturating_sub(self.pool(feature, key)), owed_max)
    }

    /// Raises the pools of a feature, save one: use has moved where the price of what is pledged begins, whoever pays.
    pub(super) fn fill_pools(
        &mut self,
        feature: &FeatureId,
        except: Option<&WalletKey>,
        now: Timestamp,
    ) {
        for wallet in self.pledging(feature) {
            if except != Some(&wallet) {
                self.fill_pool(feature, &wallet, now);
            }
        }
    }

    /// Returns the wallets in which open reservations have pledged use of a feature.
    fn pledging(&self, feature: &FeatureId) -> Vec<WalletKey> {
        let of = self.pledges.wallets(feature);
        of.map(|(wallet, _)| wallet.clone()).collect()
    }

    /// Raises a pool as far as the wallet covers what it lacks: other use has brought pledged use beyond what is
    /// included.
    fn fill_pool(&mut self, feature: &FeatureId, key: &WalletKey, now: Timestamp) {
        if self.pledges.quantity(feature, key) == Milli::ZERO {
            return;
        }
        let (lacks, owed_max) = self.lacks(feature, key, now);
        let wallet = self.book.wallet(key);
        let spendable = wallet.map_or(0, |wallet| wallet.available(now));
        let more = lacks.min(spendable);
        if more > 0
            && let Some(id) = pool_id(feature)
            && let Ok(done) = self
                .book
                .wallet_mut(key)
                .raise_pool(&id, more, owed_max, now)
        {
            self.book.post(key, done, About::default(), now);
        }
    }

    /// Gives back what a reservation pledged that has ended, save what others need.
    pub(super) fn unpledge(&mut self, reservation: &mut Reservation, now: Timestamp) {
        for item in &mut reservation.items {
            let left = item.hold.reserved();
            let Some(pledge) = &mut item.pledge else {
                continue;
            };
            let (feature, key) = (item.feature.clone(), pledge.wallet.clone());
            let counted = std::mem::take(&mut pledge.counted);
            self.pledges
                .shift(&feature, &key, Milli(left.0.saturating_neg()));
            let caps = (reservation.subaccount.as_ref(), &key);
            self.book
                .give_back_caps(caps, counted, reservation.reserve_time);
            let mut wallets = self.pledging(&feature);
            if !wallets.contains(&key) {
                wallets.push(key);
            }
            for wallet in &wallets {
                self.lower_pool(&feature, wallet, &reservation.id, now);
            }
        }
    }

    /// Gives back what a pool has beyond what is pledged, once a reservation has ended.
    fn lower_pool(
        &mut self,
        feature: &FeatureId,
        key: &WalletKey,
        ended: &ReservationId,
        now: Timestamp,
    ) {
        let (lacks, _) = self.lacks(feature, key, now);
        let Some(id) = pool_id(feature).filter(|_| lacks < 0) else {
            return;
        };
        let target = self.pool(feature, key).saturating_add(lacks);
        let done = self.book.wallet_mut(key).lower_pool(&id, target, now);
        let about = About {
            reservation: Some(ended.clone()),
            ..About::default()
        };
        self.book.post(key, done, about, now);
    }
}
