//! How credits of a book end, go back, and go from one wallet to another.

use super::book::Book;
use super::ledger::About;
use super::{Refusal, Wallet, WalletKey, transfer};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

impl Book {
    /// Ends a grant now.
    ///
    /// # Errors
    /// As [`Wallet::expire_grant`].
    pub fn expire_grant(
        &mut self,
        id: &GrantId,
        mut about: About,
        now: Timestamp,
    ) -> Result<WalletKey, Refusal> {
        let key = self.wallet_of_grant(id)?;
        let done = self.wallet_mut(&key).expire_grant(id, now)?;
        about.grant = Some(id.clone());
        self.post(&key, done, about, now);
        Ok(key)
    }

    /// Takes back the money behind a grant.
    ///
    /// # Errors
    /// As [`Wallet::claw_back`].
    pub fn claw_back(
        &mut self,
        id: &GrantId,
        amount: i64,
        mut about: About,
        now: Timestamp,
    ) -> Result<WalletKey, Refusal> {
        let key = self.wallet_of_grant(id)?;
        let done = self.wallet_mut(&key).claw_back(id, amount, now)?;
        about.grant = Some(id.clone());
        self.post(&key, done, about, now);
        Ok(key)
    }

    fn wallet_of_grant(&self, id: &GrantId) -> Result<WalletKey, Refusal> {
        let mut wallets = self.wallets.values();
        let has = |wallet: &&Wallet| wallet.grants().iter().any(|grant| grant.id == *id);
        let found = wallets.find(has).map(|wallet| wallet.key().clone());
        found.ok_or_else(|| Refusal::UnknownGrant(id.clone()))
    }

    /// Moves credits from one wallet to another, under the giver's cap.
    ///
    /// # Errors
    /// As [`transfer()`], or when a cap leaves too little.
    pub fn transfer(
        &mut self,
        (from, to): (&WalletKey, &WalletKey),
        id: &GrantId,
        (amount, owed_max): (i64, i64),
        about: &About,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        super::spend::in_range(amount)?;
        if from == to || from.unit != to.unit {
            return Err(Refusal::WalletsDoNotMatch);
        }
        let spender = (from.owner.as_ref(), from);
        self.check_caps(spender, amount, now)?;
        let mut target = match self.wallets.get(to) {
            Some(wallet) => wallet.clone(),
            None => Wallet::new(to.clone()),
        };
        let source = self.wallet_mut(from);
        let done = transfer(source, &mut target, id, (amount, owed_max), now);
        let done = done.inspect_err(|_| self.drop_if_new(from))?;
        self.wallets.insert(to.clone(), target);
        self.count_caps(spender, amount, now);
        let about = |other: &WalletKey, settled| About {
            other: Some(other.clone()),
            settled,
            ..about.clone()
        };
        self.post(from, done.given, about(to, Vec::new()), now);
        self.post(to, done.taken, about(from, done.settled), now);
        Ok(())
    }
}
