//! Pages: the browser client, for everybody; the development page, in development mode only.
//!
//! Files are part of the binary. Each has an `ETag` of its content and is asked for again each time, so a new binary
//! is never seen through an old script. Nothing inline, nothing from elsewhere: the policy says so to the browser.
//!
//! Tokens of the demo users come from `/dev/session`, so that none stands in an address or in a file. Like all of
//! development mode it answers only under a name of this machine (see `super::guarded`).

use crate::{
    auth::{DEV_API_KEY, Grant, keys_in_force, sign},
    config::Config,
    protocol::{Tenant, UserId},
    wall_clock::now,
};
use aws_lc_rs::digest;
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// How long a demo user's token is good for.
const SESSION_SECONDS: u64 = 12 * 3_600;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
);

/// A file in the binary.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What every server offers.
const CLIENT: File = File {
    path: "/static/js/websocket-client.js",
    content_type: SCRIPT,
    text: include_str!("../../static/js/websocket-client.js"),
};

/// What only a development server offers.
const DEVELOPMENT: [File; 6] = [
    File { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("../../static/dev/index.html") },
    File {
        path: "/static/dev/page.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("../../static/dev/page.css"),
    },
    File { path: "/static/dev/page.js", content_type: SCRIPT, text: include_str!("../../static/dev/page.js") },
    File { path: "/static/dev/view.js", content_type: SCRIPT, text: include_str!("../../static/dev/view.js") },
    File { path: "/static/dev/backend.js", content_type: SCRIPT, text: include_str!("../../static/dev/backend.js") },
    File {
        path: "/static/dev/icon.svg",
        content_type: "image/svg+xml",
        text: include_str!("../../static/dev/icon.svg"),
    },
];

/// Id, username, first name, last name, staff: the users of development mode.
pub(crate) const DEMO_USERS: [DemoUser; 3] =
    [("1", "alice", "Alice", "Archer", false), ("2", "bob", "Bob", "", false), ("3", "root", "", "", true)];
type DemoUser = (&'static str, &'static str, &'static str, &'static str, bool);

/// The routes of this module.
pub(super) fn router(config: &Config) -> Router {
    let router = with(Router::new(), CLIENT);
    if !config.server.dev {
        return router;
    }
    let session = get(session).with_state(Arc::new(config.clone()));
    DEVELOPMENT.into_iter().fold(router, with).route("/dev/session", session)
}

fn with(router: Router, file: File) -> Router {
    let etag = etag(file.text);
    router.route(file.path, get(move |headers: HeaderMap| async move { file.answer(&headers, &etag) }))
}

impl File {
    fn answer(&self, request: &HeaderMap, etag: &HeaderValue) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (header::ETAG, etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|tags| names(tags, etag));
        if known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, self.text).into_response() }
    }
}

/// RFC 9110 §13.1.2: a list of tags, compared weakly, or `*`.
fn names(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Twelve bytes of the content's SHA-256, quoted.
fn etag(text: &str) -> HeaderValue {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.as_ref()[..12]));
    // Quotes and base64 are always a good header value.
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default = "first_demo_user")]
    r#as: String,
}

fn first_demo_user() -> String {
    DEMO_USERS[0].1.to_owned()
}

/// What the page needs to be somebody, and to act as the backend.
#[derive(Serialize)]
struct Session {
    user_id: serde_json::Value,
    username: &'static str,
    is_staff: bool,
    token: String,
    api_key: &'static str,
}

async fn session(State(config): State<Arc<Config>>, Query(asked): Query<Asked>) -> Response {
    let Some(user) = DEMO_USERS.iter().find(|user| user.1 == asked.r#as) else {
        let why = format!("no demo user is called {:?}: there are alice, bob and root", asked.r#as);
        return refuse(StatusCode::NOT_FOUND, "not_found", &why);
    };
    match signed(&config, user) {
        Some(session) => ([(header::CACHE_CONTROL, "no-store")], Json(session)).into_response(),
        None => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_key",
            "no key in auth.jwt may sign for the tenant \"default\", so the demo users have no tokens",
        ),
    }
}

fn signed(config: &Config, (id, username, first_name, last_name, is_staff): &DemoUser) -> Option<Session> {
    let user = UserId::new(id).ok()?;
    let grant = Grant {
        user: user.clone(),
        tenant: Tenant::default(),
        username: (*username).into(),
        first_name: (*first_name).into(),
        last_name: (*last_name).into(),
        is_staff: *is_staff,
        issuer: config.auth.issuer.clone(),
        audience: config.auth.audience.clone(),
        issued_at: now(),
        ttl_seconds: SESSION_SECONDS,
    };
    let keys = keys_in_force(&config.auth, config.server.dev);
    let token = keys.iter().find_map(|key| sign(key, &grant).ok())?;
    Some(Session { user_id: user.wire(), username, is_staff: *is_staff, token, api_key: DEV_API_KEY })
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn get(dev: bool, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut config = Config::default();
        config.server.dev = dev;
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        for (name, value) in headers {
            let name = header::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let response = router(&config).oneshot(request).await.expect("infallible");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    #[tokio::test]
    async fn the_client_is_always_there_and_the_page_only_in_development() {
        for (dev, path, expected) in [
            (false, CLIENT.path, StatusCode::OK),
            (true, CLIENT.path, StatusCode::OK),
            (true, "/", StatusCode::OK),
            (true, "/?as=bob", StatusCode::OK),
            (false, "/", StatusCode::NOT_FOUND),
            (false, "/static/dev/page.js", StatusCode::NOT_FOUND),
            (false, "/dev/session", StatusCode::NOT_FOUND),
        ] {
            assert_eq!(get(dev, path, &[("host", "localhost:8000")]).await.0, expected, "{path}, dev: {dev}");
        }
    }

    #[tokio::test]
    async fn a_browser_that_has_the_file_is_not_sent_it_again() {
        let (_, headers, text) = get(false, CLIENT.path, &[]).await;
        assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert!(text.contains("class WebSocketClient"));
        let etag = headers[header::ETAG].to_str().expect("text");
        for tags in [etag, &format!("W/{etag}"), &format!("\"other\", {etag}"), "*"] {
            let (status, headers, text) = get(false, CLIENT.path, &[("if-none-match", tags)]).await;
            assert_eq!((status, text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{tags}");
            assert_eq!(headers[header::ETAG], etag);
        }
        assert_eq!(get(false, CLIENT.path, &[("if-none-match", "\"other\"")]).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn no_page_runs_anything_inline_or_loads_anything_from_elsewhere() {
        let (_, headers, page) = get(true, "/", &[]).await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.contains("<script>") && !page.contains("<style") && !page.contains(" style=\""));
        for file in DEVELOPMENT {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{} names another site", file.path);
        }
    }

    #[tokio::test]
    async fn only_demo_users_are_given_a_token() {
        let (status, headers, body) = get(true, "/dev/session?as=bob", &[("host", "127.0.0.1:8000")]).await;
        assert_eq!((status, &headers[header::CACHE_CONTROL]), (StatusCode::OK, &HeaderValue::from_static("no-store")));
        let session: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((session["user_id"].as_u64(), session["username"].as_str()), (Some(2), Some("bob")));
        assert_eq!(session["token"].as_str().map(|token| token.split('.').count()), Some(3));
        let (status, _, body) = get(true, "/dev/session?as=mallory", &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body.contains("alice, bob and root"), "{body}");
    }
}
