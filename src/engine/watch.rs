//! Watching entitlements: a snapshot, then whatever changes, for caches in clients.
//!
//! Nothing is queued for a watcher. A commit only wakes it; it then looks at the newest state and tells what
//! differs from what it told last, so a slow reader misses steps on the way and never the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::entitlements::{Entitled, EntitledAsk};
use super::error::Error;
use super::{Engine, Shared};
use crate::clock::Stopwatch;
use crate::domain::catalog::CatalogVersion;
use crate::domain::decision::Decision;
use crate::domain::id::{CustomerId, FeatureId};
use crate::domain::time::{Span, Timestamp};

/// Shortest time between two messages, so that a busy customer does not keep its watchers busy.
const PAUSE: Duration = Duration::from_millis(100);
/// Shortest sleep until a window turns.
const TURN_MIN: Duration = Duration::from_millis(10);
/// How long to wait when there are too many watchers.
const CROWD_WAIT: Span = Span::from_secs(5);

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchUpdate {
    /// Everything, in place of all that was known.
    Snapshot(Vec<Entitled>),
    /// What changed.
    Change {
        /// New or changed entitlements.
        entitled: Vec<Entitled>,
        /// Features that the customer no longer has.
        removed: Vec<FeatureId>,
    },
    /// Nothing changed.
    Heartbeat,
}

/// Who watches, by customer.
pub(super) struct Watchers(Mutex<Rooms>);

#[derive(Default)]
struct Rooms {
    rooms: HashMap<CustomerId, Room>,
    seats: usize,
    /// The newest catalog that watchers were woken for.
    catalog: CatalogVersion,
}

/// The watchers of one customer.
struct Room {
    turn: watch::Sender<u64>,
    seats: usize,
}

impl Watchers {
    pub(super) fn new(catalog: CatalogVersion) -> Self {
        Self(Mutex::new(Rooms {
            catalog,
            ..Rooms::default()
        }))
    }

    /// Wakes the watchers of customers that a batch touched; all of them when it applied a catalog.
    pub(super) fn committed<'a>(
        &self,
        touched: impl Iterator<Item = &'a CustomerId>,
        catalog: CatalogVersion,
    ) {
        let mut rooms = self.0.lock();
        let applied = rooms.catalog != catalog;
        rooms.catalog = catalog;
        if applied {
            rooms.wake_all();
            return;
        }
        if rooms.seats == 0 {
            return;
        }
        for customer in touched {
            if let Some(room) = rooms.rooms.get(customer) {
                room.wake();
            }
        }
    }

    /// Wakes everyone.
    pub(super) fn wake_all(&self) {
        self.0.lock().wake_all();
    }

    fn enter(
        &self,
        customer: &CustomerId,
        most_each: usize,
        most: usize,
    ) -> Option<watch::Receiver<u64>> {
        let mut rooms = self.0.lock();
        let here = rooms.rooms.get(customer).map_or(0, |room| room.seats);
        if rooms.seats >= most || here >= most_each {
            return None;
        }
        rooms.seats += 1;
        let room = rooms.rooms.entry(customer.clone()).or_insert_with(|| Room {
            turn: watch::Sender::new(0),
            seats: 0,
        });
        room.seats += 1;
        Some(room.turn.subscribe())
    }

    fn leave(&self, customer: &CustomerId) {
        let mut rooms = self.0.lock();
        rooms.seats = rooms.seats.saturating_sub(1);
        if let Some(room) = rooms.rooms.get_mut(customer) {
            room.seats = room.seats.saturating_sub(1);
            if room.seats == 0 {
                rooms.rooms.remove(customer);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn seats(&self) -> usize {
        self.0.lock().seats
    }
}

impl Rooms {
    fn wake_all(&self) {
        self.rooms.values().for_each(Room::wake);
    }
}

impl Room {
    fn wake(&self) {
        self.turn.send_modify(|turn| *turn = turn.wrapping_add(1));
    }
}

/// A watcher's place, given up when dropped.
struct Seat {
    shared: Arc<Shared>,
    customer: CustomerId,
    turn: watch::Receiver<u64>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.watchers.leave(&self.customer);
    }
}

/// One watcher.
pub struct Watch {
    engine: Engine,
    ask: EntitledAsk,
    heartbeat: Duration,
    seat: Seat,
    /// What was told last; `None`: nothing yet.
    told: Option<BTreeMap<FeatureId, Entitled>>,
    /// Since the last message.
    since: Stopwatch,
}

impl Engine {
    /// Begins to watch a customer's entitlements. `heartbeat` is the longest time without a message.
    ///
    /// # Errors
    /// When the customer or the subaccount does not exist, or too many watch.
    pub async fn watch(&self, ask: EntitledAsk, heartbeat: Span) -> Result<Watch, Error> {
        self.snapshot(&ask).await?;
        let limits = &self.shared.limits;
        let entered = self.shared.watchers.enter(
            &ask.customer,
            limits.watchers_per_customer,
            limits.watchers,
        );
        let turn = entered.ok_or(Error::Overloaded {
            queue: "watchers",
            retry_after: CROWD_WAIT,
        })?;
        let seat = Seat {
            shared: Arc::clone(&self.shared),
            customer: ask.customer.clone(),
            turn,
        };
        Ok(Watch {
            engine: self.clone(),
            ask,
            heartbeat: duration(heartbeat),
            seat,
            told: None,
            since: Stopwatch::start(),
        })
    }
}

impl Watch {
    /// Waits for the next message and returns it with the instant as of which it holds. The first is a snapshot.
    ///
    /// # Errors
    /// When the customer or the subaccount is gone, the store fails, or the service is stopping.
    pub async fn next(&mut self) -> Result<(Timestamp, WatchUpdate), Error> {
        if self.told.is_some() {
            tokio::time::sleep(PAUSE.saturating_sub(self.since.elapsed())).await;
        }
        loop {
            if self.engine.is_draining() {
                return Err(Error::Draining);
            }
            // Before looking: what is committed from here on wakes again.
            self.seat.turn.borrow_and_update();
            let snapshot = self.engine.snapshot(&self.ask).await?;
            let left = self.heartbeat.saturating_sub(self.since.elapsed());
            let now = snapshot.now;
            let update = self.tell(snapshot.entitled);
            let update = update.or(left.is_zero().then_some(WatchUpdate::Heartbeat));
            if let Some(update) = update {
                self.since = Stopwatch::start();
                return Ok((now, update));
            }
            let turns = duration(snapshot.until.since(now)).max(TURN_MIN);
            tokio::select! {
                () = tokio::time::sleep(left.min(turns)) => {}
                woken = self.seat.turn.changed() => {
                    woken.map_err(|_| Error::Draining)?;
                }
            }
        }
    }

    /// Returns what differs from what was told last.
    fn tell(&mut self, entitled: Vec<Entitled>) -> Option<WatchUpdate> {
        let now: BTreeMap<FeatureId, Entitled> = entitled
            .into_iter()
            .map(|one| (one.feature.id.clone(), one))
            .collect();
        let Some(before) = &self.told else {
            let all = now.values().cloned().collect();
            self.told = Some(now);
            return Some(WatchUpdate::Snapshot(all));
        };
        let differs = |one: &&Entitled| {
            let told = before.get(&one.feature.id);
            told.is_none_or(|told| !is_same(told, one))
        };
        let entitled: Vec<Entitled> = now.values().filter(differs).cloned().collect();
        let gone = before.keys().filter(|id| !now.contains_key(*id));
        let removed: Vec<FeatureId> = gone.cloned().collect();
        if entitled.is_empty() && removed.is_empty() {
            return None;
        }
        self.told = Some(now);
        Some(WatchUpdate::Change { entitled, removed })
    }
}

/// Whether two entitlements are the same but for what moves with time alone.
fn is_same(a: &Entitled, b: &Entitled) -> bool {
    a.feature == b.feature
        && a.spec == b.spec
        && a.overridden == b.overridden
        && timeless(&a.decision) == timeless(&b.decision)
}

fn timeless(decision: &Decision) -> Decision {
    let mut still = decision.clone();
    let at = decision.evaluate_time;
    still.evaluate_time = Timestamp::MIN;
    still.retry_after = None;
    // A rolling window ends now.
    still.window = decision.window.filter(|window| window.end != at);
    for limit in &mut still.limits {
        if limit.range.end == at {
            limit.range.start = Timestamp::MIN;
            limit.range.end = Timestamp::MIN;
        }
    }
    still
}

fn duration(span: Span) -> Duration {
    Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(0))
}
