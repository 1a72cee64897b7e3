//! Replaying a trace: every token arrives once, however often it is sent.

use std::path::Path;

use bursar::cli::replay::{Plan, Report, SAMPLE, SAMPLE_NAME, Trace, replay};
use bursar::domain::time::{Span, Timestamp};
use indicatif::ProgressBar;

use crate::harness::{Kind, START, TestServer, run};

/// A public trace that is looked for beside the repository: 19,366 requests.
const PUBLIC: &str = "../shared/data/AzureLLMInferenceTrace_conv.csv";

/// Returns the public trace where it is, else the shipped sample, and prints which.
fn trace() -> Trace {
    let public = Path::new(env!("CARGO_MANIFEST_DIR")).join(PUBLIC);
    let trace = match std::fs::read_to_string(&public) {
        Ok(text) => Trace::read("the public conversation trace", &text),
        Err(_) => Trace::read(SAMPLE_NAME, SAMPLE),
    };
    let trace = trace.expect("it is a trace");
    println!("replaying {}, {} rows", trace.name, trace.rows.len());
    trace
}

fn sample() -> Trace {
    Trace::read(SAMPLE_NAME, SAMPLE).expect("it is ours")
}

fn plan(trace: Trace) -> Plan {
    Plan {
        trace,
        customers: 200,
        seed: 1,
        end_time: Timestamp::from_micros_clamped(START),
        speed: None,
        reserve: false,
        meters: ["context_tokens".to_owned(), "generated_tokens".to_owned()],
    }
}

/// A server with the catalog that ships.
fn server(kind: Kind) -> TestServer {
    TestServer::with(kind, |config| config.catalog = None)
}

async fn send(server: &TestServer, plan: &Plan) -> Report {
    let channel = server.channel().await;
    let report = replay(channel, plan.clone(), &ProgressBar::hidden()).await;
    // What a repeat finds is older than the repeat.
    server.clock.advance(Span::from_secs(1));
    report.expect("the server takes it")
}

/// Checks that all of a plan arrived; `again`: for the second time.
fn complete(report: &Report, plan: &Plan, again: bool) {
    let events = plan.trace.rows.len() as u64 * 2;
    assert!(report.totals_match(), "{report}");
    assert_eq!(report.tally.events, events, "{report}");
    assert_eq!(
        report.tally.duplicates,
        if again { events } else { 0 },
        "{report}"
    );
    assert_eq!(report.tally.rejected(), 0, "{report}");
    assert!(report.tally.denials.is_empty(), "{report}");
}

#[test]
fn a_trace_counts_in_full_and_a_repeat_changes_nothing() {
    let server = server(Kind::Sqlite);
    let plan = plan(trace());
    if plan.trace.rows.len() == 19_366 {
        assert_eq!(plan.trace.sums(), [22_361_870, 4_088_665]);
    }
    run(async {
        complete(&send(&server, &plan).await, &plan, false);
        complete(&send(&server, &plan).await, &plan, true);
        server.stop().await;
    });
}

#[test]
fn replays_are_told_apart() {
    let server = server(Kind::Memory);
    let plan = plan(sample());
    run(async {
        complete(&send(&server, &plan).await, &plan, false);
        // The same rows at other times are other events under ids that are taken.
        let moved = Plan {
            end_time: plan.end_time.minus(Span::from_hours(48)),
            ..plan.clone()
        };
        let refused = send(&server, &moved).await;
        assert_eq!(
            refused.tally.rejects.keys().collect::<Vec<_>>(),
            ["EVENT_ID_REUSED"]
        );
        assert!(!refused.totals_match(), "{refused}");
        complete(&send(&server, &plan).await, &plan, true);
        // Another seed is another replay, and is counted apart.
        let other = Plan {
            seed: 2,
            ..plan.clone()
        };
        complete(&send(&server, &other).await, &other, false);
        server.stop().await;
    });
}

#[test]
fn reserving_first_counts_the_same() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let server = server(kind);
        let plan = Plan {
            reserve: true,
            ..plan(sample())
        };
        run(async {
            let first = send(&server, &plan).await;
            complete(&first, &plan, false);
            assert!(first.tally.beyond_reservation > 0, "{first}");
            assert!(!first.tally.reserves.is_empty());
            complete(&send(&server, &plan).await, &plan, true);
            server.stop().await;
        });
    }
}

#[test]
fn a_speed_keeps_the_distance_between_requests() {
    let server = server(Kind::Memory);
    let plan = Plan {
        speed: Some(400.0),
        ..plan(sample())
    };
    run(async {
        let report = send(&server, &plan).await;
        complete(&report, &plan, false);
        let least = plan.trace.length().as_micros() / 400;
        assert!(
            report.tally.elapsed.as_micros() >= least.unsigned_abs().into(),
            "{report}"
        );
        server.stop().await;
    });
}

#[test]
fn a_meter_that_the_catalog_lacks_is_told_before_anything_is_sent() {
    let server = TestServer::start(Kind::Memory);
    run(async {
        let channel = server.channel().await;
        let refused = replay(channel, plan(sample()), &ProgressBar::hidden()).await;
        let message = refused.expect_err("there is no such meter").to_string();
        assert!(message.contains("no meter context_tokens"), "{message}");
        server.stop().await;
    });
}
