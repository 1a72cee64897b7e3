//! What this process tells Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// How often what histograms gathered is put into buckets, so that it stays small while nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to gather metrics, once for the process: later calls return the same.
    ///
    /// # Errors
    /// When something else in this process gathers them already.
    pub fn install() -> Result<Self, BuildError> {
        static INSTALLED: OnceLock<Result<Metrics, String>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS);
            let handle = builder.and_then(PrometheusBuilder::install_recorder);
            handle.map(Self).map_err(|error| error.to_string())
        });
        installed
            .clone()
            .map_err(BuildError::FailedToCreateHTTPListener)
    }

    /// Returns all metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Keeps what is gathered small until `stop` is cancelled.
pub(super) async fn keep(metrics: Metrics, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => metrics.0.run_upkeep(),
        }
    }
}
