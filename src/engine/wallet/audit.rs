//! Proving ledgers: every transaction sums to zero, none is missing, and what wallets hold is the fold of them.

use std::time::Duration;

use smol_str::SmolStr;

use super::super::error::Error;
use super::super::lists::list_error;
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Account, Audit, LedgerFault, Wallet, WalletKey};
use crate::domain::window::TimeRange;
use crate::engine::Engine;
use crate::storage::{CustomerQuery, LedgerQuery};

/// Transactions that are read at once.
const SLICE: usize = 1_000;

/// What an audit found of some customers.
#[derive(Debug, Clone, Default)]
pub struct LedgerReport {
    /// How many wallets were looked at.
    pub wallets: i64,
    /// How many transactions.
    pub transactions: i64,
    /// What is wrong.
    pub findings: Vec<LedgerFinding>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<String>,
}

/// What is wrong with a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFinding {
    /// Whose.
    pub customer: CustomerId,
    /// Which wallet; of a fault between wallets, the customer's own of the unit.
    pub wallet: WalletKey,
    /// What.
    pub fault: WalletFault,
}

/// What can be wrong with wallets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalletFault {
    /// Its ledger.
    Ledger(LedgerFault),
    /// Transfers of the unit did not come to where they went: the sum of what is on the way.
    Transfers(i128),
}

/// The sum of what is on the way between wallets, by unit.
type OnTheWay = std::collections::BTreeMap<SmolStr, i128>;

impl Engine {
    /// Proves the ledgers of some customers, by id: of one, or of up to `limit` from where another call left off.
    ///
    /// # Errors
    /// When the store cannot be read, or the page token is of something else.
    pub async fn audit_ledgers(
        &self,
        customer: Option<CustomerId>,
        after: Option<String>,
        limit: usize,
    ) -> Result<LedgerReport, Error> {
        let mut report = LedgerReport::default();
        if let Some(customer) = customer {
            self.check_customer(&customer).await?;
            self.audit_customer(&customer, &mut report).await?;
            return Ok(report);
        }
        let query = CustomerQuery {
            deleted: true,
            after,
            limit,
            ..CustomerQuery::default()
        };
        let page = self.shared.store.customers(query).await;
        let page = page.map_err(list_error)?;
        for (customer, _) in &page.items {
            self.audit_customer(&customer.id, &mut report).await?;
        }
        report.next = page.next;
        Ok(report)
    }

    async fn audit_customer(
        &self,
        customer: &CustomerId,
        report: &mut LedgerReport,
    ) -> Result<(), Error> {
        // In one reading: what a wallet holds after as many transactions as it says.
        let rows = self.shared.store.account(customer, self.now()).await?;
        let wallets = rows.map(|rows| rows.wallets).unwrap_or_default();
        let mut on_the_way = OnTheWay::new();
        for wallet in &wallets {
            let found = self
                .audit_wallet(customer, wallet, report, &mut on_the_way)
                .await?;
            let finding = |fault| LedgerFinding {
                customer: customer.clone(),
                wallet: wallet.key().clone(),
                fault: WalletFault::Ledger(fault),
            };
            report.findings.extend(found.into_iter().map(finding));
            report.wallets += 1;
        }
        for (unit, sum) in on_the_way.into_iter().filter(|entry| entry.1 != 0) {
            report.findings.push(LedgerFinding {
                customer: customer.clone(),
                wallet: WalletKey::own(unit),
                fault: WalletFault::Transfers(sum),
            });
        }
        Ok(())
    }

    /// Proves one ledger as far as the wallet knows it; what came since is left out.
    async fn audit_wallet(
        &self,
        customer: &CustomerId,
        wallet: &Wallet,
        report: &mut LedgerReport,
        on_the_way: &mut OnTheWay,
    ) -> Result<Vec<LedgerFault>, Error> {
        let mut audit = Audit::default();
        let mut after = None;
        loop {
            let query = LedgerQuery {
                customer: customer.clone(),
                wallet: wallet.key().clone(),
                range: TimeRange::ALWAYS,
                cause: None,
                hold: None,
                grant: None,
                is_rising: true,
                after,
                limit: SLICE,
            };
            let page = self.shared.store.ledger(query).await?;
            let known = page.items.iter();
            for posted in known.filter(|posted| posted.number <= wallet.head().number) {
                audit.take(posted);
                report.transactions += 1;
                let moved = posted.transaction.entries.iter();
                for entry in moved.filter(|entry| entry.account == Account::Transfers) {
                    let sum = on_the_way.entry(wallet.key().unit.clone()).or_default();
                    *sum += i128::from(entry.amount);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(audit.finish(wallet));
            }
        }
    }

    /// Proves all ledgers, `slice` customers at a time with a pause between, and tells what is wrong in the log and in a
    /// metric. Returns how many faults there are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit_all_ledgers(&self, slice: usize, pause: Duration) -> Result<usize, Error> {
        let began: Timestamp = self.now();
        let (mut after, mut faults, mut wallets) = (None, 0, 0);
        loop {
            let report = self.audit_ledgers(None, after, slice).await?;
            for finding in &report.findings {
                tracing::error!(
                    customer.id = %finding.customer,
                    wallet.owner = finding.wallet.owner.as_ref().map(tracing::field::display),
                    wallet.unit = %finding.wallet.unit,
                    fault = ?finding.fault,
                    "a ledger is not right"
                );
            }
            faults += report.findings.len();
            wallets += report.wallets;
            after = report.next;
            if after.is_none() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let found = u32::try_from(faults).unwrap_or(u32::MAX);
        self.shared.gauges.ledger_faults.set(found);
        let took = self.now().since(began);
        tracing::info!(
            wallets,
            faults,
            took_us = took.as_micros(),
            "ledgers audited"
        );
        Ok(faults)
    }
}
