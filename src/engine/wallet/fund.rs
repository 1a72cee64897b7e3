//! How credits come, go to other wallets, run out and are taken back.

use serde::{Deserialize, Serialize};

use super::super::error::{Error, Thing};
use super::{Moved, Scene, WalletCall, WalletName, check_part};
use crate::domain::account::Account;
use crate::domain::id::{CustomerId, GrantId, RequestId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Category, Grant, NewGrant, Refusal, Source, Wallet, WalletKey};
use crate::engine::Engine;

/// A call to add credits.
#[derive(Debug, Clone, Serialize)]
pub struct GrantCall {
    /// Where they come to.
    pub wallet: WalletName,
    /// The id that the grant gets.
    #[serde(skip)]
    pub id: Option<GrantId>,
    /// Micro-units.
    pub amount: i64,
    /// Lower is used first.
    pub priority: i32,
    /// Whether money stands behind it.
    pub category: Category,
    /// Where it comes from.
    pub source: Source,
    /// Names the payment or the reason at its source.
    pub reference: Box<str>,
    /// The first instant at which it can no longer be spent.
    pub expire_time: Option<Timestamp>,
    /// Why, for people.
    pub note: Box<str>,
}

/// A grant as a call left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// How it stands.
    pub grant: Grant,
    /// What its wallet holds.
    pub moved: Moved,
}

/// A call to end a grant now.
#[derive(Debug, Clone, Serialize)]
pub struct ExpireGrantCall {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub grant: GrantId,
    /// Why, for people.
    pub note: Box<str>,
}

/// A call to take the money behind a grant back.
#[derive(Debug, Clone, Serialize)]
pub struct ClawBackCall {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub grant: GrantId,
    /// Micro-units; `None`: all that was not taken back before.
    pub amount: Option<i64>,
    /// Why, for people.
    pub note: Box<str>,
}

/// A call to move credits between wallets of one customer.
#[derive(Debug, Clone, Serialize)]
pub struct TransferCall {
    /// Whose.
    pub customer: CustomerId,
    /// The credit unit.
    pub unit: Box<str>,
    /// Who gives; `None`: the customer.
    pub from: Option<SubaccountId>,
    /// Who takes; `None`: the customer.
    pub to: Option<SubaccountId>,
    /// Begins the ids of the grants that come of it.
    #[serde(skip)]
    pub id: Option<GrantId>,
    /// Micro-units.
    pub amount: i64,
    /// Why, for people.
    pub note: Box<str>,
}

impl Granted {
    fn of(account: &Account, id: &GrantId, wallet: WalletKey) -> Result<Self, Error> {
        let found = account.book.wallet(&wallet);
        let grants = found.map(Wallet::grants).unwrap_or_default();
        let grant = grants.iter().find(|grant| grant.id == *id);
        Ok(Self {
            grant: grant.cloned().ok_or(Error::Internal)?,
            moved: Moved::of(&account.book, wallet),
        })
    }
}

impl WalletCall for GrantCall {
    const METHOD: &'static str = "GrantCredits";
    type Answer = Granted;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<Granted, Error> {
        check_part(account, self.wallet.subaccount.as_ref())?;
        scene.unit(&self.wallet.unit)?;
        let id = self.id.clone().ok_or(Error::Internal)?;
        check_payment(account, self)?;
        let new = NewGrant {
            id: id.clone(),
            amount: self.amount,
            priority: self.priority,
            category: self.category,
            source: self.source,
            reference: self.reference.clone(),
            expire_time: self.expire_time,
        };
        let (key, about) = (self.wallet.key(), scene.about(&self.note));
        account.book.grant(&key, new, about, scene.now)?;
        Granted::of(account, &id, key)
    }
}

/// Refuses a payment that brought credits to any wallet of the customer before.
fn check_payment(account: &Account, call: &GrantCall) -> Result<(), Error> {
    if !call.source.is_payment() || call.reference.is_empty() {
        return Ok(());
    }
    let mut grants = account.book.wallets().flat_map(Wallet::grants);
    let same = |grant: &&Grant| grant.source == call.source && grant.reference == call.reference;
    match grants.find(same) {
        Some(before) => Err(Error::Wallet(Refusal::PaymentGranted {
            reference: call.reference.clone(),
            grant: before.id.clone(),
        })),
        None => Ok(()),
    }
}

impl WalletCall for ExpireGrantCall {
    const METHOD: &'static str = "ExpireGrant";
    type Answer = Granted;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<Granted, Error> {
        let about = scene.about(&self.note);
        let wallet = account.book.expire_grant(&self.grant, about, scene.now)?;
        Granted::of(account, &self.grant, wallet)
    }
}

impl WalletCall for ClawBackCall {
    const METHOD: &'static str = "ClawBackGrant";
    type Answer = Granted;

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<Granted, Error> {
        let grants = || account.book.wallets().flat_map(Wallet::grants);
        let grant = grants().find(|grant| grant.id == self.grant);
        let unknown = || Error::Wallet(Refusal::UnknownGrant(self.grant.clone()));
        let left = grant
            .map(|grant| grant.amount - grant.returned)
            .ok_or_else(unknown)?;
        let amount = self.amount.unwrap_or(left);
        if left == 0 {
            return Err(Error::Wallet(Refusal::ClawbackTooLarge { amount, left }));
        }
        let about = scene.about(&self.note);
        let wallet = account
            .book
            .claw_back(&self.grant, amount, about, scene.now)?;
        Granted::of(account, &self.grant, wallet)
    }
}

impl WalletCall for TransferCall {
    const METHOD: &'static str = "TransferCredits";
    type Answer = (Moved, Moved);

    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<(Moved, Moved), Error> {
        // Credits come back from a subaccount that was deleted, and go to none.
        check_part(account, self.to.as_ref())?;
        let owed_max = scene.owed_max(&self.unit)?;
        let id = self.id.clone().ok_or(Error::Internal)?;
        let from = WalletKey::of(self.from.as_ref(), &self.unit);
        let to = WalletKey::of(self.to.as_ref(), &self.unit);
        let (about, asked) = (scene.about(&self.note), (self.amount, owed_max));
        account
            .book
            .transfer((&from, &to), &id, asked, &about, scene.now)?;
        let book = &account.book;
        Ok((Moved::of(book, from), Moved::of(book, to)))
    }
}

impl Engine {
    /// Adds credits to a wallet, which is made when there is none.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit, the payment brought credits before, or the wallet would hold
    /// too much.
    pub async fn grant_credits(
        &self,
        caller: &str,
        request: RequestId,
        mut call: GrantCall,
    ) -> Result<Granted, Error> {
        call.id = Some(fresh_grant()?);
        let customer = call.wallet.customer.clone();
        self.change(caller, request, &customer, call).await
    }

    /// Ends a grant now; what is set aside of it stays until its hold ends.
    ///
    /// # Errors
    /// When there is no such grant, or its time is over.
    pub async fn expire_grant(
        &self,
        caller: &str,
        request: RequestId,
        call: ExpireGrantCall,
    ) -> Result<Granted, Error> {
        let customer = call.customer.clone();
        let done = self.change(caller, request, &customer, call).await;
        done.map_err(no_grant)
    }

    /// Takes the money behind a grant back; what the wallet does not have of it is owed.
    ///
    /// # Errors
    /// When there is no such grant, or more is taken back than it brought.
    pub async fn claw_back_grant(
        &self,
        caller: &str,
        request: RequestId,
        call: ClawBackCall,
    ) -> Result<Granted, Error> {
        let customer = call.customer.clone();
        let done = self.change(caller, request, &customer, call).await;
        done.map_err(no_grant)
    }

    /// Moves credits from one wallet to another of the same customer.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit, or they are not covered.
    pub async fn transfer_credits(
        &self,
        caller: &str,
        request: RequestId,
        mut call: TransferCall,
    ) -> Result<(Moved, Moved), Error> {
        call.id = Some(fresh_grant()?);
        let customer = call.customer.clone();
        self.change(caller, request, &customer, call).await
    }
}

fn fresh_grant() -> Result<GrantId, Error> {
    GrantId::new(Engine::fresh_id().to_string()).map_err(|_| Error::Internal)
}

fn no_grant(error: Error) -> Error {
    match error {
        Error::Wallet(Refusal::UnknownGrant(id)) => Error::not_found(Thing::Grant, &id),
        other => other,
    }
}
