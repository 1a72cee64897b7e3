//! Events that are recorded together, and the parts in which they are handed over.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Engine;
use super::cell::Cell;
use super::error::Error;
use super::record::{Record, RecordAnswer, RecordOutcome};
use crate::domain::catalog::Meter;
use crate::domain::quantity::Excess;
use crate::storage::EventRow;

/// Events of any customers that are recorded together.
pub(super) struct Events {
    pub(super) plain: Arc<Vec<EventRow>>,
    pub(super) plain_meters: Vec<Arc<Meter>>,
    /// Cells of the plain events, then of the others.
    pub(super) cells: Vec<Arc<Cell>>,
    pub(super) probed: Vec<(EventRow, Result<Arc<Meter>, Error>)>,
    /// How much room they take among the events that wait.
    pub(super) size: usize,
    /// That room.
    pub(super) room: Option<Arc<OwnedSemaphorePermit>>,
}

/// The part of events that one committer gets, with where they stood among all.
struct Part {
    events: Arc<Events>,
    plain: Vec<usize>,
    probed: Vec<usize>,
}

impl Events {
    /// Returns some of them, by position.
    fn pick(&self, plain: &[usize], probed: &[usize]) -> Self {
        let (own, others) = self.cells.split_at(self.plain.len());
        let cells = plain.iter().map(|nth| &own[*nth]);
        let cells = cells.chain(probed.iter().map(|nth| &others[*nth]));
        let all = (self.plain.len() + self.probed.len()).max(1);
        Self {
            cells: cells.cloned().collect(),
            plain: Arc::new(plain.iter().map(|nth| self.plain[*nth].clone()).collect()),
            plain_meters: plain
                .iter()
                .map(|nth| Arc::clone(&self.plain_meters[*nth]))
                .collect(),
            probed: probed.iter().map(|nth| self.probed[*nth].clone()).collect(),
            size: self.size * (plain.len() + probed.len()) / all,
            room: self.room.clone(),
        }
    }
}

impl Engine {
    /// Records events, each by the committer of its customer.
    pub(super) async fn record_all(&self, events: Events) -> Result<RecordAnswer, Error> {
        let events = Arc::new(events);
        let Some(parts) = self.parts(&events) else {
            let answer = self.send(Record(Arc::clone(&events)))?;
            return self.record_part(&events, answer).await;
        };
        // All of them wait before the first is waited for.
        let mut waiting = Vec::with_capacity(parts.len());
        for part in parts {
            let answer = self.send(Record(Arc::clone(&part.events)))?;
            waiting.push((part, answer));
        }
        let mut plain: Vec<Option<RecordOutcome>> = vec![None; events.plain.len()];
        let mut probed: Vec<Option<RecordOutcome>> = vec![None; events.probed.len()];
        for (part, answer) in waiting {
            let answer = self.record_part(&part.events, answer).await?;
            for (place, outcome) in part.plain.into_iter().zip(answer.plain) {
                plain[place] = Some(outcome);
            }
            for (place, outcome) in part.probed.into_iter().zip(answer.probed) {
                probed[place] = Some(outcome);
            }
        }
        let all = |outcomes: Vec<Option<RecordOutcome>>| outcomes.into_iter().flatten().collect();
        Ok(RecordAnswer {
            plain: all(plain),
            probed: all(probed),
        })
    }

    /// Returns the parts that belong to different committers; `None`: all belong to one.
    fn parts(&self, events: &Events) -> Option<Vec<Part>> {
        let first = self.lane(events.cells.first()?);
        if self.queues.len() == 1 || events.cells.iter().all(|cell| self.lane(cell) == first) {
            return None;
        }
        let mut places = vec![(Vec::new(), Vec::new()); self.queues.len()];
        let (own, others) = events.cells.split_at(events.plain.len());
        for (nth, cell) in own.iter().enumerate() {
            places[self.lane(cell)].0.push(nth);
        }
        for (nth, cell) in others.iter().enumerate() {
            places[self.lane(cell)].1.push(nth);
        }
        places.retain(|(plain, probed)| !plain.is_empty() || !probed.is_empty());
        let part = |(plain, probed): (Vec<usize>, Vec<usize>)| Part {
            events: Arc::new(events.pick(&plain, &probed)),
            plain,
            probed,
        };
        Some(places.into_iter().map(part).collect())
    }

    /// Waits for what became of events; where a sum would leave 64 bits, records them again in ever smaller parts, so that
    /// only the events which make it do so are rejected.
    async fn record_part(
        &self,
        events: &Events,
        answer: super::mutation::Receiver<Record>,
    ) -> Result<RecordAnswer, Error> {
        match answer.await.map_err(|_| Error::Draining)? {
            Err(Error::Overflow(_)) => {}
            done => return done,
        }
        let mut answer = RecordAnswer::default();
        let (plain, probed) = (0..events.plain.len(), 0..events.probed.len());
        // The last is looked at first: plain events count before those that name a reservation.
        let mut parts = vec![(0..0, probed), (plain, 0..0)];
        while let Some((plain, probed)) = parts.pop() {
            if plain.is_empty() && probed.is_empty() {
                continue;
            }
            let places = |range: &Range<usize>| range.clone().collect::<Vec<_>>();
            let part = events.pick(&places(&plain), &places(&probed));
            match self.submit(Record(Arc::new(part))).await {
                Ok(mut done) => {
                    answer.plain.append(&mut done.plain);
                    answer.probed.append(&mut done.probed);
                }
                Err(Error::Overflow(_)) if plain.len() + probed.len() > 1 => {
                    let (first, second) = (halves(&plain), halves(&probed));
                    parts.push((first.1, second.1));
                    parts.push((first.0, second.0));
                }
                Err(error @ Error::Overflow(_)) => {
                    let (row, outcomes) = if plain.is_empty() {
                        (&events.probed[probed.start].0, &mut answer.probed)
                    } else {
                        (&events.plain[plain.start], &mut answer.plain)
                    };
                    let error = error.blame("quantity", row.event.quantity, Excess::Counted);
                    outcomes.push(RecordOutcome::Rejected(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }
}

/// Cuts a range in two; the second half has the odd one.
fn halves(range: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = range.start + range.len() / 2;
    (range.start..middle, middle..range.end)
}
