//! `/healthz` says that the process lives, `/readyz` that it may take traffic.

use super::{Api, Readiness};
use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

/// Alive: the process answers.
pub(super) async fn healthz() -> impl IntoResponse {
    Json(json!({"status": "ok"}))
}

/// Not ready: it waits for other nodes.
pub(super) async fn starting() -> impl IntoResponse {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": Readiness::default().as_str()})))
}

/// Ready: recovered, leading or led, not draining.
pub(super) async fn readyz(State(api): State<Api>) -> impl IntoResponse {
    let inner = &api.inner;
    let (status, word) = if !inner.readiness.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, inner.readiness.as_str())
    } else if inner.node.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no_quorum")
    };
    (status, Json(json!({"status": word})))
}
