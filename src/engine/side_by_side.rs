//! Several things at the same time, and no more than a few: what they wait for, such as one commit, they wait for together.

use tokio::task::JoinSet;

/// Does something with each of these, at most so many at a time; returns what came of them, in no order. What ends without
/// an outcome, since the service stops, is not among them.
pub async fn side_by_side<T, R, F>(
    most: usize,
    things: impl IntoIterator<Item = T>,
    mut work: impl FnMut(T) -> F,
) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut outcomes = Vec::new();
    let mut running = JoinSet::new();
    for thing in things {
        while running.len() >= most.max(1) {
            outcomes.extend(running.join_next().await.and_then(Result::ok));
        }
        running.spawn(work(thing));
    }
    while let Some(ended) = running.join_next().await {
        outcomes.extend(ended);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::side_by_side;

    #[tokio::test]
    async fn all_are_done_and_few_at_a_time() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut done = side_by_side(3, 0..20, |number| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                let running = now.fetch_add(1, Ordering::Relaxed) + 1;
                most.fetch_max(running, Ordering::Relaxed);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::Relaxed);
                number
            }
        })
        .await;
        done.sort_unstable();
        assert_eq!(done, (0..20).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::Relaxed), 3);
    }
}
