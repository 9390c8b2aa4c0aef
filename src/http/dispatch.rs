//! From an HTTP request to a call and back: readiness, key, pace, scope, body, in this order; then counted.

use super::{
    Api, ApiError,
    answer::Answer,
    request::{Query, Request, Upgrade},
    retry::Retry,
    routes::{BASE, ROUTES, Route},
};
use crate::{
    config::{ApiKey, Scope, limits::API_BODY_TIMEOUT},
    session::rate::Rate,
    telemetry::names::{API_CALLS, API_SECONDS},
};
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, Response, Uri, header, request::Parts},
    routing::{MethodFilter, MethodRouter, any},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::{sync::Arc, time::Instant};

/// The routes of the server API, and a JSON answer for every other path below [`BASE`].
pub(super) fn router(api: &Api) -> Router {
    let mut router = Router::new();
    for rest in ["", "/", "/{*rest}"] {
        router = router.route(&format!("{BASE}{rest}"), any(unknown));
    }
    for (nth, route) in ROUTES.iter().enumerate() {
        let is_first = ROUTES[..nth].iter().all(|other| other.path != route.path);
        if is_first {
            router = router.route(&format!("{BASE}{}", route.path), methods_of(api, route.path));
        }
    }
    router
}

fn methods_of(api: &Api, path: &'static str) -> MethodRouter {
    let routes = || ROUTES.iter().filter(move |route| route.path == path);
    let allow = routes().map(|route| route.method).collect::<Vec<_>>().join(", ");
    let refuse = move || {
        let error = ApiError::Method { allow: allow.clone() };
        async move { counted("unknown", Err(error), Instant::now()) }
    };
    routes().fold(MethodRouter::new().fallback(refuse), |methods, route| {
        let api = api.clone();
        let filter = match route.method {
            "GET" => MethodFilter::GET,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        };
        methods.on(filter, move |request: axum::extract::Request| serve(api.clone(), route, request))
    })
}

async fn unknown(uri: Uri) -> Response<Body> {
    let error = ApiError::not_found(format!("no call has the path {}", super::object::shown(uri.path())));
    counted("unknown", Err(error), Instant::now())
}

async fn serve(api: Api, route: &'static Route, request: axum::extract::Request) -> Response<Body> {
    let begun = Instant::now();
    let outcome = call(&api, route, request).await;
    let stored_at = outcome.as_ref().ok().and_then(|answer| answer.stored_at);
    let mut response = counted(route.name, outcome, begun);
    if let Some(pos) = stored_at {
        api.show_position(response.headers_mut(), pos);
    }
    response
}

async fn call(api: &Api, route: &Route, request: axum::extract::Request) -> Result<Answer, ApiError> {
    let (mut parts, body) = request.into_parts();
    if !api.inner.readiness.is_ready() {
        return Err(ApiError::NotReady(api.inner.readiness.as_str()));
    }
    let key = api.key(&parts.headers)?;
    api.check_pace(&key)?;
    check_scope(&key.scopes, route.scope)?;
    let (tenant, scopes, key) = (key.tenant.clone(), key.scopes.clone(), key.hash);
    api.come_up_to(&parts.headers).await?;
    let ids = path_ids(&mut parts).await?;
    let query = Query::parse(&parts.uri, route.operation.query)?;
    let takes_body = route.operation.takes_body();
    let body = if takes_body { read_body(body, api.inner.limits.get().api_body_bytes).await? } else { Bytes::new() };
    let retry = if route.method == "GET" { None } else { Retry::read(&parts.headers, (route.name, &ids), &body)? };
    let upgrade = Upgrade::of(&mut parts);
    let request = Request {
        api: api.clone(),
        tenant,
        key,
        scopes,
        ids,
        query,
        retry,
        body: body.clone(),
        operation: route.operation,
        upgrade,
    };
    let outcome = (route.answer)(request).await;
    as_documented(route, &body, outcome)
}

/// In development builds, and so in every test, a call that ends otherwise than its document says is a defect.
fn as_documented(route: &Route, body: &[u8], outcome: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
    if cfg!(debug_assertions)
        && let Some(complaint) = route.operation.complaint(body, &outcome)
    {
        tracing::error!(route = route.name, complaint, "the call and its documentation differ");
        return Err(ApiError::Internal);
    }
    outcome
}

fn counted(route: &'static str, outcome: Result<Answer, ApiError>, begun: Instant) -> Response<Body> {
    let response = outcome.map_or_else(ApiError::into_response, Answer::into_response);
    let status = response.status().as_u16().to_string();
    metrics::counter!(API_CALLS, "route" => route, "status" => status).increment(1);
    metrics::histogram!(API_SECONDS, "route" => route).record(begun.elapsed().as_secs_f64());
    response
}

impl Api {
    /// Whose key the request shows.
    pub(super) fn key(&self, headers: &HeaderMap) -> Result<Arc<ApiKey>, ApiError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(ApiError::NoKey) };
        let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(ApiError::NoKey)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::NoKey);
        }
        self.inner.keys.get().verify(key.trim_start()).ok_or(ApiError::WrongKey)
    }

    /// Whether the key may make one more call now; if so, it is counted.
    pub(super) fn is_in_pace(&self, key: [u8; 32]) -> bool {
        let now = self.inner.started.elapsed();
        let per_second = self.inner.limits.get().api_calls_per_second;
        let rate = Rate::new(per_second, per_second);
        self.inner.paces.lock().entry(key).or_default().allows(rate, now)
    }

    fn check_pace(&self, key: &ApiKey) -> Result<(), ApiError> {
        if self.is_in_pace(key.hash) {
            Ok(())
        } else {
            Err(ApiError::TooFast { per_second: self.inner.limits.get().api_calls_per_second })
        }
    }
}

pub(super) fn check_scope(has: &[Scope], needs: Scope) -> Result<(), ApiError> {
    if has.contains(&needs) {
        return Ok(());
    }
    let has: Vec<_> = has.iter().map(|scope| scope.as_str()).collect();
    Err(ApiError::Scope { needs, has: if has.is_empty() { "none".into() } else { has.join(", ") } })
}

async fn path_ids(parts: &mut Parts) -> Result<Vec<String>, ApiError> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| ApiError::invalid("id", "the path is not UTF-8 once it is decoded"))?;
    Ok(params.iter().map(|(_, value)| value.to_owned()).collect())
}

/// The whole body, within size and time. What is left of a refused one is the transport's business.
async fn read_body(body: Body, most: usize) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(API_BODY_TIMEOUT, collect(body, most)).await;
    read.unwrap_or(Err(ApiError::SlowBody(API_BODY_TIMEOUT.as_secs())))
}

async fn collect(mut body: Body, most: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {most} bytes (limits.api_body_bytes)");
        ApiError::TooLarge { field: None, message }
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(too_large());
    }
    let mut bytes = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::BadJson("the connection ended within it".into()))?;
        // Trailers mean nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit() {
        assert_eq!(read_body(Body::from("1234"), 4).await, Ok(Bytes::from("1234")));
        let refused = read_body(Body::from("12345"), 4).await.expect_err("too long");
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<hyper::body::Frame<Bytes>, std::io::Error>,
        >());
        let refused = read_body(Body::new(never), 4).await.expect_err("too slow");
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn every_path_has_each_method_once() {
        let names: std::collections::BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        assert_eq!(names.len(), ROUTES.len());
    }
}
