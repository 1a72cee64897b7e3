//! This process's shares of rates: looked up for each token, settled with the other processes twice a second.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::background::every;
use super::error::Error;
use super::rates::Asked;
use super::{Engine, Shared};
use crate::domain::catalog::RateSpec;
use crate::domain::id::{CustomerId, FeatureId};
use crate::domain::rate_share::{WHOLE, Want, divide, parts_of, settle};
use crate::domain::time::Timestamp;
use crate::storage::{RateClaims, RateKey, RateTable};

/// Between settlements.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// How long a process waits for a share of rates before it serves without one.
const JOIN_MAX: Duration = Duration::from_secs(3);
/// Most rates that this process brings forward in one settlement.
const BROUGHT_MAX: usize = 1_000;
/// A rate of which nobody wanted anything for so many settlements is shared evenly again.
const QUIET_AFTER: u32 = 20;

/// This process's shares of rates.
pub(super) struct Shares {
    /// Whether there are others.
    is_shared: bool,
    /// Of each rate that has no share of its own.
    default: AtomicU32,
    /// Until when the shares are this process's own, unless it says so anew.
    until: AtomicI64,
    has_own: AtomicBool,
    /// By customer, so that a key need not be made to look one up.
    own: RwLock<HashMap<CustomerId, HashMap<FeatureId, u32>>>,
    /// Rates of which more was wanted than the share.
    wanting: Mutex<HashSet<RateKey>>,
    wants: Mutex<HashMap<RateKey, Wanted>>,
}

/// What callers wanted of a rate lately.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    want: Want,
    /// For how many settlements nothing.
    quiet: u32,
}

impl Shares {
    pub(super) fn new(is_shared: bool) -> Self {
        Self {
            is_shared,
            default: AtomicU32::new(0),
            until: AtomicI64::new(i64::MIN),
            has_own: AtomicBool::new(false),
            own: RwLock::default(),
            wanting: Mutex::default(),
            wants: Mutex::default(),
        }
    }

    /// Returns this process's share of a rate, in parts. `is_outage`: nobody can settle anything, so what was settled
    /// holds.
    pub(super) fn of(
        &self,
        customer: &CustomerId,
        feature: &FeatureId,
        now: Timestamp,
        is_outage: bool,
    ) -> u32 {
        if !self.is_shared {
            return WHOLE;
        }
        if now.as_micros() >= self.until.load(Ordering::Acquire) && !is_outage {
            return 0;
        }
        if self.has_own.load(Ordering::Acquire) {
            let own = self.own.read();
            if let Some(parts) = own.get(customer).and_then(|own| own.get(feature)) {
                return *parts;
            }
        }
        self.default.load(Ordering::Acquire)
    }

    /// Returns this process's share of a rate that is always shared evenly.
    pub(super) fn default_part(&self) -> u32 {
        if self.is_shared {
            self.default.load(Ordering::Acquire)
        } else {
            WHOLE
        }
    }

    /// Notes that more was wanted of a rate than the share.
    pub(super) fn note_refused(&self, customer: &CustomerId, feature: &FeatureId, parts: u32) {
        if !self.is_shared || parts >= WHOLE {
            return;
        }
        let mut wanting = self.wanting.lock();
        if wanting.len() < BROUGHT_MAX {
            wanting.insert(RateKey {
                customer: customer.clone(),
                feature: feature.clone(),
            });
        }
    }

    /// Takes what is claimed: `lower` only where it is less, before others can know of it; then all of it.
    fn take(&self, claims: &RateClaims, lower: bool) {
        let pick = |before: u32, parts: u32| if lower { before.min(parts) } else { parts };
        let mut own = self.own.write();
        let default = self.default.load(Ordering::Acquire);
        let mut next: HashMap<CustomerId, HashMap<FeatureId, u32>> = HashMap::new();
        for (key, parts, _) in &claims.shares {
            let before = own.get(&key.customer).and_then(|own| own.get(&key.feature));
            let parts = pick(before.copied().unwrap_or(default), *parts);
            let of = next.entry(key.customer.clone()).or_default();
            of.insert(key.feature.clone(), parts);
        }
        if lower {
            // Those that are given up stay until that is known.
            for (customer, own) in own.drain() {
                let of = next.entry(customer).or_default();
                for (feature, parts) in own {
                    of.entry(feature).or_insert(parts.min(claims.default));
                }
            }
        }
        self.has_own.store(!next.is_empty(), Ordering::Release);
        *own = next;
        self.default
            .store(pick(default, claims.default), Ordering::Release);
    }

    /// Decides what this process takes, of what all hold and want.
    fn claim(&self, table: &RateTable) -> RateClaims {
        let count = table.defaults.len().max(1);
        let even = WHOLE / u32::try_from(count).unwrap_or(WHOLE);
        let published = table.defaults.get(table.own).copied().unwrap_or(0);
        let sum: u64 = table.defaults.iter().copied().map(u64::from).sum();
        let mut claims = RateClaims {
            default: settle(published, even, sum - u64::from(published)),
            shares: Vec::new(),
        };
        let mut rows: BTreeMap<&RateKey, Vec<Option<(u32, Want)>>> = BTreeMap::new();
        for share in &table.shares {
            let row = rows.entry(&share.key).or_insert_with(|| vec![None; count]);
            row[share.process] = Some((share.parts, share.want));
        }
        let mut wants = self.wants.lock();
        for key in wants.keys() {
            rows.entry(key).or_insert_with(|| vec![None; count]);
        }
        let mut quiet = Vec::new();
        for (key, row) in rows {
            let held = |nth: usize| row[nth].map_or(table.defaults[nth], |(parts, _)| parts);
            let current = held(table.own);
            let others: u64 = (0..count)
                .filter(|nth| *nth != table.own)
                .map(|nth| u64::from(held(nth)))
                .sum();
            let mine = wants.get(key).copied().unwrap_or(Wanted {
                quiet: QUIET_AFTER,
                ..Wanted::default()
            });
            let mut all: Vec<Want> = row
                .iter()
                .map(|row| row.map(|(_, want)| want).unwrap_or_default())
                .collect();
            all[table.own] = mine.want;
            let nobody = mine.quiet >= QUIET_AFTER && all.iter().all(|want| want.parts == 0);
            let target = if nobody {
                claims.default
            } else {
                divide(&all)[table.own]
            };
            let parts = settle(current, target, others);
            if nobody && parts == claims.default {
                quiet.push(key.clone());
            } else {
                claims.shares.push((key.clone(), parts, mine.want));
            }
        }
        for key in quiet {
            wants.remove(&key);
        }
        claims
    }
}

impl Engine {
    /// Settles shares of rates with other processes until `stop` is cancelled; does nothing where there are none.
    pub async fn share_rates(self, stop: CancellationToken) {
        if !self.shared.store.is_shared() {
            return;
        }
        let mut ticks = every(SETTLE);
        loop {
            let settled = async {
                ticks.tick().await;
                self.settle_rates().await
            };
            // A database that does not answer must not hold up the end.
            let settled = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                settled = settled => settled,
            };
            if let Err(error) = settled {
                tracing::debug!(%error, "shares of rates cannot be settled now");
            }
        }
    }

    /// Settles shares of rates until the others have made room for this process, which takes them one or two
    /// settlements; without a share, all that has a rate would be refused at first. Gives up after three seconds.
    pub async fn join_rates(&self) {
        let mut ticks = every(SETTLE / 4);
        let joining = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.settle_rates().await {
                    tracing::warn!(%error, "shares of rates cannot be settled now");
                }
                if self.shared.shares.default_part() > 0 {
                    break;
                }
            }
        };
        if timeout(JOIN_MAX, joining).await.is_err() {
            tracing::warn!("this process has no share of rates yet: the others hold all");
        }
    }

    /// Settles shares of rates once.
    ///
    /// # Errors
    /// When the store fails; the shares before hold until their time is over.
    pub async fn settle_rates(&self) -> Result<(), Error> {
        let shared = &self.shared;
        if !shared.store.is_shared() {
            return Ok(());
        }
        shared.gather_wants();
        let begun = self.now();
        let claimed = Arc::new(Mutex::new(None));
        let (told, engine) = (Arc::clone(&claimed), Arc::clone(shared));
        let claim = move |table: &RateTable| {
            let claims = engine.shares.claim(table);
            engine.shares.take(&claims, true);
            *told.lock() = Some(claims.clone());
            claims
        };
        let lease = shared.store.share_rates(Box::new(claim)).await?;
        if let (Some(lease), Some(claims)) = (lease, claimed.lock().take()) {
            shared.shares.take(&claims, false);
            let until = begun.plus(lease).as_micros();
            shared.shares.until.store(until, Ordering::Release);
        }
        Ok(())
    }
}

impl Shared {
    /// Looks at what was asked of the rates that this process brings forward or has a share of.
    fn gather_wants(&self) {
        let (shares, at) = (&self.shares, self.clock.now());
        let mut keys = std::mem::take(&mut *shares.wanting.lock());
        for (customer, own) in &*shares.own.read() {
            keys.extend(own.keys().map(|feature| RateKey {
                customer: customer.clone(),
                feature: feature.clone(),
            }));
        }
        let mut wants = shares.wants.lock();
        for key in keys {
            let asked = self.accounts.get(key.customer.as_str()).and_then(|cell| {
                let mut inner = cell.lock();
                inner.rates.asked(&key.feature, at)
            });
            let now = asked.map_or(Want::default(), |(spec, asked)| want(spec, asked, at));
            let wanted = wants.entry(key).or_default();
            wanted.quiet = if now.parts == 0 { wanted.quiet + 1 } else { 0 };
            // What is wanted more counts at once, what is wanted less by and by.
            wanted.want.parts = now.parts.max(wanted.want.parts / 2);
            if wanted.quiet > 4 {
                wanted.want.parts = 0;
            }
            wanted.want.least = now.least.max(wanted.want.least);
            if wanted.quiet >= QUIET_AFTER {
                wanted.want.least = 0;
            }
        }
    }
}

/// Returns what was asked for up to `now` as a part of the rate.
fn want(spec: RateSpec, asked: Asked, now: Timestamp) -> Want {
    let least = u64::try_from(SETTLE.as_micros()).unwrap_or(1);
    let between = u64::try_from(now.since(asked.since).as_micros()).unwrap_or(0);
    // Of a shorter time, one call would seem a flood.
    let between = between.max(least);
    let per = u64::try_from(spec.per.as_micros()).unwrap_or(1);
    let whole = u64::from(spec.amount).saturating_mul(between);
    let largest = asked.largest.min(spec.burst);
    Want {
        parts: parts_of(asked.tokens.saturating_mul(per), whole),
        least: match largest {
            0 | 1 => 0,
            large => parts_of(u64::from(large), u64::from(spec.burst)).min(WHOLE),
        },
    }
}
