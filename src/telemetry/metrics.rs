//! Counters: the recorder behind `metrics::counter!(names::…)`, and its rendering for Prometheus.
//!
//! It has no listener of its own: the HTTP side serves [`render`].

use super::names::{BUILD_INFO, METRICS, Metric, PROCESS_OPEN_FDS, PROCESS_RSS_BYTES, Shape};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{fs, sync::OnceLock};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Upper bounds of the buckets of every duration, in seconds: a frame on loopback to a stuck disk.
const BUCKETS: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Installs the recorder for the whole process and describes every metric. Only the first call does anything;
/// `false` when a program that embeds the server has a recorder of its own, which then gets everything.
pub fn install() -> bool {
    if HANDLE.get().is_some() {
        return true;
    }
    let builder = PrometheusBuilder::new();
    // Refused only for an empty list of buckets.
    let recorder = match builder.set_buckets(&BUCKETS) {
        Ok(builder) => builder.build_recorder(),
        Err(_) => return false,
    };
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        return HANDLE.get().is_some();
    }
    METRICS.iter().for_each(describe);
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle.run_upkeep();
    HANDLE.set(handle).is_ok()
}

/// Everything there is, in Prometheus' text format; empty when [`install`] was not called or found another recorder.
pub fn render() -> String {
    let Some(handle) = HANDLE.get() else { return String::new() };
    measure_process();
    handle.render()
}

/// Moves recorded durations into their buckets. To be called every few seconds: between two renderings nothing
/// else does, and what is recorded until then is kept one by one.
pub fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

fn describe(metric: &Metric) {
    let Metric { name, shape, unit, labels, help } = *metric;
    let unit = unit.unwrap_or(metrics::Unit::Count);
    // What has no labels is there from the start: an alert on a counter that is absent never fires.
    match shape {
        Shape::Counter => {
            metrics::describe_counter!(name, unit, help);
            if labels.is_empty() {
                metrics::counter!(name).absolute(0);
            }
        }
        Shape::Gauge => {
            metrics::describe_gauge!(name, unit, help);
            if labels.is_empty() {
                metrics::gauge!(name).set(0.0);
            }
        }
        Shape::Seconds => metrics::describe_histogram!(name, unit, help),
    }
}

/// Memory and descriptors, as Linux tells them; nothing elsewhere.
fn measure_process() {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a gauge is a float")]
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!(PROCESS_RSS_BYTES).set(bytes as f64);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        let open = u32::try_from(entries.count()).unwrap_or(u32::MAX);
        // Reading the directory opened one.
        metrics::gauge!(PROCESS_OPEN_FDS).set(f64::from(open.saturating_sub(1)));
    }
}

/// `VmRSS` of `/proc/self/status`, which counts in KiB whatever the size of a page.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names;
    use std::collections::BTreeSet;

    #[test]
    fn every_metric_has_a_name_of_its_own_that_says_its_unit() {
        let distinct: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(distinct.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.name.starts_with("carillon_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.shape == Shape::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            if metric.shape == Shape::Seconds {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }

    #[test]
    fn what_is_counted_is_rendered_with_its_help() {
        assert!(install() && install(), "twice is harmless");
        metrics::counter!(names::REFUSALS, "reason" => "origin").increment(2);
        metrics::histogram!(names::CONNECT_SECONDS).record(0.003);
        upkeep();
        let text = render();
        for line in [
            "# HELP carillon_refusals_total Handshakes refused, by reason.",
            "# TYPE carillon_refusals_total counter",
            "carillon_refusals_total{reason=\"origin\"} 2",
            "carillon_connect_seconds_bucket{le=\"0.005\"} 1",
            "carillon_frames_in_total 0",
            "carillon_outbox_bytes 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        let rss = text.lines().find_map(|line| line.strip_prefix("carillon_process_resident_memory_bytes "));
        assert!(rss.is_some_and(|bytes| bytes.parse::<f64>().is_ok_and(|bytes| bytes > 1e6)), "{text}");
        assert!(text.contains("carillon_build_info{version="), "{text}");
    }
}
