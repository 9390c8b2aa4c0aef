//! Where a call to another server goes: an address that has been checked once, in the parts that a connection and a request need.

use super::split_host_port;
use hyper::{Uri, http::uri::Authority};
use std::{fmt, str::FromStr};

/// An `http://` or `https://` address. Shown without its query, which may hold a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub(crate) tls: bool,
    /// Without brackets, as a resolver wants it.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The `Host` header: as it was written.
    pub(crate) authority: String,
    path: String,
    query: Option<String>,
}

/// Why a text is no address for a call; says what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an address, or of another kind.
    #[error("write http://host:port/path or https://host:port/path")]
    Malformed,
    /// `user:password@`.
    #[error("write the address without a user or a password in it")]
    UserInfo,
    /// `#…` is for browsers.
    #[error("write the address without a #fragment")]
    Fragment,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.contains('#') {
            return Err(TargetError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(TargetError::Malformed),
        };
        let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err(TargetError::UserInfo);
        }
        let (host, port) = split_host_port(authority).ok_or(TargetError::Malformed)?;
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.to_owned(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }
}

impl Target {
    /// `path` below this address; a query is dropped.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        self.path = format!("{}/{}", self.path.trim_end_matches('/'), path.trim_start_matches('/'));
        self.query = None;
        self
    }

    /// Whether it is `https`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether what is sent can be read on its way, which nobody can between two programs of one machine.
    pub fn is_open_to_eavesdroppers(&self) -> bool {
        let is_loopback = self.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        !self.tls && !is_loopback && self.host != "localhost"
    }

    /// What stands in the request's first line.
    pub(crate) fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let query = if self.query.is_some() { "?…" } else { "" };
        write!(f, "{scheme}://{}{}{query}", self.authority, self.path)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shown_without_its_query() {
        let table = [
            ("http://localhost:8000", (false, "localhost", 8000, "/"), "http://localhost:8000/"),
            ("http://[::1]:8000/", (false, "::1", 8000, "/"), "http://[::1]:8000/"),
            (
                "https://a.example.org/who?key=s",
                (true, "a.example.org", 443, "/who?key=s"),
                "https://a.example.org/who?…",
            ),
            ("http://10.0.0.7/a/b", (false, "10.0.0.7", 80, "/a/b"), "http://10.0.0.7/a/b"),
        ];
        for (text, (tls, host, port, path), shown) in table {
            let target: Target = text.parse().expect(text);
            let got = (target.tls, target.host.as_str(), target.port, target.path_and_query());
            assert_eq!(got, (tls, host, port, path.to_owned()));
            assert_eq!((target.to_string(), format!("{target:?}")), (shown.to_owned(), shown.to_owned()));
        }
        let below = |text: &str| text.parse::<Target>().expect(text).below("/readyz").path_and_query();
        assert_eq!(below("http://a"), "/readyz");
        assert_eq!(below("http://a/rt/?x=1"), "/rt/readyz");
    }

    #[test]
    fn what_is_no_address_for_a_call_is_refused_with_what_would_be_right() {
        let table = [
            ("", TargetError::Malformed),
            ("localhost", TargetError::Malformed),
            ("localhost:8000", TargetError::Malformed),
            ("ftp://localhost", TargetError::Malformed),
            ("http://", TargetError::Malformed),
            ("http://:80/", TargetError::Malformed),
            ("http://a:/", TargetError::Malformed),
            ("http://a:0/", TargetError::Malformed),
            ("http://a:70000/", TargetError::Malformed),
            ("http://a b/", TargetError::Malformed),
            ("http://u:p@h/", TargetError::UserInfo),
            ("https://h/#x", TargetError::Fragment),
        ];
        for (text, why) in table {
            assert_eq!(text.parse::<Target>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn only_plain_http_to_another_machine_can_be_read_on_its_way() {
        for (text, open) in [
            ("http://web:8000/", true),
            ("http://10.0.0.7/", true),
            ("https://web/", false),
            ("http://localhost/", false),
            ("http://127.0.0.9/", false),
            ("http://[::1]/", false),
        ] {
            assert_eq!(text.parse::<Target>().expect(text).is_open_to_eavesdroppers(), open, "{text}");
        }
    }
}
