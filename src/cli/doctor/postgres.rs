//! The database in PostgreSQL that a server would work on.

use std::time::Duration;

use super::Finding;
use crate::clock::{Stopwatch, wall_clock};
use crate::domain::time::Timestamp;
use crate::storage::postgres::{self, Seen};

const SUBJECT: &str = "database";
/// A commit takes about ten round trips; beyond this each reservation takes noticeably long.
const ROUND_TRIP_LONG: Duration = Duration::from_millis(2);
/// Windows are those of the database's time; callers compare them with their own.
const CLOCKS_APART_MAX_MICROS: u64 = 1_000_000;

/// Looks at the database by its address; returns what money it deals in as well.
pub async fn examine(address: &str) -> (Vec<Finding>, String) {
    let watch = Stopwatch::start();
    match postgres::look(address, || watch.elapsed()).await {
        Ok(seen) => (findings(&seen, wall_clock()), seen.money),
        Err(error) => {
            let fault = Finding::fail(
                SUBJECT,
                error.to_string(),
                "see that the address is right, and that this machine and user may connect",
            );
            (vec![fault], String::new())
        }
    }
}

fn findings(seen: &Seen, here: Timestamp) -> Vec<Finding> {
    let version = format!("PostgreSQL {}", seen.version);
    let mut findings = vec![if seen.is_known {
        Finding::ok(SUBJECT, version)
    } else {
        Finding::fail(SUBJECT, version, "15 or later is needed")
    }];
    findings.push(if seen.weak.is_empty() {
        Finding::ok(SUBJECT, "what is acknowledged is durable")
    } else {
        let advice = "set all of them to on; a server refuses to start otherwise";
        Finding::fail(SUBJECT, seen.weak.clone(), advice)
    });
    if seen.is_read_only {
        findings.push(Finding::fail(
            SUBJECT,
            "it can only be read",
            "name the primary, and leave default_transaction_read_only off",
        ));
    }
    let answers = format!("answers in {} µs", seen.round_trip.as_micros());
    findings.push(if seen.round_trip > ROUND_TRIP_LONG {
        let advice = "a commit takes about ten of these: run the server near its database";
        Finding::warn(SUBJECT, answers, advice)
    } else {
        Finding::ok(SUBJECT, answers)
    });
    let apart = seen.now.as_micros().abs_diff(here.as_micros());
    if apart > CLOCKS_APART_MAX_MICROS {
        findings.push(Finding::warn(
            "clock",
            format!("the database's differs from this machine's by {apart} µs"),
            "keep both synchronised: windows begin and end by the database's",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn what_is_wrong_with_a_database_is_found() {
        let here = wall_clock();
        let good = Seen {
            version: String::from("15.14"),
            is_known: true,
            weak: String::new(),
            is_read_only: false,
            now: here,
            round_trip: Duration::from_micros(80),
            money: String::new(),
        };
        let verdicts = |seen: &Seen| {
            let found = findings(seen, here);
            found
                .iter()
                .map(|finding| finding.verdict)
                .collect::<Vec<_>>()
        };
        assert!(verdicts(&good).iter().all(|one| *one == Verdict::Ok));
        let bad = Seen {
            is_known: false,
            weak: String::from("fsync=off"),
            is_read_only: true,
            now: Timestamp::from_micros_clamped(here.as_micros() - 5_000_000),
            round_trip: Duration::from_millis(9),
            ..good
        };
        assert_eq!(
            verdicts(&bad),
            [
                Verdict::Fail,
                Verdict::Fail,
                Verdict::Fail,
                Verdict::Warn,
                Verdict::Warn
            ]
        );
    }
}
