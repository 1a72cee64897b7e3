//! Replaying as a careful client works: reserve before each request, commit what it used after it.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::in_flight::InFlight;
use super::pace::{Pace, pause};
use super::script::Script;
use super::tally::Tally;
use crate::cli::connect::{may_pass, reason, refused, timed};
use crate::cli::failure::Failure;
use crate::clock::Stopwatch;
use crate::domain::time::Timestamp;
use crate::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use crate::grpc::pb::{
    CheckEntitlementRequest, CommitReservationRequest, CommitReservationResponse, RecordStatus,
    ReleaseReservationRequest, ReserveItem, ReserveRequest, ReserveResponse, UsageResult,
};

/// How often a call is tried before its failure ends the replay.
const TRIES: u32 = 10;
/// Events of one row.
const COLUMNS: u64 = 2;

/// What came of one row.
struct Outcome {
    row: usize,
    reserved_after: Option<Duration>,
    end: End,
}

enum End {
    Denied(String),
    Rejected(String),
    Committed {
        after: Duration,
        results: Vec<UsageResult>,
    },
}

/// Reserves and commits every row.
///
/// # Errors
/// When a call keeps failing, or the features cannot be reserved.
pub async fn reserve_all(
    channel: Channel,
    script: &Arc<Script>,
    pace: &Pace,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let client = EntitlementServiceClient::new(channel);
    let started = server_time(client.clone(), script).await?;
    let usual = script.plan.trace.usual_generated();
    let mut calls = InFlight::new("reserve and commit");
    for row in 0..script.rows() {
        tokio::time::sleep(pace.until(script, row)).await;
        let call = replay_row(client.clone(), Arc::clone(script), row, usual);
        if let Some(outcome) = calls.start(call).await? {
            settle(outcome, script, started, tally, bar);
        }
    }
    while let Some(outcome) = calls.next().await? {
        settle(outcome, script, started, tally, bar);
    }
    Ok(())
}

/// Asks for the server's time, by which the answers of this replay are told from those of one before.
async fn server_time(
    mut client: EntitlementServiceClient<Channel>,
    script: &Script,
) -> Result<Timestamp, Failure> {
    let request = CheckEntitlementRequest {
        customer_id: script.customer(0),
        feature_id: script.target.features[0].clone(),
        quantity: Some(0),
        dry_run: true,
        ..CheckEntitlementRequest::default()
    };
    let answer = client.check_entitlement(timed(request)).await;
    let decision = answer
        .map_err(refused("check an entitlement"))?
        .into_inner()
        .decision;
    Ok(from_proto(decision.and_then(|it| it.evaluate_time)))
}

fn from_proto(time: Option<prost_types::Timestamp>) -> Timestamp {
    time.map_or(Timestamp::MIN, |time| {
        Timestamp::from_micros_clamped(
            time.seconds.saturating_mul(1_000_000) + i64::from(time.nanos / 1_000),
        )
    })
}

async fn replay_row(
    client: EntitlementServiceClient<Channel>,
    script: Arc<Script>,
    row: usize,
    usual: i64,
) -> Result<Outcome, Status> {
    let outcome = |reserved_after, end| Outcome {
        row,
        reserved_after,
        end,
    };
    let clock = Stopwatch::start();
    let reserved = match reserve(client.clone(), &script, row, usual).await {
        Ok(reserved) => reserved,
        Err(status) => return Ok(outcome(None, End::Rejected(final_reason(status)?))),
    };
    let reserved_after = Some(clock.elapsed());
    let Some(reservation) = reserved.reservation else {
        let why = reserved.decision.map_or_else(
            || "UNKNOWN".to_owned(),
            |decision| short(decision.reason().as_str_name(), "DECISION_REASON_"),
        );
        return Ok(outcome(reserved_after, End::Denied(why)));
    };
    let clock = Stopwatch::start();
    let end = match commit(client.clone(), &script, row, &reservation.reservation_id).await {
        Ok(committed) => End::Committed {
            after: clock.elapsed(),
            results: committed.results,
        },
        Err(status) => {
            let why = final_reason(status)?;
            release(client, &script, row, reservation.reservation_id).await;
            End::Rejected(why)
        }
    };
    Ok(outcome(reserved_after, end))
}

/// Tells why a call was refused for good; one that was not is an error again.
fn final_reason(status: Status) -> Result<String, Status> {
    match reason(&status) {
        Some(reason) if !may_pass(&status) => Ok(reason),
        Some(_) | None => Err(status),
    }
}

async fn reserve(
    client: EntitlementServiceClient<Channel>,
    script: &Script,
    row: usize,
    usual: i64,
) -> Result<ReserveResponse, Status> {
    let read = script.plan.trace.rows[row].tokens[0];
    let [context, generated] = &script.target.features;
    // What it will write is not known before; what most requests stay below is asked for.
    let items =
        [(context, read.max(1)), (generated, usual)].map(|(feature, quantity)| ReserveItem {
            feature_id: feature.clone(),
            quantity: Some(quantity),
            ..ReserveItem::default()
        });
    let request = ReserveRequest {
        request_id: script.request_id("reserve", row),
        customer_id: script.customer(row),
        items: items.to_vec(),
        holder: "bursar replay".to_owned(),
        ..ReserveRequest::default()
    };
    let mut failures = 0;
    loop {
        let answer = client.clone().reserve(timed(request.clone())).await;
        if let Some(answer) = retry(answer, &mut failures).await {
            return answer.map(Response::into_inner);
        }
    }
}

async fn commit(
    client: EntitlementServiceClient<Channel>,
    script: &Script,
    row: usize,
    reservation_id: &str,
) -> Result<CommitReservationResponse, Status> {
    let events = [0, 1].map(|column| {
        let mut event = script.event(row, column);
        reservation_id.clone_into(&mut event.reservation_id);
        event
    });
    let request = CommitReservationRequest {
        request_id: script.request_id("commit", row),
        customer_id: script.customer(row),
        reservation_id: reservation_id.to_owned(),
        events: events.to_vec(),
    };
    let mut failures = 0;
    loop {
        let answer = client
            .clone()
            .commit_reservation(timed(request.clone()))
            .await;
        if let Some(answer) = retry(answer, &mut failures).await {
            return answer.map(Response::into_inner);
        }
    }
}

/// Gives back what cannot be committed; if that fails too, it expires by itself.
async fn release(
    mut client: EntitlementServiceClient<Channel>,
    script: &Script,
    row: usize,
    reservation_id: String,
) {
    let request = ReleaseReservationRequest {
        request_id: script.request_id("release", row),
        customer_id: script.customer(row),
        reservation_id,
    };
    let _ = client.release_reservation(timed(request)).await;
}

/// Returns an answer that is final; after one that may pass it waits and returns none.
async fn retry<T>(answer: Result<T, Status>, failures: &mut u32) -> Option<Result<T, Status>> {
    match answer {
        Err(status) if may_pass(&status) && *failures + 1 < TRIES => {
            tokio::time::sleep(pause(*failures)).await;
            *failures += 1;
            None
        }
        answer => Some(answer),
    }
}

fn settle(
    outcome: Outcome,
    script: &Script,
    started: Timestamp,
    tally: &mut Tally,
    bar: &ProgressBar,
) {
    bar.inc(COLUMNS);
    if let Some(delay) = outcome.reserved_after {
        tally.reserves.add(delay, 1);
    }
    match outcome.end {
        End::Denied(reason) => {
            *tally.denials.entry(reason).or_default() += 1;
            let tokens = script.plan.trace.rows[outcome.row].tokens;
            for (sum, tokens) in tally.denied_tokens.iter_mut().zip(tokens) {
                *sum += i128::from(tokens);
            }
        }
        End::Rejected(reason) => {
            tally.events += COLUMNS;
            tally.reject(reason, COLUMNS);
        }
        End::Committed { after, results } => {
            tally.events += COLUMNS;
            tally.acks.add(after, results.len());
            for result in results {
                // A repeated commit gets the first answer, which was recorded before this replay began.
                let again = result.status() == RecordStatus::Duplicate
                    || from_proto(result.record_time) < started;
                tally.duplicates += u64::from(again);
                tally.beyond_reservation += u64::from(result.beyond_reservation);
            }
        }
    }
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}
