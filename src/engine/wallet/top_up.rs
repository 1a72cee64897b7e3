//! Automatic top-ups: noted first, then asked for, then booked; so a crash between asks again under the same key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::cell::Cell;
use super::super::error::{Error, Thing};
use super::super::mutation::{Applied, Mutation};
use super::super::payment::{Charge, Payment, PaymentFault, PaymentGateway};
use super::super::step::Step;
use super::terms::MICROS_A_CENT;
use crate::domain::account::Account;
use crate::domain::catalog::Catalog;
use crate::domain::fingerprint::fingerprint;
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{About, AutoTopUp, Category, NewGrant, Refusal, Wallet, WalletKey};
use crate::engine::Engine;

/// A crossing whose payment is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    wallet: WalletKey,
    number: i64,
    fire_time: Timestamp,
    amount: i64,
}

/// Begins the crossings of a customer that are due, and finds those to be asked for again.
struct Fire {
    cells: [Arc<Cell>; 1],
}

/// Books what came of a crossing.
struct Finish {
    cells: [Arc<Cell>; 1],
    crossing: Crossing,
    grant: GrantId,
    outcome: Result<Payment, String>,
}

impl Mutation for Fire {
    const METHOD: &'static str = "FireTopUp";
    type Answer = Vec<Crossing>;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Vec<Crossing>>, Error> {
        let now = step.now();
        let catalog = step.batch.loader.current().catalog;
        let fired = step.with(&self.cells[0], |account, _| fire(account, &catalog, now))?;
        Ok(Applied::Done(fired))
    }
}

fn fire(account: &mut Account, catalog: &Catalog, now: Timestamp) -> Vec<Crossing> {
    if account.customer.delete_time.is_some() {
        return Vec::new();
    }
    let anchor = account.anchor;
    let keys: Vec<WalletKey> = account
        .book
        .wallets()
        .filter(|wallet| wants_money(wallet, now))
        .map(|wallet| wallet.key().clone())
        .collect();
    let mut fired = Vec::with_capacity(keys.len());
    for wallet in keys {
        let Some(top_up) = &mut account.book.wallet_mut(&wallet).terms_mut().top_up else {
            continue;
        };
        // Without its unit nobody knows what credits cost.
        if !catalog.credit_units.contains_key(&*wallet.unit) {
            top_up.put_off(now);
            continue;
        }
        if top_up.is_overdue(now) {
            top_up.ask_again(now);
        } else {
            top_up.fire(anchor, now);
        }
        fired.push(Crossing {
            number: top_up.state.crossing,
            fire_time: top_up.state.fire_time.unwrap_or(now),
            // Asked for again, it is what was asked for before, whatever was set since.
            amount: top_up.state.pending.unwrap_or(top_up.amount),
            wallet,
        });
    }
    fired
}

/// Whether money is to be asked for, or asked for again.
fn wants_money(wallet: &Wallet, now: Timestamp) -> bool {
    let available = wallet.balance().available;
    let top_up = wallet.head().terms.top_up.as_ref();
    top_up.is_some_and(|top_up| top_up.is_due(available, now) || top_up.is_overdue(now))
}

impl Mutation for Finish {
    const METHOD: &'static str = "FinishTopUp";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let now = step.now();
        step.with(&self.cells[0], |account, _| self.book(account, now))??;
        Ok(Applied::Done(()))
    }
}

impl Finish {
    /// Books a payment, and ends the crossing if it still runs. Money that came is granted in any case, once.
    fn book(&self, account: &mut Account, now: Timestamp) -> Result<(), Error> {
        let crossing = &self.crossing;
        if let Ok(payment) = &self.outcome {
            let about = About {
                note: format!("automatic top-up {}", crossing.number).into(),
                ..About::default()
            };
            let new = NewGrant {
                id: self.grant.clone(),
                amount: crossing.amount,
                priority: 0,
                category: Category::Paid,
                source: payment.source,
                reference: payment.reference.clone(),
                expire_time: None,
            };
            match account.book.grant(&crossing.wallet, new, about, now) {
                Ok(_) | Err(Refusal::PaymentGranted { .. }) => {}
                Err(refusal) => return Err(Error::Wallet(refusal)),
            }
        }
        let terms = account.book.wallet_mut(&crossing.wallet).terms_mut();
        if let Some(top_up) = terms.top_up.as_mut()
            && is_running(top_up, crossing)
        {
            match &self.outcome {
                Ok(_) => top_up.succeed(now),
                Err(declined) => top_up.decline(declined, now),
            }
        }
        Ok(())
    }
}

fn is_running(top_up: &AutoTopUp, crossing: &Crossing) -> bool {
    top_up.state.pending.is_some()
        && top_up.state.crossing == crossing.number
        && top_up.state.fire_time == Some(crossing.fire_time)
}

impl Engine {
    /// Lets somebody move money in the place of whoever bills.
    pub fn set_payments(&self, gateway: Arc<dyn PaymentGateway>) {
        if self.shared.payments.set(gateway).is_err() {
            tracing::error!("who moves money was said twice; the first does");
        }
    }

    /// Returns who moves money: whoever bills, unless somebody else was said to. Without either nobody asks for any.
    fn payment_gateway(&self) -> Option<Arc<dyn PaymentGateway>> {
        if let Some(gateway) = self.shared.payments.get() {
            return Some(Arc::clone(gateway));
        }
        let biller = self.biller().ok()?;
        Some(biller)
    }

    /// Asks for money for those of these customers whose credits are low.
    pub(in crate::engine) async fn top_up(&self, cells: Vec<Arc<Cell>>) {
        let Some(gateway) = self.payment_gateway() else {
            return;
        };
        let now = self.now();
        for cell in cells {
            let wants = |account: &Account| {
                let mut wallets = account.book.wallets();
                wallets.any(|wallet| wants_money(wallet, now))
            };
            let looked = cell.lock().look(now, wants);
            if looked != Some(true) {
                continue;
            }
            let fire = Fire {
                cells: [Arc::clone(&cell)],
            };
            match self.submit(fire).await {
                Ok(fired) => {
                    for crossing in fired {
                        let (engine, gateway) = (self.clone(), Arc::clone(&gateway));
                        let cell = Arc::clone(&cell);
                        tokio::spawn(async move { engine.pay(&*gateway, cell, crossing).await });
                    }
                }
                Err(error) => {
                    tracing::debug!(customer.id = %cell.id, %error, "no money is asked for yet");
                }
            }
        }
    }

    /// Asks for the payment of one crossing and books what comes of it; what is not booked is asked for again later.
    async fn pay(&self, gateway: &dyn PaymentGateway, cell: Arc<Cell>, crossing: Crossing) {
        let charge = match self.charge_of(&cell, &crossing) {
            Ok(charge) => charge,
            Err(error) => {
                tracing::debug!(customer.id = %cell.id, %error, "an automatic top-up is asked for later");
                return;
            }
        };
        let outcome = match gateway.charge(&charge).await {
            Ok(payment) => Ok(payment),
            Err(PaymentFault::Declined(why)) => {
                tracing::info!(customer.id = %cell.id, %why, "an automatic top-up was declined");
                Err(why)
            }
            Err(fault @ PaymentFault::Unknown(_)) => {
                tracing::warn!(customer.id = %cell.id, %fault, "an automatic top-up is asked for again later");
                return;
            }
        };
        let Ok(grant) = GrantId::new(Self::fresh_id().to_string()) else {
            return;
        };
        let finish = Finish {
            cells: [Arc::clone(&cell)],
            crossing,
            grant,
            outcome,
        };
        if let Err(error) = self.submit(finish).await {
            tracing::warn!(customer.id = %cell.id, %error, "an automatic top-up is booked later");
        }
    }

    fn charge_of(&self, cell: &Cell, crossing: &Crossing) -> Result<Charge, Error> {
        let catalog = self.catalog().catalog;
        let unit = catalog.credit_units.get(&*crossing.wallet.unit);
        let gone = || Error::not_found(Thing::CreditUnit, &*crossing.wallet.unit);
        let per_dollar = unit.ok_or_else(gone)?.per_dollar;
        Ok(Charge {
            customer: cell.id.clone(),
            wallet: crossing.wallet.clone(),
            micros: crossing.amount,
            cents: cents_of(crossing.amount, per_dollar),
            idempotency_key: key_of(cell, crossing),
            description: format!("automatic top-up of {} credits", crossing.wallet.unit),
        })
    }
}

/// Returns what credits cost in cents, rounded up: the rate may have changed since the amount was set.
fn cents_of(amount: i64, per_dollar: i64) -> i64 {
    let micros_a_cent = per_dollar.max(1).saturating_mul(MICROS_A_CENT);
    let whole = amount / micros_a_cent;
    whole + i64::from(amount % micros_a_cent != 0)
}

/// Names the payment of a crossing: alike each time it is asked for, and unlike any other, also after a backup was
/// restored in which the same crossing comes at another time.
fn key_of(cell: &Cell, crossing: &Crossing) -> String {
    let owner = crossing.wallet.owner.as_ref().map_or("", |id| id.as_str());
    let name = (
        cell.id.as_str(),
        owner,
        &crossing.wallet.unit,
        crossing.number,
        crossing.fire_time.as_micros(),
    );
    format!("top_up_{}", fingerprint(format!("{name:?}"), 16))
}
