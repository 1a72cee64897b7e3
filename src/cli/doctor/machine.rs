//! The clock and the limits of this machine.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::cli::print::grouped;
use crate::clock::{Stopwatch, wall_clock};
use crate::domain::time::Timestamp;

/// How long the two clocks are compared.
const WATCHED: Duration = Duration::from_millis(200);
/// How far they may be apart after that, in microseconds.
const APART_MAX_MICROS: i64 = 5_000;
/// No machine whose clock is set tells an earlier time: 2026-01-01.
const EARLIEST: Timestamp = Timestamp::from_micros_clamped(1_767_225_600_000_000);
/// Where systemd says that it has synchronised the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Fewer open files than this are soon used up: each connection takes one.
const OPEN_FILES_LOW: u64 = 4_096;

/// Compares the wall clock, which is also that of an embedded database, with the monotonic one.
pub async fn examine_clock() -> Vec<Finding> {
    let (before, watch) = (wall_clock(), Stopwatch::start());
    tokio::time::sleep(WATCHED).await;
    let (after, elapsed) = (wall_clock(), watch.elapsed());
    let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
    let apart = after.as_micros() - before.as_micros() - elapsed;
    vec![clock_finding(
        after,
        apart,
        Path::new(SYNCHRONISED).exists(),
    )]
}

fn clock_finding(now: Timestamp, apart_micros: i64, synchronised: bool) -> Finding {
    let advice = "keep the clock synchronised, with chrony or systemd-timesyncd";
    if now < EARLIEST {
        let text =
            format!("says {now}, which is past: windows and events would fall on wrong days");
        return Finding::fail("clock", text, advice);
    }
    if apart_micros.abs() > APART_MAX_MICROS {
        let text = format!("moved by {apart_micros} µs against the monotonic clock within 0.2 s");
        return Finding::warn("clock", text, advice);
    }
    let source = if synchronised {
        "synchronised by systemd-timesyncd"
    } else {
        "steady; by what it is synchronised cannot be seen from here (`timedatectl`, `chronyc tracking`)"
    };
    Finding::ok("clock", format!("{now}, {source}"))
}

/// Looks at how many files and connections a process may have open.
pub fn examine_open_files() -> Finding {
    open_files_finding(getrlimit(Resource::Nofile).current)
}

fn open_files_finding(most: Option<u64>) -> Finding {
    match most {
        None => Finding::ok("open files", "unlimited"),
        Some(most) if most < OPEN_FILES_LOW => Finding::warn(
            "open files",
            format!(
                "{} at most, and each connection takes one",
                grouped(most.into())
            ),
            "raise it: `ulimit -n 65536`, or LimitNOFILE= of the service",
        ),
        Some(most) => Finding::ok("open files", format!("{} at most", grouped(most.into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_or_jumps_is_noticed() {
        let later = EARLIEST.plus(crate::domain::time::Span::from_days(1));
        assert_eq!(
            clock_finding(Timestamp::MIN, 0, true).verdict,
            Verdict::Fail
        );
        assert_eq!(clock_finding(later, -6_000, true).verdict, Verdict::Warn);
        assert_eq!(clock_finding(later, 4_000, false).verdict, Verdict::Ok);
    }

    #[test]
    fn few_open_files_are_noticed() {
        assert_eq!(open_files_finding(Some(1_024)).verdict, Verdict::Warn);
        assert_eq!(open_files_finding(Some(65_536)).verdict, Verdict::Ok);
        assert_eq!(open_files_finding(None).verdict, Verdict::Ok);
    }
}
