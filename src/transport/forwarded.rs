//! Whose address it is: the peer's, or what trusted proxies say stands behind them.

use hyper::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// The client's address. `X-Forwarded-For` is read from its end, as far as trusted proxies have written it: what
/// stands before the first address that isn't one of them, anybody could have sent.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(&peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let entries = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
    let mut nearest = peer;
    for entry in entries {
        let Some(address) = parse(entry.trim()) else { break };
        nearest = address;
        if !trusted.contains(&address) {
            break;
        }
    }
    nearest
}

// Some proxies add the port.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry.parse().ok().or_else(|| entry.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.map(|a: IpAddr| a.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let trusted = ["10.0.0.1", "10.0.0.2"].map(|a| a.parse().expect("an address"));
        let table: [(&str, &[&str], &str); 9] = [
            ("9.9.9.9", &["1.2.3.4"], "9.9.9.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4, nonsense"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
        ];
        for (peer, lines, client) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().expect("a header"));
            }
            let got = client_address(peer.parse().expect("an address"), &headers, &trusted);
            assert_eq!(got.to_string(), client, "{peer} {lines:?}");
        }
    }
}
