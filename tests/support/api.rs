//! The server API, as a backend calls it.

use super::PATIENCE;
use reqwest::{Client, Method};
use serde_json::Value;
use std::net::SocketAddr;

/// A client with a key; clones share their connections.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    key: String,
    position: Option<String>,
}

/// A status and a JSON body (`null` if it has none).
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// `Retry-After`, if there is one.
    pub retry_after: Option<String>,
    /// `Carillon-Position`, if there is one.
    pub position: Option<String>,
}

impl Answer {
    /// The body of a call that must have gone well.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// The `code` of an error.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Api {
    /// A client with the development key.
    pub fn new(address: SocketAddr) -> Self {
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client");
        Self { client, base: format!("http://{address}"), key: "dev".into(), position: None }
    }

    /// The same with another key.
    pub fn with_key(self, key: &str) -> Self {
        Self { key: key.into(), ..self }
    }

    /// The same, for calls that must know of a position.
    pub fn after(&self, position: &str) -> Self {
        Self { position: Some(position.into()), ..self.clone() }
    }

    /// One call; an error only when the connection failed.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(position) = &self.position {
            request = request.header("Carillon-Position", position);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
        let (retry_after, position) = (header("retry-after"), header("carillon-position"));
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, body, retry_after, position })
    }

    /// GET of anything under `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, &format!("/api/v1{path}"), None, None).await.expect("answered")
    }

    /// GET of anything else.
    pub async fn get_root(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, None).await.expect("answered")
    }

    /// The text at any path.
    pub async fn text(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.expect("answered");
        response.text().await.expect("text")
    }

    /// POST; without a body if it is `null`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = Some(body).filter(|body| !body.is_null());
        self.call(Method::POST, &format!("/api/v1{path}"), body, None).await.expect("answered")
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, &format!("/api/v1{path}"), Some(body), None).await.expect("answered")
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, &format!("/api/v1{path}"), None, None).await.expect("answered")
    }

    /// A notification; its id.
    pub async fn notify(&self, user: &str, title: &str) -> u64 {
        let body = serde_json::json!({"user_id": user, "title": title, "message": "m"});
        self.post("/notifications", &body).await.ok()["id"].as_u64().expect("an id")
    }

    /// An event to a group; how many outboxes it reached.
    pub async fn group_send(&self, group: &str, event: &Value) -> u64 {
        let answer = self.post(&format!("/groups/{group}/send"), event).await.ok();
        answer["recipients"].as_u64().expect("a count")
    }
}
