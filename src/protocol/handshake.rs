//! Is this request a WebSocket handshake? RFC 6455 §4.2, as a function over the request's head.

use hyper::{
    HeaderMap, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    http::request::Parts,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Why it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAHandshake {
    /// No such headers; 426.
    #[error("this path speaks WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`")]
    NoUpgrade,
    /// Another method; 405.
    #[error("a WebSocket handshake is a GET request")]
    NotGet,
    /// HTTP/1.0; 400.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    OldHttp,
    /// Another version of the protocol; 426.
    #[error("this server speaks WebSocket version 13: send `Sec-WebSocket-Version: 13`")]
    OtherVersion,
    /// No nonce; 400.
    #[error("`Sec-WebSocket-Key` must be 16 bytes in base64")]
    BadKey,
}

/// The value for `Sec-WebSocket-Accept`.
///
/// # Errors
/// When it is none.
pub fn accept(parts: &Parts) -> Result<String, NotAHandshake> {
    let headers = &parts.headers;
    if !lists(headers, CONNECTION.as_str(), "upgrade") || !lists(headers, UPGRADE.as_str(), "websocket") {
        return Err(NotAHandshake::NoUpgrade);
    }
    if parts.method != Method::GET {
        return Err(NotAHandshake::NotGet);
    }
    if parts.version < Version::HTTP_11 {
        return Err(NotAHandshake::OldHttp);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(NotAHandshake::OtherVersion);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    // 16 bytes in base64 are always 22 characters and two of padding.
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    if key.len() != 24 || !key[..22].iter().all(is_base64) || &key[22..] != b"==" {
        return Err(NotAHandshake::BadKey);
    }
    Ok(derive_accept_key(key))
}

/// The answer after which the connection is a WebSocket.
pub fn switching<B: Default>(accept: &str, subprotocol: Option<&'static str>) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is always a good header value.
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

fn lists(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(change: &[(&'static str, Option<&'static str>)]) -> Parts {
        let mut request = hyper::Request::get("/ws/dashboard/").body(()).expect("a request");
        let sound = [
            ("connection", Some("keep-alive, Upgrade")),
            ("upgrade", Some("WebSocket")),
            ("sec-websocket-version", Some("13")),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ==")),
        ];
        for (name, value) in sound.iter().chain(change) {
            request.headers_mut().remove(*name);
            if let Some(value) = value {
                request.headers_mut().insert(*name, value.parse().expect("a header"));
            }
        }
        request.into_parts().0
    }

    #[test]
    fn the_sample_of_the_rfc_is_answered_as_in_the_rfc() {
        assert_eq!(accept(&head(&[])), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let table = [
            (("connection", Some("keep-alive")), NotAHandshake::NoUpgrade),
            (("connection", None), NotAHandshake::NoUpgrade),
            (("upgrade", Some("h2c")), NotAHandshake::NoUpgrade),
            (("sec-websocket-version", Some("8")), NotAHandshake::OtherVersion),
            (("sec-websocket-version", None), NotAHandshake::OtherVersion),
            (("sec-websocket-key", None), NotAHandshake::BadKey),
            (("sec-websocket-key", Some("short")), NotAHandshake::BadKey),
            (("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ=!")), NotAHandshake::BadKey),
        ];
        for (change, why) in table {
            assert_eq!(accept(&head(&[change])), Err(why), "{change:?}");
        }
        let mut post = head(&[]);
        post.method = Method::POST;
        assert_eq!(accept(&post), Err(NotAHandshake::NotGet));
        let mut old = head(&[]);
        old.version = Version::HTTP_10;
        assert_eq!(accept(&old), Err(NotAHandshake::OldHttp));
    }
}
