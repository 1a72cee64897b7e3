//! The denial log: why a customer was refused, counted by minute, written in the background.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::{Engine, Shared};
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{CustomerId, FeatureId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::storage::{Denial, DenialQuery, Page};

/// Most distinct entries that wait to be written; what comes beyond is dropped and counted.
const WAITING_MAX: usize = 10_000;
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

/// Denials that wait to be written.
#[derive(Default)]
pub(super) struct DenialLog(Mutex<HashMap<Key, (i64, DenialSample)>>);

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
        let mut waiting = self.denials.0.lock();
        if waiting.len() >= WAITING_MAX && !waiting.contains_key(&key) {
            self.gauges.denials_dropped.increment(1);
            return;
        }
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
        let waiting = std::mem::take(&mut *self.denials.0.lock());
        if waiting.is_empty() {
            return;
        }
        let denials = waiting
            .into_iter()
            .filter_map(|((customer, feature, reason, minute), (count, sample))| {
                Some(Denial {
                    customer,
                    feature,
                    reason: reason.as_str().into(),
                    minute: Timestamp::from_micros_clamped(minute),
                    count,
                    sample: serde_json::to_string(&sample).ok()?.into(),
                })
            })
            .collect();
        if let Err(error) = self.store.log_denials(denials).await {
            tracing::warn!(%error, "denials could not be logged");
        }
    }
}

impl Engine {
    /// Lists the denial log, those included that wait to be written.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn denials(&self, query: DenialQuery) -> Result<Page<Denial>, Error> {
        self.shared.flush_denials().await;
        Ok(self.shared.store.denials(query).await?)
    }
}
