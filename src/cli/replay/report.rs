//! What a replay ends with.

use std::fmt::{self, Display};

use super::script::Script;
use super::tally::{Delays, Tally};
use crate::cli::print::grouped;

/// What came of a replay, beside what should have.
#[derive(Debug, Clone)]
pub struct Report {
    /// What came of its events.
    pub tally: Tally,
    /// The meters.
    pub meters: [String; 2],
    /// Sums of the file's columns, in tokens.
    pub file_totals: [i128; 2],
    /// What the server has counted, in thousandths of a token.
    pub server_totals_milli: [i128; 2],
    /// Whether requests reserved first.
    pub reserve: bool,
}

impl Report {
    /// Puts a report together.
    #[must_use]
    pub fn new(script: &Script, tally: Tally, server_totals_milli: [i128; 2]) -> Self {
        Self {
            tally,
            meters: script.plan.meters.clone(),
            file_totals: script.plan.trace.sums(),
            server_totals_milli,
            reserve: script.plan.reserve,
        }
    }

    /// Returns whether the server has counted exactly what the file holds, denied requests left out.
    #[must_use]
    pub fn totals_match(&self) -> bool {
        (0..2).all(|column| {
            let sent = self.file_totals[column] - self.tally.denied_tokens[column];
            self.server_totals_milli[column] == sent * 1_000
        })
    }

    /// Returns whether every event was known to the server before.
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        self.tally.duplicates == self.tally.events
    }

    fn write_totals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denied = self.tally.denied_tokens.iter().any(|tokens| *tokens != 0);
        let wide = self
            .meters
            .iter()
            .map(String::len)
            .max()
            .unwrap_or(0)
            .max(6);
        write!(f, "\n{:wide$}  {:>16}", "totals", "file")?;
        if denied {
            write!(f, "  {:>16}", "denied")?;
        }
        writeln!(f, "  {:>16}", "server")?;
        for (column, meter) in self.meters.iter().enumerate() {
            write!(
                f,
                "{meter:wide$}  {:>16}",
                grouped(self.file_totals[column])
            )?;
            if denied {
                write!(f, "  {:>16}", grouped(self.tally.denied_tokens[column]))?;
            }
            writeln!(f, "  {:>16}", milli(self.server_totals_milli[column]))?;
        }
        let verdict = if self.totals_match() {
            "totals match"
        } else {
            "totals differ"
        };
        write!(f, "{verdict}")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "events      {} in {:.2?}: {} per second",
            grouped(tally.events.into()),
            tally.elapsed,
            grouped(tally.events_per_second().into())
        )?;
        if !tally.reserves.is_empty() {
            write_delays(f, "reserve", &tally.reserves)?;
        }
        if !tally.acks.is_empty() {
            let name = if self.reserve { "commit" } else { "ack" };
            write_delays(f, name, &tally.acks)?;
        }
        let count = grouped(tally.duplicates.into());
        let share = percent(tally.duplicates, tally.events);
        writeln!(f, "duplicates  {count} ({share} %)")?;
        if tally.resent > 0 {
            writeln!(f, "sent again  {}", grouped(tally.resent.into()))?;
        }
        write_reasons(f, "rejects", tally.rejects.iter())?;
        write_reasons(f, "denials", tally.denials.iter())?;
        if self.reserve {
            let beyond = grouped(tally.beyond_reservation.into());
            writeln!(f, "overage     {beyond} events used more than was reserved")?;
        }
        self.write_totals(f)
    }
}

fn write_delays(f: &mut fmt::Formatter<'_>, name: &str, delays: &Delays) -> fmt::Result {
    let marks = [("p50", 500), ("p90", 900), ("p99", 990), ("max", 1_000)];
    let marks = marks.map(|(mark, permille)| {
        let millis = delays.at_permille(permille).as_secs_f64() * 1_000.0;
        format!("{mark} {millis:.1} ms")
    });
    writeln!(f, "{name:10}  {}", marks.join("   "))
}

fn write_reasons<'a>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    reasons: impl Iterator<Item = (&'a String, &'a u64)>,
) -> fmt::Result {
    let listed: Vec<String> = reasons
        .map(|(reason, count)| format!("{} {reason}", grouped((*count).into())))
        .collect();
    let listed = if listed.is_empty() {
        "none".to_owned()
    } else {
        listed.join(", ")
    };
    writeln!(f, "{name:10}  {listed}")
}

/// Writes a share in percent with one decimal, rounded down, so that 100.0 means all.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn milli(thousandths: i128) -> String {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    if rest == 0 {
        grouped(whole)
    } else {
        format!("{}.{:03}", grouped(whole), rest.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample_plan;
    use super::*;

    #[test]
    fn all_means_all_and_a_thousandth_is_a_difference() {
        assert_eq!(percent(999, 1_000), "99.9");
        assert_eq!(percent(99_999, 100_000), "99.9");
        assert_eq!(percent(7, 7), "100.0");
        let script = Script::new(sample_plan(), super::super::script::Target::default());
        let sums = script.plan.trace.sums().map(|sum| sum * 1_000);
        let mut report = Report::new(&script, Tally::default(), sums);
        assert!(report.totals_match(), "{report}");
        report.server_totals_milli[1] += 1;
        assert!(!report.totals_match());
        assert!(report.to_string().ends_with("totals differ"));
    }

    #[test]
    fn denied_requests_are_not_expected_at_the_server() {
        let script = Script::new(sample_plan(), super::super::script::Target::default());
        let tally = Tally {
            denied_tokens: [10, 20],
            ..Tally::default()
        };
        let [context, generated] = script.plan.trace.sums();
        let server = [(context - 10) * 1_000, (generated - 20) * 1_000];
        assert!(Report::new(&script, tally, server).totals_match());
    }
}
