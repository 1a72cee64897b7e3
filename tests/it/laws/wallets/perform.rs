//! One operation on the engine, and what its answer says.

use bursar::domain::id::{EventId, FeatureId, MeterId, RequestId};
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::domain::wallet::{Balance, WalletKey};
use bursar::engine::{
    CaptureCall, ClawBackCall, ConsumeAsk, DebitCall, Error, ExpireGrantCall, Granted, HoldView,
    ReleaseHoldCall, ReserveCall, TransferCall, VoidAsk, VoidStatus, VoidWhat,
};
use serde::Serialize;

use super::super::backends::Backend;
use super::answers::fate;
use super::calls::{cap_call, grant_call};
use super::market::FEATURES;
use super::model::Outcome;
use super::steps::Op;
use super::system::{System, at, customer, key, owner, part, seconds, wallet};
use super::usage::{Fate, Use, Voided};

/// Wallets that an answer tells of, and what they hold since.
type Moves = Vec<(WalletKey, Balance)>;

impl<B: Backend> System<B> {
    /// Sends an operation under its request, with other content than the first time if `other`.
    pub fn perform(&mut self, who: usize, request: usize, op: &Op, other: bool) -> Outcome {
        match op {
            Op::Record(uses) => self.record(who, uses),
            Op::Consume(sent) => self.consume(who, sent),
            Op::Reserve(by, items, ttl) => self.reserve(who, request, (*by, items, *ttl), other),
            Op::Commit(id, uses) => self.commit(who, request, *id, uses, other),
            Op::Return(id) => {
                let named = self.named[who].reservations[*id].clone();
                let release = self.engine();
                let release = release.release("test", id_of(request), customer(who), named);
                let done = self.runtime.block_on(release);
                self.settled(request, done)
            }
            Op::Void(ids) => self.void(who, request, ids, other),
            op => {
                let note = if other { "other" } else { "" };
                match self.move_credits(who, request, op, note) {
                    Ok(moves) => {
                        let told = |(key, held): (WalletKey, Balance)| {
                            let balance = (held.available, held.held, held.receivable);
                            (owner(&key), balance)
                        };
                        Outcome::Moved(moves.into_iter().map(told).collect())
                    }
                    Err(Error::RequestIdReused { .. }) => Outcome::Reused,
                    Err(Error::Wallet(refusal)) => Outcome::Refused(self.why(who, &refusal)),
                    Err(error) => panic!("{op:?}: {error}"),
                }
            }
        }
    }

    /// A repeat must get the answer that the request got first.
    fn keep<A: Serialize>(&mut self, request: usize, answer: &A) {
        let text = serde_json::to_string(answer).unwrap();
        let before = self.answers.entry(request).or_insert_with(|| text.clone());
        assert_eq!(*before, text, "L5: the first answer again");
    }

    fn move_credits(
        &mut self,
        who: usize,
        request: usize,
        op: &Op,
        note: &str,
    ) -> Result<Moves, Error> {
        let (engine, id) = (self.engine(), id_of(request));
        let told = |moved: bursar::engine::Moved| (moved.wallet, moved.balance);
        let moves = match *op {
            Op::Grant(ref pile) => {
                let call = grant_call(who, pile, note);
                let done = self
                    .runtime
                    .block_on(engine.grant_credits("test", id, call))?;
                self.keep(request, &done);
                vec![told(done.moved)]
            }
            Op::Debit(by, amount, may_owe) => {
                let call = DebitCall {
                    spender: wallet(who, by),
                    amount,
                    may_owe,
                    note: note.into(),
                };
                let done = self
                    .runtime
                    .block_on(engine.debit_credits("test", id, call))?;
                self.keep(request, &done);
                vec![told(done)]
            }
            Op::Transfer(from, to, amount) => {
                let call = TransferCall {
                    customer: customer(who),
                    unit: "USD".into(),
                    from: part(from),
                    to: part(to),
                    id: None,
                    amount,
                    note: note.into(),
                };
                let done = self
                    .runtime
                    .block_on(engine.transfer_credits("test", id, call))?;
                self.keep(request, &done);
                vec![told(done.0), told(done.1)]
            }
            Op::Cap(of, amount, is_lifetime) => {
                let amount = if note.is_empty() {
                    amount
                } else {
                    Some(amount.map_or(1, |amount| amount + 1))
                };
                let call = cap_call(who, of, amount, is_lifetime);
                let done = self
                    .runtime
                    .block_on(engine.set_spend_cap("test", id, call))?;
                self.keep(request, &done);
                vec![(key(of), done.balance)]
            }
            Op::Expire(_) | Op::ClawBack(..) => self.move_back(who, request, op, note)?,
            _ => self.move_held(who, request, op, note)?,
        };
        Ok(moves)
    }

    fn move_back(
        &mut self,
        who: usize,
        request: usize,
        op: &Op,
        note: &str,
    ) -> Result<Moves, Error> {
        let (engine, id) = (self.engine(), id_of(request));
        let done: Granted = match *op {
            Op::Expire(grant) => {
                let call = ExpireGrantCall {
                    customer: customer(who),
                    grant: self.named[who].grants[grant].clone(),
                    note: note.into(),
                };
                self.runtime
                    .block_on(engine.expire_grant("test", id, call))?
            }
            Op::ClawBack(grant, amount) => {
                let call = ClawBackCall {
                    customer: customer(who),
                    grant: self.named[who].grants[grant].clone(),
                    amount,
                    note: note.into(),
                };
                self.runtime
                    .block_on(engine.claw_back_grant("test", id, call))?
            }
            ref op => panic!("{op:?} takes nothing back"),
        };
        self.keep(request, &done);
        Ok(vec![(done.moved.wallet, done.moved.balance)])
    }

    fn move_held(
        &mut self,
        who: usize,
        request: usize,
        op: &Op,
        note: &str,
    ) -> Result<Moves, Error> {
        let (engine, id) = (self.engine(), id_of(request));
        let done: HoldView = match *op {
            Op::Hold(by, amount, ttl) => {
                let asked = (amount, seconds(ttl));
                let hold = engine.hold_credits("test", id, wallet(who, by), asked, note.into());
                let done = self.runtime.block_on(hold)?;
                if !self.named[who].holds.contains(&done.id) {
                    self.named[who].holds.push(done.id.clone());
                }
                done
            }
            Op::Capture(hold, amount, keep_open) => {
                let call = CaptureCall {
                    customer: customer(who),
                    hold: self.named[who].holds[hold].clone(),
                    amount,
                    keep_open,
                    note: note.into(),
                };
                self.runtime
                    .block_on(engine.capture_hold("test", id, call))?
            }
            Op::Release(hold) => {
                let call = ReleaseHoldCall {
                    customer: customer(who),
                    hold: self.named[who].holds[hold].clone(),
                    note: note.into(),
                };
                self.runtime
                    .block_on(engine.release_hold("test", id, call))?
            }
            ref op => panic!("{op:?} moves nothing"),
        };
        self.keep(request, &done);
        Ok(vec![(done.wallet, done.balance)])
    }

    fn event(&self, who: usize, sent: &Use) -> UsageEvent {
        let named = sent.reservation;
        UsageEvent {
            event_id: EventId::new(format!("e{}", sent.id)).unwrap(),
            customer_id: customer(who),
            subaccount_id: part(sent.by),
            meter_id: MeterId::new(FEATURES[sent.feature]).unwrap(),
            quantity: sent.quantity,
            event_time: sent.time.map(at),
            dimensions: Labels::new(),
            metadata: Labels::new(),
            reservation_id: named.map(|id| self.named[who].reservations[id].clone()),
        }
    }

    fn record(&self, who: usize, uses: &[Use]) -> Outcome {
        let engine = self.engine();
        let events = uses.iter().map(|sent| self.event(who, sent)).collect();
        let outcomes = self.runtime.block_on(async {
            let prepared = engine.prepare(events).await.unwrap();
            engine.record(prepared).await.unwrap()
        });
        Outcome::Recorded(outcomes.iter().map(fate).collect())
    }

    fn consume(&self, who: usize, sent: &Use) -> Outcome {
        let ask = ConsumeAsk {
            event: self.event(who, sent),
            feature: FeatureId::new(FEATURES[sent.feature]).unwrap(),
            verbose: false,
        };
        Outcome::Consumed(match self.runtime.block_on(self.engine().consume(ask)) {
            Ok(consumed) => match &consumed.outcome {
                Some(outcome) => Ok(fate(outcome)),
                None => Err(consumed.decision.reason),
            },
            Err(Error::EventIdReused { .. }) => Ok(Fate::Reused),
            Err(error) => panic!("{error}"),
        })
    }

    fn reserve(
        &mut self,
        who: usize,
        request: usize,
        (by, items, ttl): (usize, &[(usize, i64, i64)], i64),
        other: bool,
    ) -> Outcome {
        let item = |(of, want, least): &(usize, i64, i64)| {
            let feature = FeatureId::new(FEATURES[*of]).unwrap();
            (feature, *want, *least, Labels::new())
        };
        let call = ReserveCall {
            customer: customer(who),
            subaccount: part(by),
            items: items.iter().map(item).collect(),
            ttl: seconds(ttl),
            holder: if other { "other" } else { "worker" }.into(),
            metadata: Labels::new(),
            verbose: false,
        };
        let reserve = self.engine();
        let reserve = reserve.reserve("test", id_of(request), call);
        let answer = match self.runtime.block_on(reserve) {
            Ok(answer) => answer,
            Err(Error::RequestIdReused { .. }) => return Outcome::Reused,
            Err(error) => panic!("{error}"),
        };
        if let Some(made) = &answer.reservation {
            self.keep(request, &answer);
            if !self.named[who].reservations.contains(&made.id) {
                self.named[who].reservations.push(made.id.clone());
            }
        }
        let decisions = answer.decisions.iter().map(|decision| {
            if decision.allowed {
                Ok(decision.granted)
            } else {
                Err(decision.reason)
            }
        });
        Outcome::Reserved(decisions.collect())
    }

    fn commit(
        &mut self,
        who: usize,
        request: usize,
        id: usize,
        uses: &[Use],
        other: bool,
    ) -> Outcome {
        let mut events: Vec<UsageEvent> = uses.iter().map(|sent| self.event(who, sent)).collect();
        if other {
            let one = Use {
                id: 0,
                by: 0,
                feature: 0,
                quantity: 1,
                time: None,
                reservation: None,
            };
            events.push(self.event(who, &one));
        }
        let named = self.named[who].reservations[id].clone();
        let commit = self.engine();
        let commit = commit.commit("test", id_of(request), customer(who), named, events);
        let done = self.runtime.block_on(commit);
        self.settled(request, done)
    }

    fn settled<A: Serialize>(&mut self, request: usize, done: Result<A, Error>) -> Outcome {
        match done {
            Ok(answer) => {
                self.keep(request, &answer);
                Outcome::Settled(true)
            }
            // Its events are too old by now, or it ended before.
            Err(Error::ReservationClosed { .. } | Error::Invalid { .. }) => Outcome::Settled(false),
            Err(Error::RequestIdReused { .. }) => Outcome::Reused,
            Err(error) => panic!("{error}"),
        }
    }

    fn void(&mut self, who: usize, request: usize, ids: &[usize], other: bool) -> Outcome {
        let ids = ids.iter().map(|id| EventId::new(format!("e{id}")).unwrap());
        let ask = VoidAsk {
            customer: customer(who),
            what: VoidWhat::Ids(ids.collect()),
            reason: if other { "other" } else { "" }.into(),
            dry_run: false,
        };
        let void = self.engine();
        match self
            .runtime
            .block_on(void.void("test", id_of(request), ask))
        {
            Ok(answer) => {
                self.keep(request, &answer);
                let status = answer.results.iter().map(|result| match result.status {
                    VoidStatus::Voided => Voided::Now,
                    VoidStatus::AlreadyVoided => Voided::Before,
                    VoidStatus::NotFound => Voided::Never,
                    VoidStatus::TooOld => Voided::TooOld,
                });
                Outcome::Voided(status.collect())
            }
            Err(Error::RequestIdReused { .. }) => Outcome::Reused,
            Err(error) => panic!("{error}"),
        }
    }
}

fn id_of(request: usize) -> RequestId {
    RequestId::new(format!("request-{request}")).unwrap()
}
