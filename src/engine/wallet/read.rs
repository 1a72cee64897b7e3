//! What wallets hold, and what moved in them.

use serde::{Deserialize, Serialize};

use super::super::background::Expire;
use super::super::error::{Error, Thing};
use super::super::lists::{list_error, page_token};
use super::WalletName;
use crate::domain::account::Account;
use crate::domain::id::{CustomerId, HoldId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Balance, Book, Grant, Hold, Posted, Wallet, WalletKey, WalletTerms};
use crate::engine::Engine;
use crate::storage::{LedgerQuery, Page};

/// A wallet as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletView {
    /// Which.
    pub key: WalletKey,
    /// What it holds, by its ledger.
    pub balance: Balance,
    /// What of it can be spent now: less what has expired, and with what overdue holds give back.
    pub spendable: i64,
    /// Grants that are not forgotten, in the order in which they are used up.
    pub grants: Vec<Grant>,
    /// What is set aside.
    pub holds: Vec<(HoldId, Hold)>,
    /// What was set for it.
    pub terms: WalletTerms,
    /// How many transactions its ledger has.
    pub number: i64,
    /// When it was looked at.
    pub time: Timestamp,
}

impl WalletView {
    /// Looks at a wallet; one that nothing ever came to is empty.
    pub(super) fn of(account: &Account, key: &WalletKey, now: Timestamp) -> Self {
        Self::of_book(&account.book, key, now)
    }

    fn of_book(book: &Book, key: &WalletKey, now: Timestamp) -> Self {
        let empty = Wallet::new(key.clone());
        let wallet = book.wallet(key).unwrap_or(&empty);
        let spendable = wallet.available(now).saturating_add(wallet.overdue(now));
        let holds = wallet.holds().iter();
        Self {
            key: key.clone(),
            balance: wallet.balance(),
            spendable,
            grants: wallet.grants().to_vec(),
            holds: holds
                .filter(|(_, hold)| hold.is_open() && (!hold.is_pool || hold.held() > 0))
                .map(|(id, hold)| (id.clone(), hold.clone()))
                .collect(),
            terms: wallet.head().terms.clone(),
            number: wallet.head().number,
            time: now,
        }
    }
}

impl Engine {
    /// Returns a wallet; one that nothing ever came to is empty.
    ///
    /// # Errors
    /// When there is no such customer, subaccount or unit.
    pub async fn get_wallet(&self, name: &WalletName) -> Result<WalletView, Error> {
        let units = self.catalog().catalog;
        let now = self.now();
        let key = name.key();
        self.read_book(&name.customer, |account_has, book| {
            if let Some(sub) = &name.subaccount
                && !account_has(sub)
            {
                return Err(Error::not_found(Thing::Subaccount, sub));
            }
            if book.wallet(&key).is_none() && !units.credit_units.contains_key(&name.unit) {
                return Err(Error::not_found(Thing::CreditUnit, &*name.unit));
            }
            Ok(WalletView::of_book(book, &key, now))
        })
        .await?
    }

    /// Returns the wallets of a customer and its subaccounts, by owner and unit.
    ///
    /// # Errors
    /// When there is no such customer, or the page token is of something else.
    pub async fn list_wallets(
        &self,
        customer: &CustomerId,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<WalletView>, Error> {
        let now = self.now();
        let after = after.as_deref().map(place_of).transpose()?;
        self.read_book(customer, |_, book| {
            let keys = book.wallets().map(Wallet::key);
            let mut keys = keys.filter(|key| after.as_ref().is_none_or(|after| *key > after));
            let these: Vec<&WalletKey> = keys.by_ref().take(limit).collect();
            let next = keys.next().and(these.last());
            Page {
                next: next.map(|key| place(key)),
                items: these
                    .into_iter()
                    .map(|key| WalletView::of_book(book, key, now))
                    .collect(),
            }
        })
        .await
    }

    /// Looks at the wallets of a customer: in memory if nobody else changes them, else as they are stored now.
    async fn read_book<R>(
        &self,
        customer: &CustomerId,
        look: impl Fn(&dyn Fn(&SubaccountId) -> bool, &Book) -> R,
    ) -> Result<R, Error> {
        self.give_included(customer).await;
        if !self.shared.store.is_shared() {
            return self
                .look_at_books(customer, |account| {
                    let has = |id: &SubaccountId| account.subaccounts.contains_key(id);
                    look(&has, &account.book)
                })
                .await;
        }
        let rows = self.shared.store.account(customer, self.now()).await?;
        let rows = rows.ok_or_else(|| Error::not_found(Thing::Customer, customer))?;
        let has = |id: &SubaccountId| {
            let mut parts = rows.subaccounts.iter();
            parts.any(|part| part.subaccount.id == *id)
        };
        let book = Book::restore(rows.wallets.clone(), rows.draws.clone());
        Ok(look(&has, &book))
    }

    /// Gives credits of the plan that are due and that no sweep has come by to give, so that wallets show what their ledgers
    /// say.
    async fn give_included(&self, customer: &CustomerId) {
        let Ok(Some(cell)) = self.find(customer).await else {
            // Whoever looks is told why.
            return;
        };
        let now = self.now();
        let is_due = {
            let inner = cell.lock();
            let account = inner.account.as_ref();
            account.is_some_and(|account| account.credits_due(now))
        };
        if is_due && self.submit(Expire::of(vec![cell])).await.is_err() {
            tracing::debug!(customer.id = %customer, "wallets are shown before included credits come");
        }
    }

    /// Lists the ledger of a wallet.
    ///
    /// # Errors
    /// When there is no such customer, or the page token is of something else.
    pub async fn ledger(&self, query: LedgerQuery) -> Result<Page<Posted>, Error> {
        self.check_customer(&query.customer).await?;
        self.shared.store.ledger(query).await.map_err(list_error)
    }
}

/// Names a wallet's place in the list; ids hold no space.
fn place(key: &WalletKey) -> String {
    let owner = key.owner.as_ref().map_or("", SubaccountId::as_str);
    format!("{owner} {}", key.unit)
}

/// Reads what [`place`] wrote.
fn place_of(text: &str) -> Result<WalletKey, Error> {
    let (owner, unit) = text.split_once(' ').ok_or_else(page_token)?;
    let owner = match owner {
        "" => None,
        owner => Some(SubaccountId::new(owner).map_err(|_| page_token())?),
    };
    Ok(WalletKey::of(owner.as_ref(), unit))
}
