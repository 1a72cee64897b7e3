//! The wallets of one customer and its subaccounts, the ledgers of each, and what usage drew on them.
//!
//! A subaccount spends from its own wallet once credits ever came to it, and from the customer's until then; a cap that it
//! has bounds both. What changed since the last look is kept until somebody writes it.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::draw::Draw;
use super::ledger::{About, Posted, Transaction};
use super::{Cover, NewHold};
use super::{Grant, Hold, HoldState, NewGrant, Refusal, Wallet, WalletHead, WalletKey};
use crate::domain::id::{FeatureId, GrantId, HoldId, SubaccountId};
use crate::domain::time::Timestamp;

/// The wallets of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    pub(super) wallets: BTreeMap<WalletKey, Wallet>,
    draws: BTreeMap<FeatureId, Draw>,
    pub(super) posted: Vec<Posted>,
}

/// What changed in a book and is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookChanges {
    /// Wallets that were made or changed.
    pub heads: Vec<WalletHead>,
    /// Grants that were made or changed.
    pub grants: Vec<(WalletKey, Grant)>,
    /// Holds that were made, changed or ended.
    pub holds: Vec<(WalletKey, HoldId, Hold)>,
    /// Transactions to append to ledgers.
    pub posted: Vec<Posted>,
    /// What usage drew that was made or changed.
    pub draws: Vec<Draw>,
}

impl BookChanges {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
            && self.grants.is_empty()
            && self.holds.is_empty()
            && self.posted.is_empty()
            && self.draws.is_empty()
    }
}

impl WalletKey {
    /// Names the customer's own wallet of a unit.
    #[must_use]
    pub fn own(unit: impl Into<SmolStr>) -> Self {
        Self {
            owner: None,
            unit: unit.into(),
        }
    }

    /// Names the wallet of a unit of a subaccount, or of the customer.
    #[must_use]
    pub fn of(owner: Option<&SubaccountId>, unit: &str) -> Self {
        Self {
            owner: owner.cloned(),
            unit: unit.into(),
        }
    }
}

impl Book {
    /// Puts a book together from what is stored of it.
    #[must_use]
    pub fn restore(wallets: Vec<Wallet>, draws: Vec<Draw>) -> Self {
        Self {
            wallets: wallets
                .into_iter()
                .map(|wallet| (wallet.key().clone(), wallet))
                .collect(),
            draws: draws
                .into_iter()
                .map(|draw| (draw.feature.clone(), draw))
                .collect(),
            posted: Vec::new(),
        }
    }

    /// Returns the wallets.
    pub fn wallets(&self) -> impl Iterator<Item = &Wallet> {
        self.wallets.values()
    }

    /// Returns a wallet.
    #[must_use]
    pub fn wallet(&self, key: &WalletKey) -> Option<&Wallet> {
        self.wallets.get(key)
    }

    /// Returns the wallet that whoever spends pays from.
    #[must_use]
    pub fn payer(&self, spender: Option<&SubaccountId>, unit: &str) -> WalletKey {
        let own = WalletKey::of(spender, unit);
        match self.wallets.get(&own) {
            Some(wallet) if wallet.is_opened() => own,
            Some(_) | None => WalletKey::own(unit),
        }
    }

    /// Returns a wallet to be changed, made when there is none.
    pub fn wallet_mut(&mut self, key: &WalletKey) -> &mut Wallet {
        self.wallets
            .entry(key.clone())
            .or_insert_with(|| Wallet::new(key.clone()))
    }

    pub(super) fn wallets_mut(&mut self) -> impl Iterator<Item = &mut Wallet> {
        self.wallets.values_mut()
    }

    /// Asks for no more money.
    pub fn end_top_ups(&mut self) {
        let wallets = self.wallets.values_mut();
        for wallet in wallets.filter(|wallet| wallet.head().terms.top_up.is_some()) {
            wallet.terms_mut().top_up = None;
        }
    }

    /// Lets go of a wallet that was only made to be refused.
    pub(super) fn drop_if_new(&mut self, key: &WalletKey) {
        if self.wallets.get(key).is_some_and(Wallet::is_new) {
            self.wallets.remove(key);
        }
    }

    /// Returns what usage of a feature drew in the latest period in which it drew anything.
    #[must_use]
    pub fn draw(&self, feature: &FeatureId) -> Option<&Draw> {
        self.draws.get(feature)
    }

    /// Returns what usage drew, by feature.
    pub fn draws(&self) -> impl Iterator<Item = &Draw> {
        self.draws.values()
    }

    /// Returns what usage draws, by feature.
    pub fn draws_mut(&mut self) -> &mut BTreeMap<FeatureId, Draw> {
        &mut self.draws
    }

    /// Refuses what a cap does not leave room for: that of whoever spends, and that of the wallet.
    ///
    /// # Errors
    /// When a cap leaves too little.
    pub fn check_caps(
        &self,
        (spender, payer): (Option<&SubaccountId>, &WalletKey),
        needed: i64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        for key in capped(spender, payer) {
            if let Some(cap) = self.wallets.get(&key).and_then(Wallet::cap) {
                cap.check(needed, now)?;
            }
        }
        Ok(())
    }

    /// Counts what is spent under the caps that bound it.
    pub fn count_caps(
        &mut self,
        (spender, payer): (Option<&SubaccountId>, &WalletKey),
        amount: i64,
        now: Timestamp,
    ) {
        self.with_caps(spender, payer, |cap| cap.count(amount, now));
    }

    /// Counts what comes back of what was spent or set aside at `since`.
    pub fn give_back_caps(
        &mut self,
        (spender, payer): (Option<&SubaccountId>, &WalletKey),
        amount: i64,
        since: Timestamp,
    ) {
        self.with_caps(spender, payer, |cap| cap.give_back(amount, since));
    }

    fn with_caps(
        &mut self,
        spender: Option<&SubaccountId>,
        payer: &WalletKey,
        change: impl Fn(&mut super::SpendCap),
    ) {
        for key in capped(spender, payer) {
            let wallet = self.wallets.get_mut(&key);
            if let Some(wallet) = wallet.filter(|wallet| wallet.cap().is_some()) {
                wallet.terms_mut().cap.iter_mut().for_each(&change);
            }
        }
    }

    /// Adds credits to a wallet.
    ///
    /// # Errors
    /// As [`Wallet::grant`].
    pub fn grant(
        &mut self,
        key: &WalletKey,
        new: NewGrant,
        mut about: About,
        now: Timestamp,
    ) -> Result<GrantId, Refusal> {
        let id = new.id.clone();
        let done = self.wallet_mut(key).grant(new, now);
        let done = done.inspect_err(|_| self.drop_if_new(key))?;
        about.grant = Some(id.clone());
        self.post(key, done, about, now);
        Ok(id)
    }

    /// Spends credits of whoever spends.
    ///
    /// # Errors
    /// As [`Wallet::debit`]; with [`Cover::Full`] also when a cap leaves too little.
    pub fn debit(
        &mut self,
        spender: Option<&SubaccountId>,
        unit: &str,
        (amount, cover): (i64, Cover),
        about: About,
        now: Timestamp,
    ) -> Result<WalletKey, Refusal> {
        let payer = self.payer(spender, unit);
        if matches!(cover, Cover::Full { .. }) {
            super::spend::in_range(amount)?;
            self.check_caps((spender, &payer), amount, now)?;
        }
        let done = self.wallet_mut(&payer).debit(amount, cover, now);
        let done = done.inspect_err(|_| self.drop_if_new(&payer))?;
        self.count_caps((spender, &payer), amount, now);
        self.post(&payer, done, about, now);
        Ok(payer)
    }

    /// Sets credits aside for whoever spends.
    ///
    /// # Errors
    /// As [`Wallet::hold`], or when a cap leaves too little.
    pub fn hold(
        &mut self,
        unit: &str,
        new: NewHold,
        owed_max: i64,
        mut about: About,
        now: Timestamp,
    ) -> Result<WalletKey, Refusal> {
        let spender = new.spender.clone();
        let payer = self.payer(spender.as_ref(), unit);
        super::spend::in_range(new.amount)?;
        self.check_caps((spender.as_ref(), &payer), new.amount, now)?;
        let (id, amount) = (new.id.clone(), new.amount);
        let done = self.wallet_mut(&payer).hold(new, owed_max, now);
        let done = done.inspect_err(|_| self.drop_if_new(&payer))?;
        self.count_caps((spender.as_ref(), &payer), amount, now);
        about.hold = Some(id);
        self.post(&payer, done, about, now);
        Ok(payer)
    }

    /// Returns the wallet of a hold that memory has.
    #[must_use]
    pub fn wallet_of_hold(&self, id: &HoldId) -> Option<&WalletKey> {
        let mut wallets = self.wallets.values();
        let holds = |wallet: &&Wallet| wallet.hold_of(id).is_some_and(|hold| !hold.is_pool);
        wallets.find(holds).map(Wallet::key)
    }

    /// Spends what is set aside, all or part, as [`Wallet::capture`].
    ///
    /// # Errors
    /// As [`Wallet::capture`].
    pub fn capture(
        &mut self,
        id: &HoldId,
        (amount, is_last): (i64, bool),
        about: About,
        now: Timestamp,
    ) -> Result<WalletKey, Refusal> {
        let key = self.settle(id, about, now, |wallet| {
            wallet.capture(id, amount, is_last, now)
        })?;
        let hold = self.wallets.get(&key).and_then(|wallet| wallet.hold_of(id));
        if let Some((spender, since)) = hold.map(|hold| (hold.spender.clone(), hold.create_time)) {
            // It was counted when it was set aside, and counts when it is spent.
            self.give_back_caps((spender.as_ref(), &key), amount, since);
            self.count_caps((spender.as_ref(), &key), amount, now);
        }
        Ok(key)
    }

    /// Gives back what is set aside.
    ///
    /// # Errors
    /// As [`Wallet::release`].
    pub fn release(
        &mut self,
        id: &HoldId,
        about: About,
        now: Timestamp,
    ) -> Result<WalletKey, Refusal> {
        self.settle(id, about, now, |wallet| wallet.release(id, now))
    }

    fn settle(
        &mut self,
        id: &HoldId,
        mut about: About,
        now: Timestamp,
        change: impl FnOnce(&mut Wallet) -> Result<Transaction, Refusal>,
    ) -> Result<WalletKey, Refusal> {
        let unknown = || Refusal::UnknownHold(id.clone());
        let key = self.wallet_of_hold(id).ok_or_else(unknown)?.clone();
        let done = change(self.wallet_mut(&key))?;
        about.hold = Some(id.clone());
        self.give_back_hold(&key, id);
        self.post(&key, done, about, now);
        Ok(key)
    }

    /// Counts what a hold that has ended did not spend as given back.
    pub(super) fn give_back_hold(&mut self, key: &WalletKey, id: &HoldId) {
        let hold = self.wallets.get(key).and_then(|wallet| wallet.hold_of(id));
        let Some(hold) = hold.filter(|hold| hold.state != HoldState::Open) else {
            return;
        };
        let (rest, since) = (hold.amount - hold.captured, hold.create_time);
        let spender = hold.spender.clone();
        self.give_back_caps((spender.as_ref(), key), rest, since);
    }
}

/// The wallets whose caps bound what is spent, each once.
fn capped(spender: Option<&SubaccountId>, payer: &WalletKey) -> impl Iterator<Item = WalletKey> {
    let own = WalletKey::of(spender, &payer.unit);
    let other = (own != *payer).then(|| payer.clone());
    std::iter::once(own).chain(other)
}
