//! One entry of `auth.allowed_origins`: an exact host, or all subdomains of one.

use std::net::Ipv6Addr;

/// `app.example.org`, `app.example.org:8443`, `*.example.org`, `[::1]:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    host: String,
    /// `*.`: any depth below `host`, not `host` itself.
    below: bool,
    /// `None`: the scheme's own port, 80 or 443.
    port: Option<u16>,
}

impl OriginPattern {
    /// Reads one entry.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, host)) = text.split_once("://") {
            return Err(format!("{text:?} has a scheme: write the host alone, {:?}", host.trim_end_matches('/')));
        }
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (host, port) = split_host_port(rest).ok_or_else(|| {
            format!("{text:?} is no host: write app.example.org, app.example.org:8443 or *.example.org")
        })?;
        if below && !host.contains('.') {
            return Err(format!("{text:?} would let in every site below {host:?}: name a domain, *.example.org"));
        }
        Ok(Self { host, below, port })
    }

    /// Whether an origin of this (lower-case) host and port is meant.
    pub(crate) fn matches(&self, host: &str, port: u16, default_port: u16) -> bool {
        let host_fits = if self.below {
            host.strip_suffix(&self.host).is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        } else {
            host == self.host
        };
        host_fits && port == self.port.unwrap_or(default_port)
    }
}

/// `host[:port]` with a lower-case host; IPv6 addresses in brackets and in their canonical form.
pub(crate) fn split_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_host_name(host).then(|| host.to_ascii_lowercase())?, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        // `parse` alone would take a sign.
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
    };
    Some((host, port))
}

/// Labels of letters, digits, `-` and `_`, none empty; so no path, no user, no wildcard.
fn is_host_name(host: &str) -> bool {
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_would_match_nothing_or_everything_is_a_mistake() {
        for good in ["a", "localhost:8000", "App.Example.org", "*.example.org", "*.example.org:8443", "[::1]:3000"] {
            assert!(OriginPattern::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "*.", "*.org", "a.*.org", "https://a.org", "a.org/", "a b", "a.org:", "a.org:x", "é.org"]
        {
            assert!(OriginPattern::parse(bad).is_err(), "{bad}");
        }
        let said = OriginPattern::parse("https://app.example.org/").expect_err("a scheme");
        assert!(said.ends_with("write the host alone, \"app.example.org\""), "{said}");
    }
}
