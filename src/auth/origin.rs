//! `Origin`: which web pages may open sockets.
//!
//! Browsers send cookies with any page's WebSocket handshake; the `Origin` header is the only thing that tells
//! a page of ours from a stranger's. So it is compared with an allow-list and with nothing else: in particular
//! not with `Host`, which says where the request went, not where it came from.

use super::Refusal;
use crate::config::{OriginPattern, split_host_port};
use hyper::{HeaderMap, header};

/// Origins whose pages may open sockets.
#[derive(Debug)]
pub(super) struct Origins {
    patterns: Vec<OriginPattern>,
    /// Development mode: pages of this machine, any port.
    loopback: bool,
}

impl Origins {
    /// Patterns that cannot be read allow nothing; the loader has reported them.
    pub(super) fn new(allowed: &[String], loopback: bool) -> Self {
        Self { patterns: allowed.iter().filter_map(|text| OriginPattern::parse(text).ok()).collect(), loopback }
    }

    /// Checks the header; `true` when there is one (and it is allowed), `false` when there is none.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<bool, Refusal> {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let Some(value) = values.next() else { return Ok(false) };
        if values.next().is_some() {
            return Err(Refusal::OriginRepeated);
        }
        let origin = value.to_str().ok().and_then(Origin::parse).ok_or(Refusal::OriginMalformed)?;
        if self.allows(&origin) { Ok(true) } else { Err(Refusal::OriginForeign { host: origin.shown() }) }
    }

    /// The header that [`Self::check`] has let pass, as it is compared with what a ticket is bound to.
    pub(super) fn shown(headers: &HeaderMap) -> Option<String> {
        Some(headers.get(header::ORIGIN)?.to_str().ok()?.to_ascii_lowercase())
    }

    fn allows(&self, origin: &Origin) -> bool {
        (self.loopback && is_loopback_name(&origin.host))
            || self.patterns.iter().any(|p| p.matches(&origin.host, origin.port, origin.default_port))
    }
}

/// A parsed `Origin` header: lower-case host, the port that is really meant, and the scheme's own port.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    host: String,
    port: u16,
    default_port: u16,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let (host, port) = split_host_port(authority)?;
        Some(Self { host, port: port.unwrap_or(default_port), default_port })
    }

    fn shown(&self) -> String {
        if self.port == self.default_port { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// `text` as browsers write the origin of a page, if it is one: what a ticket can be bound to.
pub fn canonical_origin(text: &str) -> Option<String> {
    let origin = Origin::parse(text)?;
    let (scheme, _) = text.split_once("://")?;
    Some(format!("{}://{}", scheme.to_ascii_lowercase(), origin.shown()))
}

fn is_loopback_name(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Whether a `Host` header names this machine's loopback, any port. Development mode answers no other:
/// a page that rebinds its own name to 127.0.0.1 still sends that name.
pub fn is_loopback_host(host: &str) -> bool {
    split_host_port(host).is_some_and(|(name, _)| is_loopback_name(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(allowed: &[&str], dev: bool, origin: &str) -> Result<bool, Refusal> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, origin.parse().expect(origin));
        Origins::new(&allowed, dev).check(&headers)
    }

    #[test]
    fn only_listed_hosts_are_let_in() {
        let list = ["app.example.org", "*.shop.example.org", "localhost:8000", "[::1]:3000", "10.0.0.1:8443"];
        for origin in [
            "https://app.example.org",
            "HTTPS://APP.Example.ORG",
            "http://app.example.org:80",
            "https://app.example.org:443",
            "https://a.shop.example.org",
            "https://a.b.c.shop.example.org",
            "http://localhost:8000",
            "http://[::1]:3000",
            "http://[0:0:0:0:0:0:0:1]:3000",
            "https://10.0.0.1:8443",
        ] {
            assert_eq!(verdict(&list, false, origin), Ok(true), "{origin}");
        }
        for origin in [
            "https://app.example.org:8443",
            "http://app.example.org:443",
            "https://shop.example.org",
            "https://evilshop.example.org",
            "https://app.example.org.evil.com",
            "https://evil-app.example.org",
            "http://localhost",
            "http://localhost:8001",
            "http://[::1]",
        ] {
            assert!(matches!(verdict(&list, false, origin), Err(Refusal::OriginForeign { .. })), "{origin}");
        }
        for origin in [
            "null",
            "",
            "app.example.org",
            "https://",
            "https:app.example.org",
            "ftp://app.example.org",
            "file://app.example.org",
            "chrome-extension://abcdef",
            "https://app.example.org/",
            "https://app.example.org/x",
            "https://app.example.org?",
            "https://app.example.org#",
            "https://user@app.example.org",
            "https://app.example.org:",
            "https://app.example.org:+443",
            "https://app.example.org:0",
            "https://app.example.org:70000",
            "https://app.example.org https://evil.com",
            "https://app.example.org, https://evil.com",
            "https://.shop.example.org",
            "https://app.example.org.",
            "https://*.shop.example.org",
            "https://[::1",
            "https://::1",
        ] {
            assert_eq!(verdict(&list, false, origin), Err(Refusal::OriginMalformed), "{origin}");
        }
    }

    #[test]
    fn development_mode_lets_in_pages_of_this_machine_and_no_others() {
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443", "http://LOCALHOST:1"] {
            assert_eq!(verdict(&[], true, origin), Ok(true), "{origin}");
            assert!(verdict(&[], false, origin).is_err(), "{origin}");
        }
        for origin in ["http://localhost.evil.com", "http://127.0.0.2", "http://evil.com", "http://127.0.0.1.nip.io"] {
            assert!(verdict(&[], true, origin).is_err(), "{origin}");
        }
    }

    #[test]
    fn a_foreign_host_header_is_told_from_loopback() {
        for host in ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "evil.com", "localhost.evil.com", "127.0.0.1:x", "::1", "0.0.0.0:8000"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
