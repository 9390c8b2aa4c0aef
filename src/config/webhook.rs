//! `auth.webhook_*`: the app's own word on who a handshake is from.

use super::{
    Target,
    schema::{Kind, Setting},
};
use crate::protocol::Tenant;
use hyper::header::HeaderName;
use std::path::PathBuf;

/// Where the app is asked who somebody is, and what it is told.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Asked with GET; `None`: there is no webhook.
    pub url: Option<Target>,
    /// Headers of the handshake that are forwarded, lower-case, and no other; none named: `cookie`.
    pub headers: Vec<String>,
    /// Tenants that the answer may name; none named: the default one.
    pub tenants: Vec<Tenant>,
    /// Certificate authorities that are trusted beside the system's, PEM.
    pub ca: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout_ms: u64,
    /// How long sockets live on after their answer ran out, while the webhook can't be asked.
    pub grace_seconds: u64,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { url: None, headers: Vec::new(), tenants: Vec::new(), ca: None, timeout_ms: 3_000, grace_seconds: 300 }
    }
}

impl Webhook {
    /// Names of the headers that are forwarded.
    pub fn forwarded(&self) -> Vec<&str> {
        if self.headers.is_empty() { vec!["cookie"] } else { self.headers.iter().map(String::as_str).collect() }
    }

    /// Tenants that the answer may name.
    pub fn allowed_tenants(&self) -> Vec<Tenant> {
        if self.tenants.is_empty() { vec![Tenant::default()] } else { self.tenants.clone() }
    }
}

/// Headers that make up the connection or the handshake itself: not the client's word on who it is.
const NEVER: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

fn header(text: &str) -> Result<String, String> {
    let right = || "write the name of a header that says who somebody is, like cookie or authorization".to_owned();
    let name: HeaderName = text.parse().map_err(|_| right())?;
    let name = name.as_str();
    if NEVER.contains(&name) || name.starts_with("sec-websocket-") || name.starts_with("proxy-") {
        return Err(right());
    }
    Ok(name.to_owned())
}

pub(super) const URL: Setting = Setting {
    path: "auth.webhook_url",
    doc: "Asked who a handshake without a token is from, with its cookies. Unset: nobody is asked.",
    kind: Kind::Text {
        example: "http://127.0.0.1:8080/carillon/who/",
        get: |config| config.auth.webhook.url.as_ref().map(ToString::to_string),
        set: |config, text| {
            config.auth.webhook.url = Some(text.parse().map_err(|error: super::TargetError| error.to_string())?);
            Ok(())
        },
    },
};

pub(super) const HEADERS: Setting = Setting {
    path: "auth.webhook_headers",
    doc: "Headers of the handshake that the webhook is sent, and no other; none named: cookie.",
    kind: Kind::List {
        example: r#"["cookie", "authorization"]"#,
        get: |config| config.auth.webhook.headers.clone(),
        clear: |config| config.auth.webhook.headers.clear(),
        push: |config, text| header(text).map(|name| config.auth.webhook.headers.push(name)),
    },
};

pub(super) const TENANTS: Setting = Setting {
    path: "auth.webhook_tenants",
    doc: "Tenants that the webhook's answer may name; none named: default.",
    kind: Kind::List {
        example: r#"["default", "acme"]"#,
        get: |config| config.auth.webhook.tenants.iter().map(ToString::to_string).collect(),
        clear: |config| config.auth.webhook.tenants.clear(),
        push: |config, text| {
            let tenant = Tenant::new(text).map_err(|error| error.to_string())?;
            config.auth.webhook.tenants.push(tenant);
            Ok(())
        },
    },
};

pub(super) const CA: Setting = Setting {
    path: "auth.webhook_ca",
    doc: "Certificate authorities (PEM) that the webhook's certificate may be from, beside the system's.",
    kind: Kind::Text {
        example: "/etc/carillon/app-ca.pem",
        get: |config| config.auth.webhook.ca.as_ref().map(|ca| ca.display().to_string()),
        set: |config, text| {
            if text.is_empty() {
                return Err("write the path of a file".into());
            }
            config.auth.webhook.ca = Some(text.into());
            Ok(())
        },
    },
};

pub(super) const TIMEOUT: Setting = Setting {
    path: "auth.webhook_timeout_ms",
    doc: "How long the webhook may take for an answer.",
    kind: Kind::Integer {
        range: 10..=30_000,
        get: |config| config.auth.webhook.timeout_ms,
        set: |config, value| config.auth.webhook.timeout_ms = value,
    },
};

pub(super) const GRACE: Setting = Setting {
    path: "auth.webhook_grace_seconds",
    doc: "How long sockets live on after their answer ran out, while the webhook can't be asked.",
    kind: Kind::Integer {
        range: 0..=86_400,
        get: |config| config.auth.webhook.grace_seconds,
        set: |config, value| config.auth.webhook.grace_seconds = value,
    },
};
