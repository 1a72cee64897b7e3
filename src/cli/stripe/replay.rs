//! `bursar stripe replay`: a running server works on the events of a range as if their webhooks came now.

use std::process::ExitCode;

use clap::Args;
use prost_types::Timestamp as PbTimestamp;

use crate::cli::connect::{SERVER_DEFAULT, connect, refused, run_async, timed};
use crate::cli::failure::Failure;
use crate::cli::instant::parse_instant;
use crate::domain::time::Timestamp;
use crate::grpc::pb;
use pb::operations_service_client::OperationsServiceClient;

/// Which events, and whose.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The first day, or an instant such as `2026-11-01T05:00:00Z`; Stripe keeps events for 30 days
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    from: Timestamp,
    /// The day, or the instant, before which it ends
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    to: Timestamp,
    /// The server
    #[arg(long, env = "BURSAR_SERVER", default_value = SERVER_DEFAULT, value_name = "ADDR")]
    server: String,
}

/// Runs `bursar stripe replay`.
pub(super) fn replay(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let (events, queued) = run_async(ask(args))?;
    println!("{events} events at Stripe, {queued} of them are worked on");
    Ok(ExitCode::SUCCESS)
}

async fn ask(args: &ReplayArgs) -> Result<(i64, i64), Failure> {
    let mut client = OperationsServiceClient::new(connect(&args.server).await?);
    let mut request = pb::ReplayEventsRequest {
        start_time: Some(stamp(args.from)),
        end_time: Some(stamp(args.to)),
        page_token: String::new(),
    };
    let (mut events, mut queued) = (0, 0);
    loop {
        let page = client
            .replay_events(timed(request.clone()))
            .await
            .map_err(refused("the replay"))?
            .into_inner();
        events += i64::from(page.event_count);
        queued += i64::from(page.queued_count);
        if page.next_page_token.is_empty() {
            return Ok((events, queued));
        }
        request.page_token = page.next_page_token;
    }
}

fn stamp(at: Timestamp) -> PbTimestamp {
    let micros = at.as_micros();
    PbTimestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    }
}
