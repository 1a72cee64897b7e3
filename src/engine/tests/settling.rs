use std::future::Future;

use tokio::task::JoinSet;

use super::setting::{Setting, customer, plan, request};
use crate::domain::id::ReservationId;
use crate::domain::reservation::ReservationState;
use crate::domain::time::Span;
use crate::engine::Error;

async fn held(setting: &Setting) -> ReservationId {
    setting.assign(plan("carry")).await.unwrap();
    let answer = setting.reserve("tokens", 20, None).await;
    answer.reservation.expect("there is room").id
}

/// Runs calls at the same time.
async fn together<F>(calls: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    calls.collect::<JoinSet<F::Output>>().join_all().await
}

fn closed_as(error: &Error) -> &'static str {
    match error {
        Error::ReservationClosed { state, .. } => state,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_commits_that_race_one_wins_and_the_others_are_told() {
    let setting = Setting::new().await;
    let id = held(&setting).await;
    let commits = (0..8).map(|_| {
        let (engine, request, id) = (setting.engine.clone(), setting.fresh(), id.clone());
        async move {
            let events = Vec::new();
            engine
                .commit("t", request, customer("acme"), id, events)
                .await
        }
    });
    let outcomes = together(commits).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for error in lost {
        assert_eq!(closed_as(&error.unwrap_err()), "committed");
    }
}

#[tokio::test]
async fn a_release_that_loses_to_a_commit_is_told_and_one_that_wins_may_be_repeated() {
    let setting = Setting::new().await;
    let id = held(&setting).await;
    let engine = &setting.engine;
    let (commit, release) = tokio::join!(
        engine.commit("t", setting.fresh(), customer("acme"), id.clone(), vec![]),
        engine.release("t", setting.fresh(), customer("acme"), id.clone()),
    );
    assert_eq!(commit.unwrap().0.state, ReservationState::Committed);
    assert_eq!(closed_as(&release.unwrap_err()), "committed");

    let id = held(&setting).await;
    let releases = (0..4).map(|_| {
        let (engine, request, id) = (engine.clone(), setting.fresh(), id.clone());
        async move { engine.release("t", request, customer("acme"), id).await }
    });
    for released in together(releases).await {
        assert_eq!(released.unwrap().state, ReservationState::Released);
    }
}

#[tokio::test]
async fn a_commit_after_the_time_is_over_is_late_until_it_is_done() {
    let setting = Setting::new().await;
    let id = held(&setting).await;
    setting.clock.advance(Span::from_hours(25));
    let engine = &setting.engine;
    let late = || engine.commit("t", request("late"), customer("acme"), id.clone(), vec![]);
    let (ended, _) = late().await.unwrap();
    assert_eq!(ended.state, ReservationState::Expired);
    assert_eq!(
        late().await.unwrap().0,
        ended,
        "a repeat gets the first answer"
    );
}
