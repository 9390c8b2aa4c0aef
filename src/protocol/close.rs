//! Why the server ends a connection: one table of close codes and their short, machine-readable reasons.

use super::{Edition, websocket};
use bytes::Bytes;

/// Where clients may go instead: `wss://host[:port]`. A close is kept in every session, so it holds no more than a thin
/// pointer to it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OtherServer(pub String);

/// Why the server closes a socket. The numbers 4401–4410 are Carillon's own, the others are RFC 6455's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// 1000: nothing was asked of a stream for a long time.
    Idle,
    /// 1001: the server stops at once, without a drain.
    GoingAway,
    /// 1002: a frame broke RFC 6455 (unmasked, reserved bits, an orphaned fragment).
    ProtocolError,
    /// 1007: a text message was not UTF-8.
    NotUtf8,
    /// 1008: too many frames in a row that meant nothing.
    BadFrames,
    /// 1008: too many frames in a row that came faster than allowed.
    TooFast,
    /// 1009: a frame or a message over the limit.
    TooLarge,
    /// 1011: a defect of the server.
    Internal,
    /// 1012: this server leaves; come back, elsewhere if there is an elsewhere.
    Drain {
        /// How long to wait before coming back, so that not everybody comes at once.
        retry_after_ms: u32,
        /// Another server of the same cluster, if one is known: `wss://host[:port]`.
        to: Option<&'static OtherServer>,
    },
    /// 1013: the server could not say hello now.
    Overload,
    /// 1013: a durable frame had no room in the outbox, `carillon.v0`.
    Slow,
    /// 1008: the credential ran out, `carillon.v0`.
    TokenExpired,
    /// 4401: the credential ran out, `carillon.v1`.
    TokenExpiredV1,
    /// 4403: the application ended it; don't come back.
    Disconnected,
    /// 4408: a durable frame had no room in the outbox, `carillon.v1`: resume.
    SlowResume,
    /// 4410: this node lost its place in the cluster; resume elsewhere.
    LostPlace,
}

impl Close {
    /// As a socket of this edition has it: what can be mended by coming back has codes of its own in v1.
    #[must_use]
    pub fn said_in(self, edition: Edition) -> Self {
        match (edition, self) {
            (Edition::V1, Self::TokenExpired) => Self::TokenExpiredV1,
            (Edition::V1, Self::Slow) => Self::SlowResume,
            (_, close) => close,
        }
    }

    /// The close code.
    pub fn code(self) -> u16 {
        match self {
            Self::Idle => 1000,
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::NotUtf8 => 1007,
            Self::BadFrames | Self::TooFast | Self::TokenExpired => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Drain { .. } => 1012,
            Self::Overload | Self::Slow => 1013,
            Self::TokenExpiredV1 => 4401,
            Self::Disconnected => 4403,
            Self::SlowResume => 4408,
            Self::LostPlace => 4410,
        }
    }

    /// The `code` in the reason; also the label of the counter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::GoingAway => "going_away",
            Self::ProtocolError => "protocol_error",
            Self::NotUtf8 => "not_utf8",
            Self::BadFrames => "bad_frames",
            Self::TooFast => "too_fast",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
            Self::Drain { .. } => "drain",
            Self::Overload => "overload",
            Self::Slow | Self::SlowResume => "slow",
            Self::TokenExpired | Self::TokenExpiredV1 => "token_expired",
            Self::Disconnected => "disconnected",
            Self::LostPlace => "lost_place",
        }
    }

    /// The reason: short JSON, well under the 123 bytes that a close frame has for it.
    pub fn reason(self) -> String {
        let code = self.name();
        match self {
            Self::Drain { retry_after_ms, to: None } => {
                format!(r#"{{"code":"{code}","retry_after_ms":{retry_after_ms}}}"#)
            }
            // It was checked to have nothing that JSON escapes.
            Self::Drain { retry_after_ms, to: Some(to) } => {
                format!(r#"{{"code":"{code}","retry_after_ms":{retry_after_ms},"to":"{}"}}"#, to.0)
            }
            _ => format!(r#"{{"code":"{code}"}}"#),
        }
    }

    /// Whether the client is to come back, by itself and at once or a little later.
    fn is_passing(self) -> bool {
        matches!(
            self,
            Self::GoingAway
                | Self::Internal
                | Self::Drain { .. }
                | Self::Overload
                | Self::Slow
                | Self::TokenExpired
                | Self::TokenExpiredV1
                | Self::SlowResume
                | Self::LostPlace
        )
    }

    /// What is sent at the end to a socket of this edition. The client of the old stack comes back only after a connection
    /// that ended without a close frame, so a `carillon.v0` socket that is to come back gets none.
    pub fn frame_in(self, edition: Edition) -> Option<Bytes> {
        (edition == Edition::V1 || !self.is_passing()).then(|| self.frame())
    }

    /// The whole close frame, as a server sends it.
    pub fn frame(self) -> Bytes {
        let mut payload = self.code().to_be_bytes().to_vec();
        payload.extend_from_slice(self.reason().as_bytes());
        websocket::encode(websocket::CLOSE, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_has_a_json_reason_that_fits_a_control_frame() {
        let place: &OtherServer = Box::leak(Box::new(OtherServer("wss://b.example.org".into())));
        let table = [
            (Close::Idle, 1000, r#"{"code":"idle"}"#),
            (Close::GoingAway, 1001, r#"{"code":"going_away"}"#),
            (Close::ProtocolError, 1002, r#"{"code":"protocol_error"}"#),
            (Close::NotUtf8, 1007, r#"{"code":"not_utf8"}"#),
            (Close::BadFrames, 1008, r#"{"code":"bad_frames"}"#),
            (Close::TooFast, 1008, r#"{"code":"too_fast"}"#),
            (Close::TooLarge, 1009, r#"{"code":"too_large"}"#),
            (Close::Internal, 1011, r#"{"code":"internal"}"#),
            (
                Close::Drain { retry_after_ms: u32::MAX, to: None },
                1012,
                r#"{"code":"drain","retry_after_ms":4294967295}"#,
            ),
            (
                Close::Drain { retry_after_ms: 5, to: Some(place) },
                1012,
                r#"{"code":"drain","retry_after_ms":5,"to":"wss://b.example.org"}"#,
            ),
            (Close::Overload, 1013, r#"{"code":"overload"}"#),
            (Close::Slow, 1013, r#"{"code":"slow"}"#),
            (Close::TokenExpired, 1008, r#"{"code":"token_expired"}"#),
            (Close::TokenExpiredV1, 4401, r#"{"code":"token_expired"}"#),
            (Close::Disconnected, 4403, r#"{"code":"disconnected"}"#),
            (Close::SlowResume, 4408, r#"{"code":"slow"}"#),
            (Close::LostPlace, 4410, r#"{"code":"lost_place"}"#),
        ];
        for (close, code, reason) in table {
            assert_eq!((close.code(), close.reason().as_str()), (code, reason));
            let frame = close.frame();
            assert_eq!(frame[0], 0x88);
            assert_eq!(usize::from(frame[1]), 2 + reason.len());
            assert!(frame[1] <= 125, "{close:?}");
            assert_eq!(frame[2..4], code.to_be_bytes());
        }
    }
}
