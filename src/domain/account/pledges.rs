//! What open reservations may come to draw on wallets.

use std::collections::BTreeMap;

use crate::domain::id::FeatureId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::Reservation;
use crate::domain::wallet::WalletKey;

/// Weighted quantities above zero, by feature and wallet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pledges(BTreeMap<FeatureId, BTreeMap<WalletKey, Milli>>);

impl Pledges {
    /// Adds up what open reservations have pledged.
    pub(super) fn of<'a>(reservations: impl Iterator<Item = &'a Reservation>) -> Self {
        let mut pledges = Self::default();
        for item in reservations.flat_map(|held| &held.items) {
            if let Some(pledge) = &item.pledge {
                pledges.shift(&item.feature, &pledge.wallet, item.hold.reserved());
            }
        }
        pledges
    }

    /// Adds to what is pledged, or takes from it.
    pub(super) fn shift(&mut self, feature: &FeatureId, wallet: &WalletKey, by: Milli) {
        let pledged = self.quantity(feature, wallet).plus_saturating(by);
        if pledged > Milli::ZERO {
            let of = self.0.entry(feature.clone()).or_default();
            of.insert(wallet.clone(), pledged);
        } else if let Some(of) = self.0.get_mut(feature) {
            of.remove(wallet);
            if of.is_empty() {
                self.0.remove(feature);
            }
        }
    }

    /// Returns what is pledged of a feature in a wallet.
    pub(super) fn quantity(&self, feature: &FeatureId, wallet: &WalletKey) -> Milli {
        let of = self.0.get(feature);
        of.and_then(|of| of.get(wallet))
            .copied()
            .unwrap_or_default()
    }

    /// Returns what is pledged of a feature, by wallet.
    pub(super) fn wallets(&self, feature: &FeatureId) -> impl Iterator<Item = (&WalletKey, Milli)> {
        let of = self.0.get(feature).into_iter().flatten();
        of.map(|(wallet, quantity)| (wallet, *quantity))
    }

    /// Returns all that is pledged.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&FeatureId, &WalletKey, Milli)> {
        let of_all = self.0.iter();
        of_all.flat_map(|(feature, of)| of.iter().map(move |(key, sum)| (feature, key, *sum)))
    }
}
