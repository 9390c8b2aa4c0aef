//! Calls as a backend might make them, right or wrong: any key, any header, any bytes.

use crate::support::{Options, PATIENCE, Server};
use reqwest::{Method, Response, header::HeaderMap};
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Got {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// The body of an answer that must be good.
    #[track_caller]
    pub fn good(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    /// The same without `pos`, which must be there.
    #[track_caller]
    pub fn good_at_pos(&self) -> Value {
        let mut body = self.good();
        let pos = body.as_object_mut().and_then(|body| body.remove("pos"));
        let is_pos = |pos: &Value| pos.as_str().is_some_and(|pos| pos.len() > 16 && pos.as_bytes()[16] == b'-');
        assert!(pos.as_ref().is_some_and(is_pos), "{self:?}");
        body
    }

    /// The code and the field of an error, whose shape is checked: nothing but code, message and field.
    #[track_caller]
    pub fn error(&self) -> (u16, String, Option<String>) {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error: {self:?}"));
        assert_eq!(body.as_object().map(|body| body.len()), Some(1), "{self:?}");
        assert!(error.keys().all(|key| ["code", "message", "field"].contains(&key.as_str())), "{self:?}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let text = |name: &str| error.get(name).map(|value| value.as_str().expect("a string").to_owned());
        (self.status, text("code").expect("a code"), text("field"))
    }
}

/// A backend with a key.
#[derive(Clone)]
pub struct Caller {
    client: reqwest::Client,
    base: String,
    key: String,
}

impl Caller {
    pub fn new(server: &Server, key: &str) -> Self {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client");
        Self { client, base: format!("http://{}", server.address()), key: key.into() }
    }

    /// A request with the key, ready to be bent.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let path = if path.starts_with("//") { path[1..].to_owned() } else { format!("/api/v1{path}") };
        let request = self.client.request(method, format!("{}{path}", self.base));
        if self.key.is_empty() { request } else { request.bearer_auth(&self.key) }
    }

    pub async fn call(&self, method: &str, path: &str, body: &str) -> Got {
        let request = self.request(method, path);
        let request = if body.is_empty() { request } else { request.body(body.to_owned()) };
        Got::of(request.send().await.expect("answered")).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Got {
        self.call("POST", path, &body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Got {
        self.call("GET", path, "").await
    }

    /// A POST that may be repeated.
    pub async fn once(&self, path: &str, key: &str, body: &Value) -> Got {
        let request = self.request("POST", path).header("Idempotency-Key", key).body(body.to_string());
        Got::of(request.send().await.expect("answered")).await
    }
}

/// A server with keys of these names, scopes and tenants, beside the key `dev`.
pub fn with_keys(keys: &[(&str, &[&str], &str)]) -> Options {
    let rows: Vec<_> = keys
        .iter()
        .map(|(key, scopes, tenant)| {
            let hash: String = carillon::auth::hash_api_key(key).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{{id = \"{key}\", hash = \"{hash}\", scopes = {scopes:?}, tenant = \"{tenant}\"}}")
        })
        .collect();
    Options::default().set("AUTH__API_KEYS", format!("[{}]", rows.join(", ")))
}
