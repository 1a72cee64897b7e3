//! What an archive holds: the rows of a store without anything that only one kind of database knows.
//!
//! Customers, meters and counters are named by what they are, never by number. What stores keep as JSON stands here as
//! the same text, so that a copy holds what the original held, letter for letter.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ArchiveError, DrawRecord, GrantRecord, HoldRecord, PostedRecord, Table, WalletRecord};
use crate::storage::StoreError;
use crate::storage::columns::corrupt;

/// JSON as a store keeps it.
pub type Json = Box<RawValue>;

/// One row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Of [`Table::Catalogs`].
    Catalog(CatalogRecord),
    /// Of [`Table::Customers`].
    Customer(CustomerRecord),
    /// Of [`Table::Subaccounts`].
    Subaccount(SubaccountRecord),
    /// Of [`Table::Overrides`].
    Override(OverrideRecord),
    /// Of [`Table::Adjustments`].
    Adjustment(AdjustmentRecord),
    /// Of [`Table::Allocations`].
    Allocation(AllocationRecord),
    /// Of [`Table::Reservations`].
    Reservation(ReservationRecord),
    /// Of [`Table::Wallets`].
    Wallet(WalletRecord),
    /// Of [`Table::Grants`].
    Grant(GrantRecord),
    /// Of [`Table::Holds`].
    Hold(HoldRecord),
    /// Of [`Table::Ledger`].
    Posted(PostedRecord),
    /// Of [`Table::Draws`].
    Draw(DrawRecord),
    /// Of [`Table::Counters`].
    Counter(CounterRecord),
    /// Of [`Table::Rollups`].
    Rollup(RollupRecord),
    /// Of [`Table::Events`].
    Event(EventRecord),
    /// Of [`Table::Denials`].
    Denial(DenialRecord),
    /// Of [`Table::Answers`].
    Answer(AnswerRecord),
    /// Of [`Table::Billing`].
    Billing(BillingRecord),
}

impl Record {
    /// Returns what it is of.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Self::Catalog(_) => Table::Catalogs,
            Self::Customer(_) => Table::Customers,
            Self::Subaccount(_) => Table::Subaccounts,
            Self::Override(_) => Table::Overrides,
            Self::Adjustment(_) => Table::Adjustments,
            Self::Allocation(_) => Table::Allocations,
            Self::Reservation(_) => Table::Reservations,
            Self::Wallet(_) => Table::Wallets,
            Self::Grant(_) => Table::Grants,
            Self::Hold(_) => Table::Holds,
            Self::Posted(_) => Table::Ledger,
            Self::Draw(_) => Table::Draws,
            Self::Counter(_) => Table::Counters,
            Self::Rollup(_) => Table::Rollups,
            Self::Event(_) => Table::Events,
            Self::Denial(_) => Table::Denials,
            Self::Answer(_) => Table::Answers,
            Self::Billing(_) => Table::Billing,
        }
    }

    /// Writes it as one line without its end.
    pub(super) fn write(&self, line: &mut Vec<u8>) -> Result<(), ArchiveError> {
        line.clear();
        serde_json::to_writer(&mut *line, self)
            .map_err(|error| corrupt(self.table().name(), error))?;
        if line.contains(&b'\n') {
            return Err(corrupt(self.table().name(), "JSON that spans lines").into());
        }
        Ok(())
    }
}

/// A catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CatalogRecord {
    /// Its version.
    pub version: i64,
    /// What it says.
    pub catalog: Json,
    /// The text it was read from.
    pub source: String,
    /// When it was applied.
    pub apply_time: i64,
}

/// A customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CustomerRecord {
    /// Its id.
    pub id: String,
    /// Who it is.
    pub body: Json,
    /// Its plan over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Json>,
    /// A list of counters that are kept since it has had them.
    pub tracked: Json,
    /// Whether it was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A subaccount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubaccountRecord {
    /// Whose.
    pub customer: String,
    /// Its id.
    pub id: String,
    /// Who it is.
    pub body: Json,
    /// A list of counters that are kept since it has had them.
    pub tracked: Json,
}

/// An override.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OverrideRecord {
    /// Whose.
    pub customer: String,
    /// Of which feature.
    pub feature: String,
    /// For which part; empty: the customer as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// What is granted.
    pub body: Json,
}

/// The adjustments of a customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdjustmentRecord {
    /// Whose.
    pub customer: String,
    /// A list of them.
    pub body: Json,
}

/// An allocation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AllocationRecord {
    /// Whose.
    pub customer: String,
    /// Of which feature.
    pub feature: String,
    /// Its id.
    pub id: String,
    /// What it is.
    pub body: Json,
}

/// A reservation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReservationRecord {
    /// Whose.
    pub customer: String,
    /// Its id.
    pub id: String,
    /// For which part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subaccount: Option<String>,
    /// Who holds it.
    pub holder: String,
    /// Labels of its holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// What is set aside.
    pub items: Json,
    /// When it was made.
    pub reserve_time: i64,
    /// When it ends by itself.
    pub expire_time: i64,
    /// 0 open, 1 committed, 2 released, 3 expired.
    pub state: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<i64>,
}

/// One window of a counter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CounterRecord {
    /// Whose.
    pub customer: String,
    /// Of which part; empty: the customer's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// What it counts.
    pub spec: Json,
    /// Where the window starts.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// What was used in thousandths; 0 for rolling windows.
    pub used: i64,
    /// What open reservations hold.
    pub reserved: i64,
    /// Buckets of a rolling window, with what was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Vec<(i64, i64)>>,
    /// The part of what was used whose events are no longer stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(super) const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Totals of one hour.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollupRecord {
    /// Whose.
    pub customer: String,
    /// Of what.
    pub meter: String,
    /// The start of the hour.
    pub hour: i64,
    /// Of which part; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subaccount: String,
    /// Values by dimension; `"*"`: combinations beyond the cap; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Json>,
    /// Events, voids taken off.
    pub count: i64,
    /// Sum of what they weigh, in thousandths.
    pub sum: i64,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// When the latest was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_time: Option<i64>,
    /// What the latest weighs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<i64>,
}

/// What stands for combinations beyond the cap, as JSON.
const BEYOND: &str = "\"*\"";

impl RollupRecord {
    /// Reads the column of dimensions.
    pub(in crate::storage) fn read_dimensions(column: &str) -> Result<Option<Json>, StoreError> {
        match column {
            "" => Ok(None),
            "*" => json("rollups", BEYOND).map(Some),
            text => json("rollups", text).map(Some),
        }
    }

    /// Returns the column of dimensions.
    pub(in crate::storage) fn dimensions_column(&self) -> &str {
        match self.dimensions.as_deref().map(RawValue::get) {
            None => "",
            Some(BEYOND) => "*",
            Some(text) => text,
        }
    }
}

/// A usage event, or a void.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRecord {
    /// Whose.
    pub customer: String,
    /// Its id.
    pub id: String,
    /// 0 usage, 1 void.
    pub kind: i64,
    /// Of what.
    pub meter: String,
    /// What its sender states.
    pub quantity: i64,
    /// What it adds to counters, in thousandths.
    pub weighted: i64,
    /// When it counts.
    pub count_time: i64,
    /// When it was used, where that is another instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<i64>,
    /// When it was received, where that is another instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_time: Option<i64>,
    /// 1 reservation closed, 2 beyond reservation, 4 the sender stated when it was used.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: i64,
    /// Of which part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subaccount: Option<String>,
    /// Declared dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Json>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Which reservation it used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// What it drew on a wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Json>,
}

/// Denials of one minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DenialRecord {
    /// Who was denied; it may be unknown.
    pub customer: String,
    /// The minute.
    pub minute: i64,
    /// What.
    pub feature: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: i64,
    /// The last of them.
    pub sample: String,
}

/// The answer to a mutation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// Who asked.
    pub caller: String,
    /// For what.
    pub method: String,
    /// Under which id.
    pub request: String,
    /// A hash of what was asked for.
    pub content: Vec<u8>,
    /// The answer.
    pub answer: String,
    /// When it was given.
    pub time: i64,
}

/// A dealing with Stripe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BillingRecord {
    /// What it is about.
    pub kind: String,
    /// Its name within the kind.
    pub id: String,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Where it stands.
    pub state: String,
    /// From when on there is something to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_time: Option<i64>,
    /// When it came to be.
    pub create_time: i64,
    /// What else there is.
    pub body: Json,
}

/// Takes a column as JSON.
pub(in crate::storage) fn json(
    table: &'static str,
    text: impl Into<String>,
) -> Result<Json, StoreError> {
    RawValue::from_string(text.into()).map_err(|error| corrupt(table, error))
}

/// Takes a column as JSON where it holds some.
pub(in crate::storage) fn json_or_none(
    table: &'static str,
    text: Option<String>,
) -> Result<Option<Json>, StoreError> {
    text.map(|text| json(table, text)).transpose()
}
