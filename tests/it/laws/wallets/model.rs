//! The naive model: two customers, one of them with two subaccounts, and what each step must come to.

use std::collections::BTreeSet;

use bursar::domain::decision::Reason;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::purse::{Purse, Why};
use super::steps::{self, Op, Step};
use super::usage::{Customer, Fate, Use, Voided};

/// How many wallets each customer has: its own, and those of its subaccounts.
pub const OWNERS: [usize; 2] = [3, 1];

#[derive(Debug, Clone)]
pub struct Model {
    pub now: i64,
    pub customers: Vec<Customer>,
    /// Operations that were sent, by number: whose, what, and whether the answer is kept.
    pub past: Vec<(usize, Op, bool)>,
    next_event: usize,
    /// How often operations were sent.
    attempts: usize,
    /// The last step, as it is to be sent.
    pub sent: Sent,
    pub expected: Outcome,
    /// Whether the step may have changed anything.
    pub changed: bool,
}

/// A step with all that it names.
#[derive(Debug, Clone)]
pub enum Sent {
    Nothing,
    /// An operation of a customer under a request; `other`: with content other than the first time.
    Op {
        who: usize,
        request: usize,
        op: Op,
        other: bool,
    },
    Wait(i64),
    Forget,
    Reopen,
}

/// What a wallet holds: available, held, owed.
pub type Balance = (i64, i64, i64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Nothing,
    /// The answer that the request got before.
    Same,
    /// The request was made before with other content.
    Reused,
    /// It was done, and left these wallets with that.
    Moved(Vec<(usize, Balance)>),
    Refused(Why),
    Recorded(Vec<Fate>),
    Consumed(Result<Fate, Reason>),
    Reserved(Vec<Result<i64, Reason>>),
    Settled(bool),
    Voided(Vec<Voided>),
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let customers = OWNERS.iter().map(|owners| {
            let mut customer = Customer::default();
            customer.vault.purses = vec![Purse::default(); *owners];
            customer
        });
        Just(Self {
            now: 0,
            customers: customers.collect(),
            past: Vec::new(),
            next_event: 0,
            attempts: 0,
            sent: Sent::Nothing,
            expected: Outcome::Nothing,
            changed: false,
        })
        .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        steps::random(state.now)
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.changed = false;
        state.expected = Outcome::Nothing;
        state.sent = match step {
            Step::Do(who, op) => match state.resolve(*who, op) {
                Some(op) => {
                    state.past.push((*who, op, false));
                    state.perform(state.past.len() - 1)
                }
                None => Sent::Nothing,
            },
            Step::Again(which) if !state.past.is_empty() => {
                state.perform(state.past.len() - 1 - which % state.past.len())
            }
            Step::Other(which) if !state.past.is_empty() => {
                state.perform_other(state.past.len() - 1 - which % state.past.len())
            }
            Step::Again(_) | Step::Other(_) => Sent::Nothing,
            Step::Wait(seconds) => {
                state.now += seconds;
                Sent::Wait(*seconds)
            }
            Step::Forget => Sent::Forget,
            Step::Reopen => Sent::Reopen,
        };
        state
    }
}

impl Model {
    /// Replaces numbers that a step chose at random by those of what there is; `None`: there is nothing.
    fn resolve(&mut self, who: usize, op: &Op) -> Option<Op> {
        let (owners, now) = (OWNERS[who], self.now);
        let customer = &self.customers[who];
        let within = |number: usize, count: usize| (count > 0).then(|| count - 1 - number % count);
        let (holds, grants) = (customer.vault.holds.len(), customer.vault.piles.len());
        let reservations = customer.reservations.len();
        let mut next = self.next_event;
        let mut of = |sent: &Use| {
            next += 1;
            Use {
                id: next,
                by: sent.by % owners,
                reservation: sent.reservation.and_then(|id| within(id, reservations)),
                time: sent.time.map(|back| now - back),
                ..sent.clone()
            }
        };
        let op = match op.clone() {
            Op::Grant(mut pile) => {
                pile.owner %= owners;
                pile.end = pile.end.map(|ttl| now + ttl);
                Op::Grant(pile)
            }
            Op::Debit(by, amount, owes) => Op::Debit(by % owners, amount, owes),
            Op::DebitAllBut(by, left) => {
                let mut soon = customer.clone();
                soon.sweep(now);
                let payer = soon.vault.payer(by % owners);
                let rest = soon.vault.available(payer, now) - left;
                Op::Debit(by % owners, (rest > 0).then_some(rest)?, false)
            }
            Op::Hold(by, amount, ttl) => Op::Hold(by % owners, amount, ttl),
            Op::Capture(hold, amount, keep) => Op::Capture(within(hold, holds)?, amount, keep),
            Op::Release(hold) => Op::Release(within(hold, holds)?),
            Op::Transfer(from, to, amount) => Op::Transfer(from % owners, to % owners, amount),
            Op::Expire(grant) => Op::Expire(within(grant, grants)?),
            Op::ClawBack(grant, amount) => Op::ClawBack(within(grant, grants)?, amount),
            Op::Cap(of, amount, is_lifetime) => Op::Cap(of % owners, amount, is_lifetime),
            Op::Record(uses) => Op::Record(uses.iter().map(of).collect()),
            Op::Consume(sent) => Op::Consume(Use {
                time: None,
                reservation: None,
                ..of(&sent)
            }),
            Op::Reserve(by, items, ttl) => Op::Reserve(by % owners, items, ttl),
            Op::Commit(id, uses) => {
                let id = within(id, reservations)?;
                let uses = uses.iter().map(|sent| Use {
                    reservation: Some(id),
                    ..of(sent)
                });
                Op::Commit(id, uses.collect())
            }
            Op::Return(id) => Op::Return(within(id, reservations)?),
            Op::Void(ids) => {
                // Ids begin at 1; the latest is not known yet.
                let ids = ids.iter().map(|id| next + 1 - id % (next + 2));
                let ids: BTreeSet<usize> = ids.collect();
                Op::Void(ids.into_iter().collect())
            }
        };
        self.next_event = next;
        Some(op)
    }

    /// Sends an operation, the first time or again.
    fn perform(&mut self, request: usize) -> Sent {
        let (who, op, is_done) = self.past[request].clone();
        let now = self.now;
        self.attempts += 1;
        self.changed = self.customers[who].sweep(now);
        if is_done {
            self.expected = Outcome::Same;
        } else {
            self.expected = self.customers[who].carry_out(&op, self.attempts, now);
            let (is_kept, changed) = came_to(&self.expected);
            self.past[request].2 = is_kept;
            self.changed |= changed;
        }
        let other = false;
        Sent::Op {
            who,
            request,
            op,
            other,
        }
    }

    /// Sends an operation that was done before with other content.
    fn perform_other(&mut self, request: usize) -> Sent {
        let (who, op, is_done) = self.past[request].clone();
        let op = match op {
            Op::Record(mut uses) => {
                let stored = &self.customers[who].events;
                uses.retain(|sent| stored.contains_key(&sent.id));
                if uses.is_empty() {
                    return Sent::Nothing;
                }
                for sent in &mut uses {
                    sent.quantity += 1;
                }
                self.expected = Outcome::Recorded(vec![Fate::Reused; uses.len()]);
                Op::Record(uses)
            }
            Op::Consume(mut sent) if self.customers[who].events.contains_key(&sent.id) => {
                sent.quantity += 1;
                self.expected = Outcome::Consumed(Ok(Fate::Reused));
                Op::Consume(sent)
            }
            // Their content is what they name.
            Op::Consume(_) | Op::Return(_) => return Sent::Nothing,
            op if !is_done => {
                drop(op);
                return Sent::Nothing;
            }
            op => {
                self.expected = Outcome::Reused;
                op
            }
        };
        self.changed = self.customers[who].sweep(self.now);
        let other = true;
        Sent::Op {
            who,
            request,
            op,
            other,
        }
    }
}

/// Whether an answer is kept for repeats of the request, and whether it changed anything.
fn came_to(outcome: &Outcome) -> (bool, bool) {
    let is_new = |fate: &Fate| *fate == Fate::Recorded;
    match outcome {
        Outcome::Moved(_) | Outcome::Settled(true) => (true, true),
        Outcome::Voided(fates) => (true, fates.contains(&Voided::Now)),
        Outcome::Reserved(items) => {
            let is_granted = items.iter().all(Result::is_ok);
            (is_granted, is_granted)
        }
        Outcome::Recorded(fates) => (false, fates.iter().any(is_new)),
        Outcome::Consumed(Ok(fate)) => (false, is_new(fate)),
        Outcome::Consumed(Err(_)) | Outcome::Settled(false) | Outcome::Refused(_) => (false, false),
        Outcome::Nothing | Outcome::Same | Outcome::Reused => (false, false),
    }
}
