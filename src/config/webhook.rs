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

#[cfg(test)]
mod tests {
    use crate::config::load;

    const KEY: (&str, &str) = ("CARILLON_AUTH__JWT", "0123456789abcdef0123456789abcdef");

    fn read(env: &[(&str, &str)]) -> Result<super::Webhook, String> {
        let env = env.iter().map(|(name, value)| (format!("CARILLON_AUTH__{name}"), (*value).to_owned()));
        let loaded = load(None, env.chain([(KEY.0.to_owned(), KEY.1.to_owned())]), &[]);
        loaded.map(|config| config.auth.webhook).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn it_is_off_until_it_has_an_address_and_then_forwards_cookies_for_one_tenant() {
        assert!(read(&[]).expect("good").url.is_none());
        let webhook = read(&[("WEBHOOK_URL", "https://app.example.org/who/")]).expect("good");
        assert_eq!(webhook.forwarded(), ["cookie"]);
        assert_eq!(webhook.allowed_tenants(), [crate::protocol::Tenant::default()]);
        let webhook = read(&[("WEBHOOK_HEADERS", "Cookie,X-Session"), ("WEBHOOK_TENANTS", "acme")]).expect("good");
        assert_eq!(webhook.forwarded(), ["cookie", "x-session"]);
        assert_eq!(webhook.allowed_tenants()[0].as_str(), "acme");
        // With a webhook no key is needed: the app knows everybody.
        let alone = [("CARILLON_AUTH__WEBHOOK_URL".to_owned(), "http://127.0.0.1:1/".to_owned())];
        assert!(load(None, alone.into_iter(), &[]).is_ok());
    }

    #[test]
    fn a_wrong_setting_is_explained_and_a_password_in_it_is_not_shown() {
        for (name, value, hint) in [
            ("WEBHOOK_URL", "app.example.org", "write http://host:port/path"),
            ("WEBHOOK_URL", "https://user:S3cret@app.example.org/", "without a user or a password"),
            ("WEBHOOK_URL", "ftp://app.example.org/?key=S3cret", "write http://host:port/path"),
            ("WEBHOOK_HEADERS", "cookie,host", "like cookie or authorization"),
            ("WEBHOOK_HEADERS", "Sec-WebSocket-Key", "like cookie or authorization"),
            ("WEBHOOK_HEADERS", "a b", "like cookie or authorization"),
            ("WEBHOOK_TENANTS", "a b", "auth.webhook_tenants"),
            ("WEBHOOK_CA", "", "write the path of a file"),
            ("WEBHOOK_TIMEOUT_MS", "0", "from 10 to 30000"),
            ("WEBHOOK_GRACE_SECONDS", "-1", "from 0 to 86400"),
        ] {
            let said = read(&[(name, value)]).expect_err(value);
            assert!(said.contains(hint) && !said.contains("S3cret"), "{name}={value}: {said}");
        }
    }
}
