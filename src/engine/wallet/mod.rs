//! Wallets: credits that come, are spent, set aside and moved, each in a mutation of one customer.

mod audit;
mod fund;
mod read;
mod spend;
mod terms;
mod top_up;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::audit::{LedgerFinding, LedgerReport, WalletFault};
pub use self::fund::{ClawBackCall, ExpireGrantCall, GrantCall, Granted, TransferCall};
pub use self::read::WalletView;
pub use self::spend::{CaptureCall, DebitCall, HoldView, ReleaseHoldCall};
pub use self::terms::{CapCall, TopUpCall, TopUpTerms};
use super::Engine;
use super::cell::Cell;
use super::error::{Error, Thing};
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::step::Step;
use crate::domain::account::Account;
use crate::domain::catalog::CreditUnit;
use crate::domain::id::{CustomerId, RequestId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{About, Balance, Book, Wallet, WalletKey};

/// Most holds of one customer that are open at once.
pub const HOLDS_MAX: usize = 100_000;

/// Which wallet of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletName {
    /// Whose.
    pub customer: CustomerId,
    /// The subaccount whose it is; `None`: the customer's own.
    pub subaccount: Option<SubaccountId>,
    /// The credit unit.
    pub unit: Box<str>,
}

impl WalletName {
    /// Returns its key among the wallets of its customer.
    #[must_use]
    pub fn key(&self) -> WalletKey {
        WalletKey::of(self.subaccount.as_ref(), &self.unit)
    }
}

/// What a change left a wallet with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which wallet it was.
    pub wallet: WalletKey,
    /// What it holds since.
    pub balance: Balance,
}

impl Moved {
    fn of(book: &Book, wallet: WalletKey) -> Self {
        Self {
            balance: book
                .wallet(&wallet)
                .map(Wallet::balance)
                .unwrap_or_default(),
            wallet,
        }
    }
}

/// A call that changes wallets of one customer.
trait WalletCall: Serialize + Send + 'static {
    /// Names it among the mutations that carry request ids.
    const METHOD: &'static str;
    /// What it answers.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Changes the customer's wallets, or refuses and changes nothing.
    ///
    /// # Errors
    /// When it cannot be done.
    fn apply(&self, account: &mut Account, scene: &Scene) -> Result<Self::Answer, Error>;
}

/// Under what circumstances a call is made.
struct Scene {
    about: About,
    /// The credit units that there are.
    units: Arc<crate::domain::catalog::Catalog>,
    now: Timestamp,
}

impl Scene {
    fn about(&self, note: &str) -> About {
        About {
            note: note.into(),
            ..self.about.clone()
        }
    }

    /// Returns a credit unit of the newest catalog.
    fn unit(&self, id: &str) -> Result<&CreditUnit, Error> {
        let unit = self.units.credit_units.get(id);
        unit.ok_or_else(|| Error::not_found(Thing::CreditUnit, id))
    }

    /// Returns how much wallets of a unit may owe before they spend no more.
    fn owed_max(&self, id: &str) -> Result<i64, Error> {
        self.unit(id).map(CreditUnit::owed_max)
    }
}

/// Checks that a subaccount is there.
fn check_part(account: &Account, id: Option<&SubaccountId>) -> Result<(), Error> {
    match id {
        Some(id) if account.live_subaccount(id).is_none() => {
            Err(Error::not_found(Thing::Subaccount, id))
        }
        Some(_) | None => Ok(()),
    }
}

/// Carries a call out.
struct Change<C> {
    cells: [Arc<Cell>; 1],
    call: C,
    about: About,
}

impl<C: WalletCall> Mutation for Change<C> {
    const METHOD: &'static str = C::METHOD;
    type Answer = C::Answer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<C::Answer>, Error> {
        let scene = Scene {
            about: self.about.clone(),
            units: step.batch.loader.current().catalog,
            now: step.now(),
        };
        let call = &self.call;
        let done = step.with(&self.cells[0], |account, _| {
            check_live(account)?;
            call.apply(account, &scene)
        })??;
        Ok(Applied::Done(done))
    }
}

impl Engine {
    async fn change<C: WalletCall + Clone>(
        &self,
        caller: &str,
        request: RequestId,
        customer: &CustomerId,
        call: C,
    ) -> Result<C::Answer, Error> {
        let cells = [self.customer(customer).await?];
        let about = About {
            caller: caller.into(),
            request: Some(request.clone()),
            ..About::default()
        };
        let change = Change {
            cells,
            call: call.clone(),
            about,
        };
        self.submit_once(caller, request, &call, change).await
    }
}
