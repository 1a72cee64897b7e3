//! `bursar replay`: sends a recorded trace of requests as usage, and compares what the server counted with the file.

mod customers;
mod in_flight;
mod pace;
mod report;
mod reserve;
mod script;
mod stream;
mod tally;
mod totals;
mod trace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tonic::transport::Channel;

pub use self::report::Report;
pub use self::script::Plan;
pub use self::tally::Tally;
pub use self::trace::{Row, Trace, TraceFault};

use self::pace::Pace;
use self::script::{RUN_DIMENSION, Script, Target};
use super::connect::{SERVER_DEFAULT, connect, refused, run_async, timed};
use super::failure::{DIFFERS, FAULT, Failure, finish};
use super::print::{Paint, Tone, grouped, hex};
use crate::clock;
use crate::domain::catalog::{Aggregation, Catalog, FeatureKind, parse_catalog};
use crate::domain::time::{Span, Timestamp};
use crate::grpc::pb::GetCatalogRequest;
use crate::grpc::pb::catalog_service_client::CatalogServiceClient;

/// The synthetic trace that is sent when none is named.
pub const SAMPLE: &str = include_str!("../../../traces/sample-llm.csv");
/// Its name.
pub const SAMPLE_NAME: &str = "sample-llm.csv (synthetic, built in)";

/// How old usage may be, and how far ahead.
const AGE_MAX: Span = Span::from_days(35);
const AHEAD_MAX: Span = Span::from_minutes(5);

/// The command line of `bursar replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each row becomes two events, one per meter, at its own time moved so that the last row falls on the end time. Customers,
ids and quantities follow from file, seed and number of customers alone: a repeat with the same --end-time sends the same
events, which the server recognises as duplicates.

Examples:
  bursar replay
  bursar replay --trace AzureLLMInferenceTrace_conv.csv --customers 200
  bursar replay --trace AzureLLMInferenceTrace_conv.csv --end-time 2026-01-31T12:00:00Z
  bursar replay --reserve --speed 60

Exit codes:
  0  the server's totals are those of the file
  1  something failed, or events were rejected
  2  the totals differ (also: a wrong command line)")]
pub struct ReplayArgs {
    /// The trace; without it, a small synthetic one that is built in
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How the trace is written
    #[arg(long, value_enum, default_value_t = Format::AzureLlm)]
    format: Format,
    /// How many customers share the requests, a few of them most
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    customers: u32,
    /// The server's gRPC address
    #[arg(long, env = "BURSAR_SERVER", default_value = SERVER_DEFAULT, value_name = "ADDR")]
    server: String,
    /// When the last row happens, as in 2026-01-31T12:00:00Z; without it, now
    #[arg(long, value_name = "T", value_parser = read_time)]
    end_time: Option<Timestamp>,
    /// How many times faster than it happened; 0 is as fast as the server takes it
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = read_speed)]
    speed: f64,
    /// Reserve before each request and commit after it, instead of streaming
    #[arg(long)]
    reserve: bool,
    /// What customers and event ids are drawn from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The meter of what requests read
    #[arg(long, value_name = "METER", default_value = "context_tokens")]
    context_meter: String,
    /// The meter of what requests write
    #[arg(long, value_name = "METER", default_value = "generated_tokens")]
    generated_meter: String,
}

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// CSV with a time, context tokens and generated tokens
    AzureLlm,
}

/// Runs `bursar replay`.
#[must_use]
pub fn run(args: &ReplayArgs) -> ExitCode {
    finish(run_args(args))
}

fn run_args(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let plan = plan(args)?;
    announce(&plan, &args.server);
    let bar = progress(&plan);
    let report = run_async(async {
        let channel = connect(&args.server).await?;
        let report = replay(channel, plan, &bar).await;
        bar.finish_and_clear();
        report
    })?;
    println!("{report}");
    Ok(verdict(&report))
}

fn plan(args: &ReplayArgs) -> Result<Plan, Failure> {
    let trace = match (&args.trace, args.format) {
        (Some(path), Format::AzureLlm) => read_file(path)?,
        (None, Format::AzureLlm) => Trace::read(SAMPLE_NAME, SAMPLE)
            .map_err(|fault| Failure::Unusable(format!("the built-in trace: {fault}")))?,
    };
    let meters = [args.context_meter.clone(), args.generated_meter.clone()];
    if meters[0] == meters[1] {
        let message = "the two meters must differ, or their totals could not be told apart";
        return Err(Failure::Unusable(message.to_owned()));
    }
    Ok(Plan {
        trace,
        customers: args.customers,
        seed: args.seed,
        end_time: args.end_time.unwrap_or_else(clock::wall_clock),
        speed: (args.speed > 0.0).then_some(args.speed),
        reserve: args.reserve,
        meters,
    })
}

fn read_file(path: &Path) -> Result<Trace, Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    Trace::read(&name.to_string_lossy(), &text).map_err(|fault| Failure::Malformed {
        path: path.to_owned(),
        detail: fault.to_string(),
    })
}

/// Says what will be sent, and how to send the same again.
fn announce(plan: &Plan, server: &str) {
    let trace = &plan.trace;
    let seconds = trace.length().as_micros() / 1_000_000;
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    println!(
        "trace       {}: {} requests in {minutes} min {seconds} s, sha256 {}",
        trace.name,
        grouped(trace.rows.len() as i128),
        hex(&trace.digest[..8])
    );
    println!(
        "replay      {} customers, seed {}, to {server}",
        grouped(plan.customers.into()),
        plan.seed
    );
    println!(
        "end time    {}   (repeat with --end-time {})",
        plan.end_time, plan.end_time
    );
    let now = clock::wall_clock();
    let first = plan.end_time.minus(trace.length());
    if now.since(first) > AGE_MAX || plan.end_time.since(now) > AHEAD_MAX {
        let text = "note: usage more than 35 days old or 5 minutes ahead is rejected, and these times reach beyond";
        println!("{}", Paint::stdout().tone(Tone::Note, text));
    }
}

/// Shows progress on standard error, when that is a terminal.
fn progress(plan: &Plan) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} events, {per_sec}, {eta} to go",
    )
    .expect("the template is fixed and was tried");
    ProgressBar::new(plan.trace.rows.len() as u64 * 2).with_style(style)
}

fn verdict(report: &Report) -> ExitCode {
    if report.tally.rejects.contains_key("EVENT_ID_REUSED") {
        println!(
            "these rows were replayed before with another end time: repeat with that --end-time, or take another --seed"
        );
    }
    if !report.totals_match() {
        return ExitCode::from(DIFFERS);
    }
    ExitCode::from(if report.tally.rejected() > 0 {
        FAULT
    } else {
        0
    })
}

/// Replays a plan over a connection, and compares.
///
/// # Errors
/// When the server lacks the meters, or refuses a call for good.
pub async fn replay(channel: Channel, plan: Plan, bar: &ProgressBar) -> Result<Report, Failure> {
    let target = target(channel.clone(), &plan).await?;
    let script = Arc::new(Script::new(plan, target));
    customers::create_customers(channel.clone(), &script.customers()).await?;

    let (pace, mut tally) = (Pace::start(script.plan.speed), Tally::default());
    bar.reset();
    if script.plan.reserve {
        reserve::reserve_all(channel.clone(), &script, &pace, &mut tally, bar).await?;
    } else {
        stream::record_all(channel.clone(), &script, &pace, &mut tally, bar).await?;
    }
    tally.elapsed = pace.elapsed();

    // The server's time may be a little ahead of ours.
    let now = clock::wall_clock().plus(AHEAD_MAX);
    let totals = totals::server_totals(channel, &script, now).await?;
    Ok(Report::new(&script, tally, totals))
}

/// Finds what the plan is for in the server's catalog.
async fn target(channel: Channel, plan: &Plan) -> Result<Target, Failure> {
    let answer = CatalogServiceClient::new(channel)
        .get_catalog(timed(GetCatalogRequest::default()))
        .await
        .map_err(refused("tell its catalog"))?;
    let catalog = parse_catalog(&answer.into_inner().toml).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        Failure::Unusable(format!("the server's catalog is not understood: {first}"))
    })?;
    let mut target = Target::default();
    for (column, id) in plan.meters.iter().enumerate() {
        let meter = catalog
            .meter(id)
            .filter(|meter| meter.aggregation == Aggregation::Sum)
            .ok_or_else(|| {
                Failure::Unusable(format!(
                    "the server's catalog has no meter {id} that sums: add it as in catalogs/default.toml, or name \
                     others with --context-meter and --generated-meter"
                ))
            })?;
        target.marked[column] = meter.dimensions.iter().any(|it| &**it == RUN_DIMENSION);
        if plan.reserve {
            target.features[column] = feature_on(&catalog, id).ok_or_else(|| {
                Failure::Unusable(format!(
                    "the server's catalog has no metered feature on {id} without a filter, so it cannot be reserved"
                ))
            })?;
        }
    }
    Ok(target)
}

/// Returns the first feature that is all of a meter.
fn feature_on(catalog: &Catalog, id: &str) -> Option<String> {
    let mut features = catalog.features.values();
    let found = features.find(|feature| match &feature.kind {
        FeatureKind::Metered { meter, filter } => meter.as_str() == id && filter.0.is_empty(),
        FeatureKind::Boolean
        | FeatureKind::Static
        | FeatureKind::Allocation
        | FeatureKind::Concurrency
        | FeatureKind::Rate => false,
    })?;
    Some(found.id.as_str().to_owned())
}

fn read_time(text: &str) -> Result<Timestamp, String> {
    let wrong = "must be a time as in 2026-01-31T12:00:00Z, from 1970 to 9999";
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong.to_owned())?;
    Timestamp::from_micros(time.as_microsecond()).ok_or_else(|| wrong.to_owned())
}

fn read_speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (0.0..=1e9).contains(speed))
        .ok_or_else(|| "must be a number from 0 to a billion".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan of the sample for 200 customers.
    pub(super) fn sample_plan() -> Plan {
        Plan {
            trace: Trace::read("sample", SAMPLE).expect("it is ours"),
            customers: 200,
            seed: 1,
            end_time: Timestamp::from_micros_clamped(1_800_000_000_123_456),
            speed: None,
            reserve: false,
            meters: ["context_tokens".into(), "generated_tokens".into()],
        }
    }

    #[test]
    fn the_default_catalog_has_what_a_replay_needs() {
        let catalog =
            parse_catalog(include_str!("../../../catalogs/default.toml")).expect("it is shipped");
        for id in sample_plan().meters {
            let meter = catalog.meter(&id).expect("declared");
            assert_eq!(meter.aggregation, Aggregation::Sum);
            assert!(meter.dimensions.iter().any(|it| &**it == RUN_DIMENSION));
            assert_eq!(feature_on(&catalog, &id), Some(id));
        }
    }

    #[test]
    fn times_and_speeds_are_read_or_refused() {
        let time = read_time("2026-01-31T12:00:00.5Z").expect("it is a time");
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.5Z");
        assert!(read_time(&time.to_string()).is_ok_and(|again| again == time));
        for text in ["", "now", "1969-12-31T23:59:59Z", "2026-01-31"] {
            assert!(read_time(text).is_err(), "{text}");
        }
        for text in ["", "-1", "NaN", "inf"] {
            assert!(read_speed(text).is_err(), "{text}");
        }
    }
}
