//! Rows of wallets in an archive. Amounts are micro-units of the wallet's credit unit.

use serde::{Deserialize, Serialize};

use super::Json;
use super::record::is_zero;

/// A wallet, without what is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WalletRecord {
    /// Whose.
    pub customer: String,
    /// Of which part; empty: the customer's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// The credit unit.
    pub unit: String,
    /// How many transactions its ledger has.
    pub number: i64,
    /// What is owed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub receivable: i64,
    /// What was set for it.
    pub terms: Json,
}

/// Credits that came at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrantRecord {
    /// Whose.
    pub customer: String,
    /// Its id.
    pub id: String,
    /// To which part; empty: the customer's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// The credit unit.
    pub unit: String,
    /// What came.
    pub amount: i64,
    /// What was spent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used: i64,
    /// What is set aside.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: i64,
    /// What expired or was taken back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lapsed: i64,
    /// When anything of it last changed.
    pub change_time: i64,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<i64>,
    /// The rest of it.
    pub body: Json,
}

/// Credits that are set aside, or were.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HoldRecord {
    /// Whose.
    pub customer: String,
    /// Its id.
    pub id: String,
    /// Of which part; empty: the customer's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// The credit unit.
    pub unit: String,
    /// 0 open, 1 captured, 2 released, 3 expired.
    pub state: i64,
    /// When it ends by itself.
    pub expire_time: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<i64>,
    /// The rest of it.
    pub body: Json,
}

/// A transaction in the ledger of a wallet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostedRecord {
    /// Whose.
    pub customer: String,
    /// Of which part; empty: the customer's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// The credit unit.
    pub unit: String,
    /// Its number in the ledger.
    pub number: i64,
    /// When it happened.
    pub time: i64,
    /// Why.
    pub cause: String,
    /// Its entries, and what it was about.
    pub body: Json,
    /// What could be spent after it.
    pub available: i64,
    /// What was set aside after it.
    pub held: i64,
    /// What was owed after it.
    pub receivable: i64,
}

/// What usage of a feature drew on wallets in a billing period.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrawRecord {
    /// Whose.
    pub customer: String,
    /// Of which feature.
    pub feature: String,
    /// Where the period starts.
    pub period_start: i64,
    /// Where it ends.
    pub period_end: i64,
    /// What was drawn.
    pub body: Json,
}
