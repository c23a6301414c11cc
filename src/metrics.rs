//! Every metric: name, help, labels, buckets.
//!
//! Invariant: labels come only from names in the configuration and from enums, never from a request; what a request
//! touches was looked up at start, so that counting is an atomic addition.

use std::collections::HashMap;

use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

mod process;

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// From a fast answer on the same machine to one that nobody waits for any more; seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The label of requests that no route took.
const NO_ROUTE: &str = "";

/// All metrics of one sidepass, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    in_flight: IntGaugeVec,
    replays: IntCounterVec,
    unrouted: RouteMetrics,
    /// Callers' connections that are open now.
    pub connections: IntGauge,
    connections_refused: IntCounterVec,
    connections_closed: IntCounterVec,
    token_expiry: GaugeVec,
    token_last_success: GaugeVec,
    token_refreshes: IntCounterVec,
    injection_failures: IntCounterVec,
}

/// The metrics of one route, looked up once.
#[derive(Clone, Debug)]
pub struct RouteMetrics {
    name: String,
    requests: IntCounterVec,
    /// Answers of the upstream by status class, 1xx to 5xx.
    answered: [IntCounter; 5],
    /// Seconds from the request sent until the head of the answer.
    pub latency: Histogram,
    in_flight: IntGauge,
    /// Requests sent once more after a 401.
    pub replays_rejected: IntCounter,
    /// Requests sent once more with another CSRF token.
    pub replays_csrf: IntCounter,
    /// Requests sent once more with a nonce in the proof of possession.
    pub replays_nonce: IntCounter,
    /// Requests sent once more because a kept connection had gone.
    pub replays_stale: IntCounter,
}

/// One request being served; dropped when its answer is through or the caller has gone.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The metrics of one profile.
#[derive(Clone, Debug)]
pub struct ProfileMetrics {
    name: String,
    expiry: prometheus::Gauge,
    last_success: prometheus::Gauge,
    refreshes: IntCounterVec,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = counters(
            &registry,
            "sidepass_requests_total",
            "Requests by route, status class and, where sidepass answered by itself, the reason.",
            &["route", "class", "reason"],
        )?;
        let latency = register(
            &registry,
            HistogramVec::new(
                HistogramOpts::new(
                    "sidepass_upstream_latency_seconds",
                    "Time from sending a request upstream until the head of the answer.",
                )
                .buckets(LATENCY_BUCKETS.to_vec()),
                &["route"],
            )?,
        )?;
        let in_flight = register(
            &registry,
            IntGaugeVec::new(Opts::new("sidepass_requests_in_flight", "Requests being served."), &["route"])?,
        )?;
        let replays = counters(
            &registry,
            "sidepass_replays_total",
            "Requests sent upstream once more: after a 401 with a new token or a DPoP nonce, after a 403 with a new CSRF token, or because a kept connection had gone.",
            &["route", "cause"],
        )?;
        let build = IntGaugeVec::new(
            Opts::new("sidepass_build_info", "Always 1; the version is a label."),
            &["version"],
        )?;
        register(&registry, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(process::ProcessCollector::new()?))?;
        Ok(Self {
            unrouted: RouteMetrics::new(NO_ROUTE, &requests, &latency, &in_flight, &replays)?,
            connections: register(
                &registry,
                IntGauge::new("sidepass_connections", "Callers' connections that are open.")?,
            )?,
            connections_refused: counters(
                &registry,
                "sidepass_connections_refused_total",
                "Callers' connections refused, by the limit that was reached.",
                &["cause"],
            )?,
            connections_closed: counters(
                &registry,
                "sidepass_connections_closed_total",
                "Callers' connections closed although their caller did not ask for it, by the limit that was reached.",
                &["cause"],
            )?,
            token_expiry: gauges(
                &registry,
                "sidepass_token_expiry_timestamp_seconds",
                "When the profile's newest token expires (Unix time).",
            )?,
            token_last_success: gauges(
                &registry,
                "sidepass_token_last_success_timestamp_seconds",
                "When a token was last fetched (Unix time); 0 is never.",
            )?,
            token_refreshes: counters(
                &registry,
                "sidepass_token_refreshes_total",
                "Token requests by profile and result: success, or the code of the failure.",
                &["profile", "result"],
            )?,
            injection_failures: counters(
                &registry,
                "sidepass_injection_failures_total",
                "Times that a route's header values could not be prepared from a new token or secret.",
                &["route"],
            )?,
            registry,
            requests,
            latency,
            in_flight,
            replays,
        })
    }

    /// The metrics of a route of this name.
    pub fn route(&self, name: &str) -> Result<RouteMetrics, prometheus::Error> {
        RouteMetrics::new(name, &self.requests, &self.latency, &self.in_flight, &self.replays)
    }

    /// The metrics of requests that no route took.
    pub fn unrouted(&self) -> &RouteMetrics {
        &self.unrouted
    }

    /// The metrics of a profile of this name.
    pub fn profile(&self, name: &str) -> ProfileMetrics {
        self.token_refreshes.with_label_values(&[name, "success"]);
        ProfileMetrics {
            name: name.to_owned(),
            expiry: self.token_expiry.with_label_values(&[name]),
            last_success: self.token_last_success.with_label_values(&[name]),
            refreshes: self.token_refreshes.clone(),
        }
    }

    /// Counts a caller's connection that was not let in.
    pub fn connection_refused(&self, cause: &'static str) {
        self.connections_refused.with_label_values(&[cause]).inc();
    }

    /// Counts a caller's connection that was closed for the sake of a limit.
    pub fn connection_closed(&self, cause: &'static str) {
        self.connections_closed.with_label_values(&[cause]).inc();
    }

    /// The counter of header values that could not be prepared for a route.
    pub fn injection_failures(&self, route: &str) -> IntCounter {
        self.injection_failures.with_label_values(&[route])
    }

    /// The page for Prometheus.
    pub fn render(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(16 * 1024);
        // Writing to memory does not fail; a metric that cannot be encoded is left out of the page.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut page);
        page
    }
}

impl RouteMetrics {
    fn new(
        name: &str,
        requests: &IntCounterVec,
        latency: &HistogramVec,
        in_flight: &IntGaugeVec,
        replays: &IntCounterVec,
    ) -> Result<Self, prometheus::Error> {
        let class = |class| requests.get_metric_with_label_values(&[name, class, ""]);
        Ok(Self {
            name: name.to_owned(),
            answered: [class("1xx")?, class("2xx")?, class("3xx")?, class("4xx")?, class("5xx")?],
            requests: requests.clone(),
            latency: latency.get_metric_with_label_values(&[name])?,
            in_flight: in_flight.get_metric_with_label_values(&[name])?,
            replays_rejected: replays.get_metric_with_label_values(&[name, "rejected"])?,
            replays_csrf: replays.get_metric_with_label_values(&[name, "csrf"])?,
            replays_nonce: replays.get_metric_with_label_values(&[name, "dpop_nonce"])?,
            replays_stale: replays.get_metric_with_label_values(&[name, "stale_connection"])?,
        })
    }

    /// A request is being served from now on until the guard is dropped, however it ends.
    pub fn start(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answer of the upstream.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.answered[class].inc();
    }

    /// Counts an answer that sidepass gave by itself; refusals are rare, so this looks the counter up.
    pub fn refused(&self, status: u16, reason: &str) {
        let class = if status >= 500 { "5xx" } else { "4xx" };
        self.requests.with_label_values(&[&self.name, class, reason]).inc();
    }
}

impl ProfileMetrics {
    /// A token was fetched; both times are Unix seconds.
    pub fn fetched(&self, at: f64, expires_at: f64) {
        self.refreshes.with_label_values(&[self.name.as_str(), "success"]).inc();
        self.last_success.set(at);
        self.expiry.set(expires_at);
    }

    /// A subject's token was exchanged, or not, with this code. Each has an expiry of its own, which no gauge shows.
    pub fn exchanged(&self, code: Option<&str>) {
        self.refreshes.with_label_values(&[self.name.as_str(), code.unwrap_or("success")]).inc();
    }

    /// A fetch failed with this code.
    pub fn failed(&self, code: &str) {
        self.refreshes.with_label_values(&[self.name.as_str(), code]).inc();
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauges(registry: &Registry, name: &str, help: &str) -> Result<GaugeVec, prometheus::Error> {
    register(registry, GaugeVec::new(Opts::new(name, help), &["profile"])?)
}

/// The values of all samples of a metric by their label text, for tests and `/status`.
pub fn samples(page: &str) -> HashMap<&str, f64> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| value.parse().ok().map(|value| (name, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_class_and_reason() {
        let metrics = Metrics::new().unwrap();
        let route = metrics.route("cai").unwrap();
        route.answered(204);
        route.answered(200);
        route.refused(503, "token_unavailable");
        metrics.unrouted().refused(404, "no_route");
        let page = String::from_utf8(metrics.render()).unwrap();
        let samples = samples(&page);
        assert_eq!(samples[r#"sidepass_requests_total{class="2xx",reason="",route="cai"}"#], 2.0);
        assert_eq!(
            samples[r#"sidepass_requests_total{class="5xx",reason="token_unavailable",route="cai"}"#],
            1.0
        );
        assert_eq!(samples[r#"sidepass_requests_total{class="4xx",reason="no_route",route=""}"#], 1.0);
    }

    #[test]
    fn a_profile_shows_expiry_and_last_success_as_timestamps() {
        let metrics = Metrics::new().unwrap();
        let profile = metrics.profile("cai_bot");
        profile.fetched(1000.0, 1060.0);
        profile.failed("token_timeout");
        let page = String::from_utf8(metrics.render()).unwrap();
        let samples = samples(&page);
        assert_eq!(samples[r#"sidepass_token_expiry_timestamp_seconds{profile="cai_bot"}"#], 1060.0);
        assert_eq!(samples[r#"sidepass_token_last_success_timestamp_seconds{profile="cai_bot"}"#], 1000.0);
        assert_eq!(
            samples[r#"sidepass_token_refreshes_total{profile="cai_bot",result="token_timeout"}"#],
            1.0
        );
    }

    #[test]
    fn the_process_shows_its_memory_and_descriptors() {
        let page = String::from_utf8(Metrics::new().unwrap().render()).unwrap();
        let samples = samples(&page);
        assert!(samples["process_resident_memory_bytes"] > 100_000.0);
        assert!(samples["process_open_fds"] >= 3.0);
    }

    #[test]
    fn what_ends_in_total_is_a_counter() {
        let page = String::from_utf8(Metrics::new().unwrap().render()).unwrap();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for line in types.filter(|line| line.contains("_total ")) {
            assert!(line.ends_with(" counter"), "{line}");
        }
        assert!(page.contains("process_cpu_seconds_total"));
    }
}
