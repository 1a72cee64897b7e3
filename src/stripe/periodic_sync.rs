//! Looks at each customer from time to time although no webhook says so, for webhooks may be lost: about once a day while
//! something runs, and sooner when a period ended without news. Of several processes one looks.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::subscriptions::Follower;
use crate::engine::Engine;

/// Most customers that are looked at in one go.
const SLICE: usize = 64;
/// Most at a time: callers come first.
const IN_FLIGHT: usize = 4;
/// Between looks at who is due.
const PAUSE: Duration = Duration::from_secs(2);

/// Looks at customers that are due.
pub struct PeriodicSync {
    engine: Engine,
    follower: Follower,
}

impl PeriodicSync {
    /// Looks by a follower.
    #[must_use]
    pub const fn new(engine: Engine, follower: Follower) -> Self {
        Self { engine, follower }
    }

    /// Looks at who is due until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            // What is under way ends: another process would only do it again.
            self.once().await;
        }
    }

    /// Looks at those that are due now; returns how many were looked at.
    pub async fn once(&self) -> usize {
        let due = match self.engine.due_payers(SLICE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "it cannot be read which customers to look at");
                return 0;
            }
        };
        let mut running = JoinSet::new();
        let mut looked = 0;
        for (payer, customer) in due {
            while running.len() >= IN_FLIGHT {
                looked += usize::from(matches!(running.join_next().await, Some(Ok(true))));
            }
            let follower = self.follower.clone();
            running.spawn(async move {
                let taken = follower.take_over_if_due(&customer, &payer).await;
                taken.unwrap_or_else(|why| {
                    tracing::warn!(customer.id = %customer, %why, "a customer is looked at later");
                    false
                })
            });
        }
        while let Some(done) = running.join_next().await {
            looked += usize::from(matches!(done, Ok(true)));
        }
        looked
    }
}
