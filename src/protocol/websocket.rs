//! Outgoing WebSocket frames as bytes: encoded once with their header, then shared by every receiver.
//!
//! Only what a server sends: unmasked, unfragmented, no extensions. Reading is tungstenite's business.

use bytes::{BufMut, Bytes, BytesMut};

/// A text message.
pub const TEXT: u8 = 0x1;
/// The end of the conversation.
pub const CLOSE: u8 = 0x8;
/// Are you there?
pub const PING: u8 = 0x9;

/// A ping without payload. What comes back doesn't matter: any byte proves that somebody is there.
pub const PING_FRAME: Bytes = Bytes::from_static(&[0x80 | PING, 0]);

/// Longest header of a frame from a server.
pub const HEADER_BYTES_MAX: usize = 10;

/// One frame with its header.
pub fn encode(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + HEADER_BYTES_MAX);
    put(&mut frame, opcode, payload);
    frame.freeze()
}

/// Several text messages, one after the other, ready for one write.
pub fn encode_texts<T: AsRef<[u8]>>(texts: &[T]) -> Bytes {
    let size = texts.iter().map(|t| t.as_ref().len() + HEADER_BYTES_MAX).sum();
    let mut frames = BytesMut::with_capacity(size);
    for text in texts {
        put(&mut frames, TEXT, text.as_ref());
    }
    frames.freeze()
}

// RFC 6455 §5.2: FIN and opcode; then the length in 7, 7+16 or 7+64 bits, the shortest that holds it.
fn put(out: &mut BytesMut, opcode: u8, payload: &[u8]) {
    out.put_u8(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload.len() as u64);
        }
    }
    out.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

    #[test]
    fn tungstenite_reads_every_length_back_and_the_header_is_the_shortest() {
        for (length, header) in [(0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (70_000, 10)]
        {
            let frame = encode(TEXT, &vec![b'x'; length]);
            assert_eq!(frame.len(), header + length);
            let mut cursor = Cursor::new(&frame[..]);
            let (parsed, read) = FrameHeader::parse(&mut cursor).expect("well formed").expect("complete");
            assert_eq!((read, cursor.position()), (length as u64, header as u64));
            assert!(parsed.is_final && parsed.mask.is_none());
        }
    }

    #[test]
    fn texts_stand_one_after_the_other() {
        assert_eq!(&encode_texts(&["a", "bc"])[..], b"\x81\x01a\x81\x02bc");
        assert_eq!(&PING_FRAME[..], b"\x89\x00");
    }
}
