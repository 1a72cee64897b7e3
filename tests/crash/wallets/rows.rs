//! Rows of wallets, whatever database they are in. What stands in them as JSON is read here a second time, and not by
//! the server's types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::credits::Balance;
use crate::world::{Meter, UNIT, customer_no, part_no};

/// Names a wallet: customer and part.
pub type Key = (u32, usize);

type Result<T> = std::result::Result<T, String>;

/// All that is stored of wallets.
#[derive(Debug, Clone, Default)]
pub struct Books {
    pub heads: BTreeMap<Key, Head>,
    /// By customer and id.
    pub grants: BTreeMap<(u32, String), Grant>,
    /// By wallet and id.
    pub holds: BTreeMap<(Key, String), Hold>,
    /// In the order of their numbers.
    pub ledger: BTreeMap<Key, Vec<Posted>>,
    /// What usage drew, over all periods, by customer.
    pub draws: BTreeMap<u32, i64>,
}

/// A wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub number: i64,
    pub owed: i64,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub part: usize,
    pub amount: i64,
    pub used: i64,
    pub held: i64,
    pub lapsed: i64,
    /// Source and reference of the payment that it came from.
    pub payment: Option<String>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// 0 open, 1 captured, 2 released, 3 expired.
    pub state: i64,
    pub body: HoldBody,
}

/// What of a hold is JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)] // What says nothing is left out.
pub struct HoldBody {
    pub amount: i64,
    pub captured: i64,
    /// What each grant still holds for it.
    pub legs: Vec<(String, i64)>,
    /// Whether it is what the reservations of a feature hold together.
    pub is_pool: bool,
}

/// A transaction of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub number: i64,
    pub cause: String,
    pub body: PostedBody,
    /// What the wallet held after it.
    pub balance: Balance,
}

/// What of a transaction is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PostedBody {
    pub entries: Vec<Entry>,
    pub about: About,
}

/// One line of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    pub account: Account,
    pub amount: i64,
}

/// Where credits are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    Available(String),
    Held(String),
    Revenue,
    Expired,
    Funding(String),
    Receivable,
    Transfers,
}

/// What a transaction was about, as far as it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct About {
    pub hold: Option<String>,
    pub reservation: Option<String>,
    pub grant: Option<String>,
    /// Grants that came with a transfer and paid what was owed.
    pub settled: Vec<String>,
    pub meter: Option<String>,
    pub request: Option<String>,
}

/// What an event drew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Of the wallet of this part.
    pub part: usize,
    /// Thousandths of a unit that were charged for.
    pub quantity: i64,
    /// Micro-units.
    pub amount: i64,
}

#[derive(Deserialize)]
struct ChargeBody {
    feature: String,
    wallet: WalletBody,
    quantity: i64,
    amount: i64,
}

#[derive(Deserialize)]
struct WalletBody {
    owner: Option<String>,
    unit: String,
}

#[derive(Deserialize)]
struct DrawBody {
    unit: String,
    amount: i64,
}

impl Posted {
    /// Returns what came to accounts of a kind.
    pub fn sum(&self, is_meant: impl Fn(&Account) -> bool) -> i128 {
        let entries = self.body.entries.iter();
        entries
            .filter(|entry| is_meant(&entry.account))
            .map(|entry| i128::from(entry.amount))
            .sum()
    }

    pub fn revenue(&self) -> i128 {
        self.sum(|account| *account == Account::Revenue)
    }

    pub fn held(&self) -> i128 {
        self.sum(|account| matches!(account, Account::Held(_)))
    }

    /// Returns what came from outside, below zero what was taken back.
    pub fn funded(&self) -> i128 {
        -self.sum(|account| matches!(account, Account::Funding(_)))
    }

    pub fn request(&self) -> Option<&str> {
        self.body.about.request.as_deref()
    }
}

impl Grant {
    /// Returns what is left to spend.
    pub fn available(&self) -> i64 {
        self.amount - self.used - self.held - self.lapsed
    }
}

impl Hold {
    /// Returns what is still set aside.
    pub fn left(&self) -> i64 {
        self.body.legs.iter().map(|leg| leg.1).sum()
    }
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| format!("{what} cannot be read: {error}: {text}"))
}

/// Reads which wallet a row belongs to.
pub fn key(customer: &str, part: &str, unit: &str) -> Result<Key> {
    let known = customer_no(customer).zip(part_no(part));
    known
        .filter(|_| unit == UNIT)
        .ok_or_else(|| format!("a wallet of {customer}, part {part:?}, unit {unit}"))
}

/// Reads the column of what an event drew.
pub fn charge(text: Option<&str>) -> Result<Option<Charge>> {
    let Some(text) = text else { return Ok(None) };
    let body: ChargeBody = read("a charge", text)?;
    let part = part_no(body.wallet.owner.as_deref().unwrap_or_default());
    match part {
        Some(part) if body.wallet.unit == UNIT && body.feature == Meter::Work.id() => {
            Ok(Some(Charge {
                part,
                quantity: body.quantity,
                amount: body.amount,
            }))
        }
        _ => Err(format!("a charge of nobody: {text}")),
    }
}

impl Books {
    /// Takes the row of a hold.
    pub fn hold(&mut self, key: Key, id: String, state: i64, body: &str) -> Result<()> {
        let body = read("a hold", body)?;
        let before = self.holds.insert((key, id), Hold { state, body });
        before.map_or(Ok(()), |_| Err(format!("a hold of {key:?} stands twice")))
    }

    /// Takes the row of a grant.
    pub fn grant(&mut self, customer: u32, id: String, grant: Grant) -> Result<()> {
        let before = self.grants.insert((customer, id), grant);
        before.map_or(Ok(()), |_| Err("a grant stands twice".to_owned()))
    }

    /// Takes the row of a transaction; they come in the order of their numbers.
    pub fn posted(
        &mut self,
        key: Key,
        (number, cause): (i64, String),
        body: &str,
        balance: Balance,
    ) -> Result<()> {
        let body = read("a transaction", body)?;
        self.ledger.entry(key).or_default().push(Posted {
            number,
            cause,
            body,
            balance,
        });
        Ok(())
    }

    /// Takes the row of what usage drew in a period.
    pub fn draw(&mut self, customer: &str, feature: &str, body: &str) -> Result<()> {
        let DrawBody { unit, amount } = read("a draw", body)?;
        match customer_no(customer) {
            Some(customer) if feature == Meter::Work.id() && unit == UNIT => {
                *self.draws.entry(customer).or_default() += amount;
                Ok(())
            }
            _ => Err(format!("{feature} of {customer} drew {amount} {unit}")),
        }
    }
}
