//! The denial log: why a customer was refused, counted by minute, written in the background.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::lists::list_error;
use super::{Engine, Shared};
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{CustomerId, FeatureId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::storage::{Denial, DenialQuery, Page};

/// Most distinct entries that wait to be written; what comes beyond is dropped and counted.
const WAITING_MAX: usize = 10_000;
/// Most customers that do not exist of which denials of one minute are kept: anybody can make up ids.
const UNKNOWN_MAX: usize = 10;
/// Most readings for one page; a page that would take more of them is short.
const READINGS_MAX: usize = 16;
const MINUTE: i64 = 60_000_000;

/// The last denial of a minute, as it is kept in [`Denial::sample`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialSample {
    /// Which part of the customer asked.
    pub subaccount: Option<SubaccountId>,
    /// Units that were asked for.
    pub quantity: i64,
    /// The whole answer.
    pub decision: Decision,
}

type Key = (CustomerId, FeatureId, Reason, i64);

/// How many denials, and the last of them.
type Waiting = HashMap<Key, (i64, DenialSample)>;

/// Denials that wait to be written.
#[derive(Default)]
pub(super) struct DenialLog(Mutex<Log>);

#[derive(Default)]
struct Log {
    waiting: Waiting,
    /// The last minute in which a customer that does not exist was denied, and how many such there were in it.
    unknown: (i64, usize),
}

impl Log {
    /// Notes a denial to a customer that is not known; true when there were enough of them.
    fn is_one_unknown_too_many(&mut self, (_, _, reason, minute): &Key) -> bool {
        if *reason != Reason::CustomerUnknown {
            return false;
        }
        if self.unknown.0 != *minute {
            self.unknown = (*minute, 0);
        }
        self.unknown.1 += 1;
        self.unknown.1 > UNKNOWN_MAX
    }
}

impl Shared {
    /// Notes a denial.
    pub(super) fn note_denial(
        &self,
        customer: &CustomerId,
        subaccount: Option<&SubaccountId>,
        feature: &FeatureId,
        quantity: i64,
        decision: &Decision,
    ) {
        let minute = decision.evaluate_time.as_micros() / MINUTE * MINUTE;
        let key = (customer.clone(), feature.clone(), decision.reason, minute);
        let mut log = self.denials.0.lock();
        let is_new = !log.waiting.contains_key(&key);
        if is_new && (log.waiting.len() >= WAITING_MAX || log.is_one_unknown_too_many(&key)) {
            drop(log);
            self.gauges.denials_dropped.increment(1);
            return;
        }
        let waiting = &mut log.waiting;
        let sample = DenialSample {
            subaccount: subaccount.cloned(),
            quantity,
            decision: decision.clone(),
        };
        match waiting.get_mut(&key) {
            Some(entry) => *entry = (entry.0 + 1, sample),
            None => {
                waiting.insert(key, (1, sample));
            }
        }
    }

    /// Writes the denials that wait. They are a log: what a crash takes of it is at most what came since.
    pub(super) async fn flush_denials(&self) {
        let waiting = std::mem::take(&mut self.denials.0.lock().waiting);
        if waiting.is_empty() {
            return;
        }
        let denials = waiting.iter().filter_map(row).collect();
        if let Err(error) = self.store.log_denials(denials).await {
            tracing::warn!(%error, "denials could not be logged yet");
            self.keep_denials(waiting);
        }
    }

    /// Takes back denials that could not be written, as far as there is room beside those that came since.
    fn keep_denials(&self, unwritten: Waiting) {
        let waiting = &mut self.denials.0.lock().waiting;
        for (key, (count, sample)) in unwritten {
            if let Some(entry) = waiting.get_mut(&key) {
                entry.0 += count;
            } else if waiting.len() < WAITING_MAX {
                waiting.insert(key, (count, sample));
            } else {
                let count = u64::try_from(count).unwrap_or(0);
                self.gauges.denials_dropped.increment(count);
            }
        }
    }
}

fn row(waiting: (&Key, &(i64, DenialSample))) -> Option<Denial> {
    let ((customer, feature, reason, minute), (count, sample)) = waiting;
    Some(Denial {
        customer: customer.clone(),
        feature: feature.clone(),
        reason: reason.as_str().into(),
        minute: Timestamp::from_micros_clamped(*minute),
        count: *count,
        sample: serde_json::to_string(sample).ok()?.into(),
    })
}

/// Denials of one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What is counted.
    pub denial: Denial,
    /// The last of them.
    pub sample: DenialSample,
}

impl Engine {
    /// Lists the denial log, those included that wait to be written; with `subaccount` only those whose last denial
    /// was of this part.
    ///
    /// # Errors
    /// When the store cannot be read, or the page token is of something else.
    pub async fn denials(
        &self,
        mut query: DenialQuery,
        subaccount: Option<&SubaccountId>,
    ) -> Result<Page<Denied>, Error> {
        self.shared.flush_denials().await;
        let limit = query.limit.max(1);
        let mut items = Vec::new();
        for _ in 0..READINGS_MAX {
            query.limit = limit - items.len();
            let page = self.shared.store.denials(query.clone()).await;
            let page = page.map_err(list_error)?;
            items.extend(page.items.into_iter().filter_map(read).filter(|denied| {
                subaccount.is_none() || denied.sample.subaccount.as_ref() == subaccount
            }));
            query.after = page.next;
            if query.after.is_none() || items.len() >= limit {
                break;
            }
        }
        Ok(Page {
            items,
            next: query.after,
        })
    }
}

fn read(denial: Denial) -> Option<Denied> {
    match serde_json::from_str(&denial.sample) {
        Ok(sample) => Some(Denied { denial, sample }),
        Err(error) => {
            tracing::warn!(customer.id = %denial.customer, %error, "a denial cannot be read");
            None
        }
    }
}
