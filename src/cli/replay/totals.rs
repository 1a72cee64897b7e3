//! What the server has counted, beside what the file says.

use std::collections::BTreeMap;

use tonic::Status;
use tonic::transport::Channel;

use super::in_flight::InFlight;
use super::script::{RUN_DIMENSION, Script, customer_id, to_proto};
use crate::cli::connect::timed;
use crate::cli::failure::Failure;
use crate::domain::time::{Span, Timestamp};
use crate::grpc::pb::GetUsageRequest;
use crate::grpc::pb::metering_service_client::MeteringServiceClient;

/// Sums what the server has counted per meter, in thousandths of a token.
///
/// # Errors
/// At the first customer whose usage the server does not tell.
pub async fn server_totals(
    channel: Channel,
    script: &Script,
    now: Timestamp,
) -> Result<[i128; 2], Failure> {
    let client = MeteringServiceClient::new(channel);
    let range = counted_range(script, now);
    let (mut totals, mut calls) = ([0; 2], InFlight::new("tell usage"));
    for number in script.customers() {
        for column in [0, 1] {
            let request = GetUsageRequest {
                customer_id: customer_id(number),
                meter_id: script.plan.meters[column].clone(),
                start_time: Some(to_proto(range.0)),
                end_time: Some(to_proto(range.1)),
                filter: run_filter(script, column),
                ..GetUsageRequest::default()
            };
            let call = customer_total(client.clone(), request, column);
            add(&mut totals, calls.start(call).await?);
        }
    }
    while let Some(done) = calls.next().await? {
        add(&mut totals, Some(done));
    }
    Ok(totals)
}

/// Returns the whole hours that the events count in: those of their own times, or, with reservations, those in which
/// they were reserved, in this replay or in one before.
fn counted_range(script: &Script, now: Timestamp) -> (Timestamp, Timestamp) {
    let (first, last) = script.span();
    let (first, last) = if script.plan.reserve {
        (first.minus(Span::from_hours(1)), last.max(now))
    } else {
        (first, last)
    };
    let hour = Span::from_hours(1).as_micros();
    let floor = |time: Timestamp| Timestamp::from_micros_clamped(time.as_micros() / hour * hour);
    (floor(first), floor(last).plus(Span::from_hours(1)))
}

fn run_filter(script: &Script, column: usize) -> BTreeMap<String, String> {
    if script.target.marked[column] {
        BTreeMap::from([(RUN_DIMENSION.to_owned(), script.run.clone())])
    } else {
        BTreeMap::new()
    }
}

async fn customer_total(
    mut client: MeteringServiceClient<Channel>,
    mut request: GetUsageRequest,
    column: usize,
) -> Result<(usize, i128), Status> {
    let mut total = 0;
    loop {
        let answer = client.get_usage(timed(request.clone())).await?.into_inner();
        total += answer
            .rows
            .iter()
            .map(|row| i128::from(row.value_milli))
            .sum::<i128>();
        if answer.next_page_token.is_empty() {
            return Ok((column, total));
        }
        request.page_token = answer.next_page_token;
    }
}

fn add(totals: &mut [i128; 2], done: Option<(usize, i128)>) {
    if let Some((column, total)) = done {
        totals[column] += total;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample_plan;
    use super::*;

    #[test]
    fn the_range_is_whole_hours_around_all_events() {
        let hour = Span::from_hours(1).as_micros();
        for end in [0, 1, hour - 1].map(|rest| 500_000 * hour + rest) {
            let plan = super::super::script::Plan {
                end_time: Timestamp::from_micros_clamped(end),
                ..sample_plan()
            };
            let script = Script::new(plan, super::super::script::Target::default());
            let (from, to) = counted_range(&script, Timestamp::MIN);
            let (first, last) = script.span();
            assert!(from <= first && last < to);
            assert_eq!(from.as_micros() % hour + to.as_micros() % hour, 0);
        }
    }
}
