//! What is set for a wallet: how much may be spent in a window, and when to ask for more.

use serde::Serialize;

use super::super::error::Error;
use super::{Scene, WalletCall, WalletName, WalletView, check_part};
use crate::domain::account::Account;
use crate::domain::id::RequestId;
use crate::domain::time::Span;
use crate::domain::wallet::{AutoTopUp, SpendCap};
use crate::domain::window::Window;
use crate::engine::Engine;

/// Micro-units of dollars in a cent.
pub(super) const MICROS_A_CENT: i64 = 10_000;

/// A call to bound what may be spent.
#[derive(Debug, Clone, Serialize)]
pub struct CapCall {
    /// Of a subaccount: bounds what it spends, whoever pays. Of the customer: what is spent from its wallet.
    pub wallet: WalletName,
    /// Micro-units in each window; `None`: no bound.
    pub amount: Option<i64>,
    /// The window; not a rolling one.
    pub window: Window,
}

/// A call to ask for money when credits run low.
#[derive(Debug, Clone, Serialize)]
pub struct TopUpCall {
    /// Which wallet.
    pub wallet: WalletName,
    /// How; `None`: no more.
    pub terms: Option<TopUpTerms>,
}

/// How an automatic top-up works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUpTerms {
    /// Asked for when less than this can be spent, in micro-units.
    pub threshold: i64,
    /// What is asked for.
    pub amount: i64,
    /// The most in each window.
    pub cap: i64,
    /// The window; not a rolling one.
    pub window: Window,
    /// The least time from one to the next.
    pub cool_down: Span,
}

impl WalletCall for CapCall {
    const METHOD: &'static str = "SetSpendCap";
    type Answer = WalletView;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<WalletView, Error> {
        check_part(account, self.wallet.subaccount.as_ref())?;
        scene.unit(&self.wallet.unit)?;
        let (key, anchor) = (self.wallet.key(), account.anchor);
        let cap = match self.amount {
            Some(amount) => {
                let cap = SpendCap::new(amount, self.window, anchor, scene.now);
                Some(cap.ok_or_else(|| Error::invalid("window", "must not be a rolling one"))?)
            }
            None => None,
        };
        let wallet = account.book.wallet_mut(&key);
        let before = wallet.cap().cloned();
        wallet.terms_mut().cap = cap.map(|cap| cap.after(before.as_ref(), scene.now));
        Ok(WalletView::of(account, &key, scene.now))
    }
}

impl WalletCall for TopUpCall {
    const METHOD: &'static str = "SetAutoTopUp";
    type Answer = WalletView;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<WalletView, Error> {
        check_part(account, self.wallet.subaccount.as_ref())?;
        let unit = scene.unit(&self.wallet.unit)?;
        if let Some(terms) = &self.terms
            && terms.amount % unit.per_dollar.max(1).saturating_mul(MICROS_A_CENT) != 0
        {
            let rule = "must be worth whole cents";
            return Err(Error::invalid("terms.amount_micros", rule));
        }
        let (key, anchor) = (self.wallet.key(), account.anchor);
        let set = |terms: &TopUpTerms| {
            AutoTopUp::new(
                (terms.threshold, terms.amount),
                (terms.cap, terms.window),
                terms.cool_down,
                anchor,
                scene.now,
            )
        };
        let wallet = account.book.wallet_mut(&key);
        let before = wallet.head().terms.top_up.clone();
        wallet.terms_mut().top_up = match &self.terms {
            Some(terms) => Some(set(terms).after(before.as_ref(), scene.now)),
            None => before.map(AutoTopUp::unset),
        };
        Ok(WalletView::of(account, &key, scene.now))
    }
}

impl Engine {
    /// Bounds what a subaccount may spend, or what may be spent from the customer's wallet.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit.
    pub async fn set_spend_cap(
        &self,
        caller: &str,
        request: RequestId,
        call: CapCall,
    ) -> Result<WalletView, Error> {
        let customer = call.wallet.customer.clone();
        self.change(caller, request, &customer, call).await
    }

    /// Has money asked for when credits of a wallet run low.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit.
    pub async fn set_auto_top_up(
        &self,
        caller: &str,
        request: RequestId,
        call: TopUpCall,
    ) -> Result<WalletView, Error> {
        let customer = call.wallet.customer.clone();
        self.change(caller, request, &customer, call).await
    }
}
