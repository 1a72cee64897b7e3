//! Work that is looked for again and again: at once while there is some, after a pause when there was none, and less often
//! while it cannot be looked for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::{Backoff, Error};

/// The longest pause while nothing can be done.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Calls `round` until `stop` is cancelled; it answers how much it did. The log tells once that rounds fail, and once that
/// they do not any more.
pub(super) async fn rounds<F>(
    what: &'static str,
    idle: Duration,
    stop: CancellationToken,
    mut round: impl FnMut() -> F,
) where
    F: Future<Output = Result<usize, Error>>,
{
    let (mut backoff, mut fails) = (Backoff::new(PAUSE_MAX), false);
    while !stop.is_cancelled() {
        let pause = match round().await {
            Ok(done) => {
                if std::mem::take(&mut fails) {
                    tracing::info!(what, "work goes on");
                    backoff.reset();
                }
                Some(if done == 0 { idle } else { Duration::ZERO })
            }
            Err(error) => {
                // Whoever stops is no news.
                let is_news = !matches!(error, Error::Draining);
                if is_news && !std::mem::replace(&mut fails, true) {
                    tracing::warn!(what, %error, "no work can be done; it is tried again and again");
                }
                None
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = rest(pause, &mut backoff) => {}
        }
    }
}

async fn rest(pause: Option<Duration>, backoff: &mut Backoff) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => backoff.pause().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::timeout;

    use super::*;
    use crate::storage::StoreError;

    #[tokio::test(start_paused = true)]
    async fn rounds_that_fail_come_less_often_and_work_is_taken_up_again() {
        let (stop, calls) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (count, end) = (Arc::clone(&calls), stop.clone());
        let fail = move || {
            let (call, end) = (count.fetch_add(1, Ordering::Relaxed), end.clone());
            async move {
                match call {
                    0..60 => Err(StoreError::Unavailable("away".to_owned()).into()),
                    60 => Ok(1),
                    _ => {
                        end.cancel();
                        Ok(0)
                    }
                }
            }
        };
        let working = rounds("tests", Duration::from_secs(1), stop, fail);
        tokio::pin!(working);
        // Half a minute at most each, and half of that on average.
        let soon = timeout(Duration::from_mins(5), &mut working).await;
        assert!(soon.is_err(), "it was tried too often");
        let later = timeout(Duration::from_mins(25), working).await;
        assert!(later.is_ok(), "it was tried too seldom");
        assert_eq!(calls.load(Ordering::Relaxed), 62);
    }
}
