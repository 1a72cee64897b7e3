//! Proving that counters hold what events and reservations say, and putting them right.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::error::Error;
use super::lists::list_error;
use super::load::Loader;
use super::mutation::{Applied, Mutation};
use super::recount::{Held, held};
use super::step::Step;
use super::track::{self, Missing};
use super::{Engine, OVERLOAD_WAIT};
use crate::domain::account::{Account, Effects};
use crate::domain::counter::{Counter, CounterSpec};
use crate::domain::id::{CustomerId, RequestId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::storage::{
    AuditPage, AuditQuery, CounterMismatch, CounterRow, CounterSet, Fold, FoldResult, Use,
};

/// Most corrections that a rebuild tells of.
const CORRECTIONS_MAX: usize = 1000;

/// What a rebuild came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// How many counters were written.
    pub counters: usize,
    /// Those that were wrong before, at most 1000 of them.
    pub corrections: Vec<CounterMismatch>,
}

impl Engine {
    /// Compares counters with what is behind them, one slice of customers at a time.
    ///
    /// # Errors
    /// When the customer does not exist, or the page token is of something else.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditPage, Error> {
        if let Some(customer) = &query.customer {
            self.check_customer(customer).await?;
        }
        self.shared.store.audit(query).await.map_err(list_error)
    }

    /// Writes a customer's counters anew from its events and open reservations.
    ///
    /// # Errors
    /// When the customer does not exist.
    pub async fn rebuild(
        &self,
        caller: &str,
        request: RequestId,
        customer: CustomerId,
    ) -> Result<Rebuilt, Error> {
        let cell = self.customer(&customer).await?;
        let query = AuditQuery {
            customer: Some(customer.clone()),
            after: None,
            limit: 1,
        };
        let page = self.shared.store.audit(query).await?;
        let rebuild = Rebuild {
            cells: [cell],
            asked: Vec::new(),
            suspects: page.mismatches,
        };
        self.submit_once(caller, request, &customer, rebuild).await
    }
}

struct Rebuild {
    cells: [Arc<Cell>; 1],
    /// The counters that are built from events.
    asked: Vec<Missing>,
    /// What an audit found just before; rows of windows that memory does not hold are known from it.
    suspects: Vec<CounterMismatch>,
}

impl Mutation for Rebuild {
    const METHOD: &'static str = "RebuildCounters";
    type Answer = Rebuilt;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn folds(&mut self, _: &Loader, now: Timestamp) -> Vec<Fold> {
        let inner = self.cells[0].lock();
        let Some(account) = &inner.account else {
            return Vec::new();
        };
        self.asked = tracked(account);
        for suspect in &self.suspects {
            let named =
                |one: &Missing| one.subaccount == suspect.subaccount && one.spec == *suspect.spec;
            if !self.asked.iter().any(named) {
                self.asked.push(Missing {
                    subaccount: suspect.subaccount.clone(),
                    spec: (*suspect.spec).clone(),
                });
            }
        }
        track::folds(&self.asked, account, self.cells[0].no(), now)
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Rebuilt>, Error> {
        let (now, folded, loader) = (step.now(), step.folded(), step.batch.loader);
        let (asked, suspects, cell) = (&self.asked, &self.suspects, &self.cells[0]);
        let (rows, rebuilt) = step.with(cell, |account, effects| {
            // Memory let go of the account between the question and the answer.
            if folded.len() != asked.len() || !asked.starts_with(&tracked(account)) {
                return Err(Error::Overloaded {
                    queue: "writes",
                    retry_after: OVERLOAD_WAIT,
                });
            }
            let mut building = Building {
                now,
                suspects,
                held: held(account)?,
                rows: Vec::new(),
                rebuilt: Rebuilt {
                    counters: 0,
                    corrections: suspects.iter().take(CORRECTIONS_MAX).cloned().collect(),
                },
            };
            for (one, result) in asked.iter().zip(folded) {
                let spec = loader.spec(&one.spec);
                building.counter(account, effects, (one, spec), result)?;
            }
            building.rebuilt.counters += building.rows.len();
            Ok((building.rows, building.rebuilt))
        })??;
        let set = |row| CounterSet {
            customer: cell.id.clone(),
            row,
        };
        let changes = &mut step.batch.changes;
        changes.counters.extend(rows.into_iter().map(set));
        Ok(Applied::Done(rebuilt))
    }
}

/// Names every counter that an account keeps.
fn tracked(account: &Account) -> Vec<Missing> {
    let name = |subaccount: Option<&SubaccountId>, spec: &Arc<CounterSpec>| Missing {
        subaccount: subaccount.cloned(),
        spec: (**spec).clone(),
    };
    let own = account.rights.tracked.iter();
    let below = account.subaccounts.iter().flat_map(|(id, state)| {
        let tracked = state.rights.tracked.iter();
        tracked.map(move |spec| name(Some(id), spec))
    });
    own.map(|spec| name(None, spec)).chain(below).collect()
}

/// A rebuild while it goes from counter to counter.
struct Building<'a> {
    now: Timestamp,
    suspects: &'a [CounterMismatch],
    held: Held,
    /// Rows of windows that memory does not hold.
    rows: Vec<CounterRow>,
    rebuilt: Rebuilt,
}

impl Building<'_> {
    /// Builds one counter in all its windows.
    fn counter(
        &mut self,
        account: &mut Account,
        effects: &mut Effects,
        (one, spec): (&Missing, Arc<CounterSpec>),
        result: &FoldResult,
    ) -> Result<(), Error> {
        let sub = one.subaccount.as_ref();
        let mut counter = Counter::empty(spec.window, account.anchor, self.now);
        let folded = track::fill(&mut counter, &spec, sub, result)?;
        let key = (one.subaccount.clone(), Arc::clone(&spec));
        let held = self.held.remove(&key).unwrap_or_default();
        let mut rows: BTreeMap<Timestamp, CounterRow> =
            folded.into_iter().map(|row| (row.start, row)).collect();
        let mut add = |start: Timestamp, used: Milli| {
            let range = spec.window.range(account.anchor, start);
            rows.entry(start).or_insert_with(|| CounterRow {
                subaccount: sub.cloned(),
                spec: Arc::clone(&spec),
                start,
                // One that is no window of this anchor is only held, and ends where it starts.
                end: if range.start == start {
                    range.end
                } else {
                    start
                },
                used: Use::Fixed(used),
                reserved: Milli::ZERO,
            });
        };
        for start in held.keys() {
            add(*start, Milli::ZERO);
        }
        let is_of = |sub: &Option<SubaccountId>, other: &Arc<CounterSpec>| {
            *sub == one.subaccount && *other == spec
        };
        for suspect in self.suspects {
            if is_of(&suspect.subaccount, &suspect.spec) {
                add(suspect.start, suspect.used_expected);
            }
        }
        effects.shifts.retain(|shift| {
            let goes = is_of(&shift.subaccount, &shift.spec);
            if goes {
                add(shift.start, Milli::ZERO);
            }
            !goes
        });
        for row in rows.values_mut() {
            row.reserved = held.get(&row.start).copied().unwrap_or_default();
        }
        counter.reserved = held.get(&counter.start()).copied().unwrap_or_default();
        counter.dirty = true;
        if let Some(slot) = slot(account, sub, &spec) {
            rows.remove(&counter.start());
            self.compare((account, one), &spec, slot, &counter);
            *slot_mut(account, sub, slot)? = counter;
            self.rebuilt.counters += 1;
        }
        self.rows.extend(rows.into_values());
        Ok(())
    }

    /// Notes a counter that memory holds otherwise, if the audit did not see it.
    fn compare(
        &mut self,
        (account, one): (&mut Account, &Missing),
        spec: &Arc<CounterSpec>,
        slot: usize,
        built: &Counter,
    ) {
        let Ok(kept) = slot_mut(account, one.subaccount.as_ref(), slot) else {
            return;
        };
        let (used, reserved) = (kept.used(self.now), kept.reserved);
        let (used_expected, reserved_expected) = (built.used(self.now), built.reserved);
        let noted = self.rebuilt.corrections.iter().any(|other| {
            other.subaccount == one.subaccount
                && other.spec == *spec
                && other.start == built.start()
        });
        let right = used == used_expected && reserved == reserved_expected;
        if right || noted || self.rebuilt.corrections.len() >= CORRECTIONS_MAX {
            return;
        }
        self.rebuilt.corrections.push(CounterMismatch {
            customer: account.customer.id.clone(),
            subaccount: one.subaccount.clone(),
            spec: Arc::clone(spec),
            start: built.start(),
            used,
            used_expected,
            reserved,
            reserved_expected,
        });
    }
}

fn slot(account: &Account, sub: Option<&SubaccountId>, spec: &Arc<CounterSpec>) -> Option<usize> {
    let tracked = match sub {
        None => &account.rights.tracked,
        Some(id) => &account.subaccounts.get(id)?.rights.tracked,
    };
    tracked.iter().position(|kept| kept == spec)
}

fn slot_mut<'a>(
    account: &'a mut Account,
    sub: Option<&SubaccountId>,
    slot: usize,
) -> Result<&'a mut Counter, Error> {
    let counters = match sub {
        None => Some(&mut account.counters),
        Some(id) => account
            .subaccounts
            .get_mut(id)
            .map(|state| &mut state.counters),
    };
    counters
        .and_then(|counters| counters.get_mut(slot))
        .ok_or(Error::Internal)
}
