//! Spending credits: at once, or set aside first.

use serde::{Deserialize, Serialize};

use super::super::error::{Bounded, Error, Thing};
use super::{HOLDS_MAX, Moved, Scene, WalletCall, WalletName, check_part};
use crate::domain::account::Account;
use crate::domain::id::{CustomerId, HoldId, RequestId};
use crate::domain::time::Span;
use crate::domain::wallet::{Balance, Cover, Hold, NewHold, Refusal, Wallet, WalletKey};
use crate::engine::Engine;

/// A call to spend credits.
#[derive(Debug, Clone, Serialize)]
pub struct DebitCall {
    /// Who spends; its own wallet pays once it has one, the customer's until then.
    pub spender: WalletName,
    /// Micro-units.
    pub amount: i64,
    /// Whether what is not covered becomes owed instead of refusing all of it.
    pub may_owe: bool,
    /// Why, for people.
    pub note: Box<str>,
}

/// A call to set credits aside.
#[derive(Debug, Clone, Serialize)]
pub struct HoldCall {
    /// Who spends; its own wallet pays once it has one, the customer's until then.
    pub spender: WalletName,
    /// The id that the hold gets.
    #[serde(skip)]
    pub id: HoldId,
    /// Micro-units.
    pub amount: i64,
    /// How long it lives.
    pub ttl: Span,
    /// Why, for people.
    pub note: Box<str>,
}

/// A call to spend what is set aside.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureCall {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub hold: HoldId,
    /// Micro-units; `None`: all that is left.
    pub amount: Option<i64>,
    /// Whether more may be captured later.
    pub keep_open: bool,
    /// Why, for people.
    pub note: Box<str>,
}

/// A call to give back what is set aside.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseHoldCall {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub hold: HoldId,
    /// Why, for people.
    pub note: Box<str>,
}

/// A hold as a call left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// Which.
    pub id: HoldId,
    /// The wallet that pays.
    pub wallet: WalletKey,
    /// How it stands.
    pub hold: Hold,
    /// What the wallet holds.
    pub balance: Balance,
}

impl HoldView {
    fn of(account: &Account, id: &HoldId, wallet: WalletKey) -> Result<Self, Error> {
        let found = account.book.wallet(&wallet);
        let hold = found.and_then(|wallet| wallet.hold_of(id));
        let (hold, balance) = hold
            .cloned()
            .zip(found.map(Wallet::balance))
            .ok_or(Error::Internal)?;
        Ok(Self {
            id: id.clone(),
            wallet,
            hold,
            balance,
        })
    }
}

impl WalletCall for DebitCall {
    const METHOD: &'static str = "DebitCredits";
    type Answer = Moved;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<Moved, Error> {
        let (spender, unit) = (self.spender.subaccount.as_ref(), &*self.spender.unit);
        check_part(account, spender)?;
        let owed_max = scene.owed_max(unit)?;
        let cover = if self.may_owe {
            Cover::Owe
        } else {
            Cover::Full { owed_max }
        };
        let about = scene.about(&self.note);
        let asked = (self.amount, cover);
        let payer = account.book.debit(spender, unit, asked, about, scene.now)?;
        Ok(Moved::of(&account.book, payer))
    }
}

impl WalletCall for HoldCall {
    const METHOD: &'static str = "HoldCredits";
    type Answer = HoldView;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<HoldView, Error> {
        let (spender, unit) = (self.spender.subaccount.as_ref(), &*self.spender.unit);
        check_part(account, spender)?;
        let owed_max = scene.owed_max(unit)?;
        let holds: usize = account
            .book
            .wallets()
            .map(|wallet| wallet.holds().len())
            .sum();
        if holds >= HOLDS_MAX {
            return Err(Error::TooMany {
                things: Bounded::Holds,
                most: HOLDS_MAX,
            });
        }
        let new = NewHold {
            id: self.id.clone(),
            amount: self.amount,
            spender: spender.cloned(),
            expire_time: scene.now.plus(self.ttl),
        };
        let about = scene.about(&self.note);
        let payer = account.book.hold(unit, new, owed_max, about, scene.now)?;
        HoldView::of(account, &self.id, payer)
    }
}

impl WalletCall for CaptureCall {
    const METHOD: &'static str = "CaptureHold";
    type Answer = HoldView;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<HoldView, Error> {
        let left = left_of(account, &self.hold);
        let amount = self.amount.or(left).unwrap_or(0);
        let about = scene.about(&self.note);
        let asked = (amount, !self.keep_open);
        let wallet = account.book.capture(&self.hold, asked, about, scene.now)?;
        HoldView::of(account, &self.hold, wallet)
    }
}

/// Returns what a hold that memory has still holds.
fn left_of(account: &Account, id: &HoldId) -> Option<i64> {
    let key = account.book.wallet_of_hold(id)?;
    let wallet = account.book.wallet(key)?;
    wallet.hold_of(id).map(Hold::held)
}

impl WalletCall for ReleaseHoldCall {
    const METHOD: &'static str = "ReleaseHold";
    type Answer = HoldView;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<HoldView, Error> {
        let about = scene.about(&self.note);
        let wallet = account.book.release(&self.hold, about, scene.now)?;
        HoldView::of(account, &self.hold, wallet)
    }
}

impl Engine {
    /// Spends credits.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit, or they are not covered and must be.
    pub async fn debit_credits(
        &self,
        caller: &str,
        request: RequestId,
        call: DebitCall,
    ) -> Result<Moved, Error> {
        let customer = call.spender.customer.clone();
        self.change(caller, request, &customer, call).await
    }

    /// Sets credits aside.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit, they are not covered, or too much is set aside.
    pub async fn hold_credits(
        &self,
        caller: &str,
        request: RequestId,
        spender: WalletName,
        (amount, ttl): (i64, Span),
        note: Box<str>,
    ) -> Result<HoldView, Error> {
        let customer = spender.customer.clone();
        let call = HoldCall {
            spender,
            id: HoldId::new(Self::fresh_id().to_string()).map_err(|_| Error::Internal)?,
            amount,
            ttl,
            note,
        };
        self.change(caller, request, &customer, call).await
    }

    /// Spends what is set aside, all or part.
    ///
    /// # Errors
    /// When there is no such hold, it has ended, or more is captured than it holds.
    pub async fn capture_hold(
        &self,
        caller: &str,
        request: RequestId,
        call: CaptureCall,
    ) -> Result<HoldView, Error> {
        let (customer, hold) = (call.customer.clone(), call.hold.clone());
        let done = self.change(caller, request, &customer, call).await;
        self.or_ended(done, &customer, &hold).await
    }

    /// Gives back what is set aside.
    ///
    /// # Errors
    /// When there is no such hold, or it has ended.
    pub async fn release_hold(
        &self,
        caller: &str,
        request: RequestId,
        call: ReleaseHoldCall,
    ) -> Result<HoldView, Error> {
        let (customer, hold) = (call.customer.clone(), call.hold.clone());
        let done = self.change(caller, request, &customer, call).await;
        self.or_ended(done, &customer, &hold).await
    }

    /// Tells a hold that has ended, which memory does not know, from one that never was.
    async fn or_ended(
        &self,
        done: Result<HoldView, Error>,
        customer: &CustomerId,
        id: &HoldId,
    ) -> Result<HoldView, Error> {
        let Err(Error::Wallet(Refusal::UnknownHold(_))) = &done else {
            return done;
        };
        match self.shared.store.hold(customer, id).await? {
            Some((_, hold)) if !hold.is_pool && !hold.is_open() => {
                Err(Error::Wallet(Refusal::HoldResolved {
                    state: hold.state,
                    captured: hold.captured,
                }))
            }
            Some(_) | None => Err(Error::not_found(Thing::Hold, id)),
        }
    }
}
