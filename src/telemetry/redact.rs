//! Addresses without the secrets in them; every URI that is logged goes through here.

use std::borrow::Cow;

/// Query parameters whose values are never shown.
const SECRETS: [&str; 5] = ["token", "ticket", "access_token", "key", "api_key"];
const REDACTED: &str = "[redacted]";

/// `path?query` with the value of every secret parameter replaced. Names are recognised in any case and however
/// they are escaped, as whoever reads the log would recognise them.
pub fn redact(path_and_query: &str) -> Cow<'_, str> {
    let Some((path, query)) = path_and_query.split_once('?') else { return Cow::Borrowed(path_and_query) };
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(path_and_query);
    }
    let pairs: Vec<Cow<'_, str>> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(pair) => Cow::Owned(format!("{name}={REDACTED}")),
            _ => Cow::Borrowed(pair),
        })
        .collect();
    Cow::Owned(format!("{path}?{}", pairs.join("&")))
}

fn is_secret(pair: &str) -> bool {
    let name = unescape(pair.split_once('=').map_or("", |(name, _)| name));
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
}

/// Percent-decodes; what is no escape stays as it is.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(escaped)) => {
                out.push(escaped);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_and_nothing_else_is() {
        let table = [
            ("/ws/dashboard/", "/ws/dashboard/"),
            ("/x?a=b&c", "/x?a=b&c"),
            ("/x?token=a.b.c", "/x?token=[redacted]"),
            ("/x?a=b&token=a.b.c&ticket=t&z=1", "/x?a=b&token=[redacted]&ticket=[redacted]&z=1"),
            ("/x?TOKEN=s", "/x?TOKEN=[redacted]"),
            ("/x?%74oken=s", "/x?%74oken=[redacted]"),
            ("/x?tok%65n=s&%=1&%zz=2&%é=3", "/x?tok%65n=[redacted]&%=1&%zz=2&%é=3"),
            ("/x?token=a=b?token=c", "/x?token=[redacted]"),
            ("/x?tokens=s&mytoken=s", "/x?tokens=s&mytoken=s"),
            ("/x?token", "/x?token"),
            ("/x?", "/x?"),
            ("", ""),
        ];
        for (uri, expected) in table {
            assert_eq!(redact(uri), expected, "{uri}");
        }
    }
}
