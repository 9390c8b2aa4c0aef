//! `/metrics`: counters for Prometheus, to this machine or to whoever has a key that may read.

use super::{Api, ApiError, dispatch::check_scope};
use crate::{
    config::Scope,
    telemetry::{self, names},
};
use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, Response, header},
};
use carillon_storage::LogStats;
use std::net::SocketAddr;

/// Prometheus' text format, version 0.0.4.
const FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) async fn metrics(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response<Body> {
    if let Err(error) = admit(&api, peer, &headers) {
        return error.into_response();
    }
    api.set_gauges();
    let mut response = Response::new(Body::from(telemetry::metrics::render()));
    response.headers_mut().insert(header::CONTENT_TYPE, FORMAT);
    response
}

/// Whoever came through a proxy is somewhere else, whatever the address says.
fn admit(api: &Api, peer: SocketAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    let forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    if peer.ip().to_canonical().is_loopback() && !forwarded {
        return Ok(());
    }
    let key = api.key(headers)?;
    check_scope(&key.scopes, Scope::Read)
}

impl Api {
    /// What is not counted where it happens.
    pub(super) fn set_gauges(&self) {
        let figures = self.inner.node.figures();
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a gauge is a float")]
        let set = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
        set(names::LOG_BYTES, figures.log_bytes);
        set(names::LOG_ENTRIES, figures.log_entries);
        set(names::TABLES_BYTES, figures.table_bytes);
        set(names::DISK_FREE_BYTES, figures.disk_free_bytes);
        set(names::DISK_FULL, figures.disk_is_full.into());
        set(names::SNAPSHOT_BYTES, figures.snapshot_bytes);
        set(names::SNAPSHOT_AGE_SECONDS, figures.snapshot_age.unwrap_or_default().as_secs());
        set(names::PRESENCE_USERS_ONLINE, self.inner.records.online() as u64);
        self.note_fsyncs(figures.log);
    }

    /// The log keeps sums only: each wait since the last look counts as their mean, so count and sum are exact.
    fn note_fsyncs(&self, now: LogStats) {
        let mut noted = self.inner.fsyncs.lock();
        let (count, total) = (now.fsyncs.saturating_sub(noted.0), now.fsync_total.saturating_sub(noted.1));
        if count > 0 {
            *noted = (now.fsyncs, now.fsync_total);
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            let mean = total.as_secs_f64() / count as f64;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            metrics::histogram!(names::FSYNC_SECONDS).record_many(mean, count);
        }
    }
}
