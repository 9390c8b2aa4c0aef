//! Where frames and messages end in what a client sends.
//!
//! tungstenite keeps the capacity of the largest message for ever. So its context is dropped whenever the client
//! stands between two messages, and this says when that is. It checks nothing: that stays with tungstenite.

use std::io::Cursor;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

/// RFC 6455 §5.2: two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;
/// Empty fragments of one message. They cost their sender little and lead nowhere.
const EMPTY_FRAGMENTS_MAX: u16 = 128;

/// Follows the bytes of one client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Boundary {
    /// The header of the next frame as far as it has come.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// Payload bytes of the current frame that haven't come.
    payload: u64,
    /// Whether a message has begun whose last fragment hasn't.
    fragmented: bool,
    /// Frames that have begun since they were last asked for.
    frames: u32,
    /// Empty fragments of the message that is under way.
    empty: u16,
    /// Not WebSocket: tungstenite has closed or is about to.
    lost: bool,
}

impl Boundary {
    /// These bytes came next.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !self.lost && !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            bytes = self.take_header(bytes);
        }
    }

    /// Whether the last message is complete and nothing of the next has come.
    pub(super) fn is_clean(&self) -> bool {
        !self.lost && self.header_len == 0 && self.payload == 0 && !self.fragmented
    }

    /// Frames that have begun since the last call.
    pub(super) fn take_frames(&mut self) -> u32 {
        std::mem::take(&mut self.frames)
    }

    /// Whether the message that is under way has more empty fragments than any client would send.
    pub(super) fn is_padded(&self) -> bool {
        self.empty > EMPTY_FRAGMENTS_MAX
    }

    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let had = usize::from(self.header_len);
        let taken = bytes.len().min(HEADER_BYTES_MAX - had);
        self.header[had..had + taken].copy_from_slice(&bytes[..taken]);
        let mut cursor = Cursor::new(&self.header[..had + taken]);
        match FrameHeader::parse(&mut cursor) {
            Err(_) => {
                self.lost = true;
                &[]
            }
            Ok(None) => {
                // 14 bytes are always enough, so all of them were taken.
                self.header_len = u8::try_from(had + taken).unwrap_or_default();
                &bytes[taken..]
            }
            Ok(Some((header, payload))) => {
                let used = usize::try_from(cursor.position()).unwrap_or_default();
                self.header_len = 0;
                self.payload = payload;
                self.frames = self.frames.saturating_add(1);
                if matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary | Data::Continue)) {
                    self.fragmented = !header.is_final;
                    let empty = u16::from(payload == 0);
                    self.empty = if header.is_final { 0 } else { self.empty.saturating_add(empty) };
                }
                &bytes[used.saturating_sub(had)..]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut out = vec![first];
        match payload {
            0..126 => out.push(0x80 | u8::try_from(payload).expect("small")),
            126..65_536 => {
                out.push(0x80 | 126);
                out.extend(u16::try_from(payload).expect("medium").to_be_bytes());
            }
            _ => {
                out.push(0x80 | 127);
                out.extend((payload as u64).to_be_bytes());
            }
        }
        out.extend([1, 2, 3, 4]);
        out.extend(vec![0x55; payload]);
        out
    }

    #[test]
    fn a_message_is_over_when_its_last_fragment_is() {
        let table: [(&[u8], bool); 6] = [
            (&[0x81], true),
            (&[0x01], false),
            (&[0x01, 0x80], true),
            (&[0x01, 0x89], false),
            (&[0x01, 0x89, 0x00, 0x80], true),
            (&[0x89], true),
        ];
        for (firsts, clean) in table {
            let mut boundary = Boundary::default();
            for first in firsts {
                boundary.follow(&frame(*first, 3));
            }
            assert_eq!(boundary.is_clean(), clean, "{firsts:x?}");
        }
    }

    #[test]
    fn empty_fragments_of_one_message_are_counted_and_other_frames_are_not_held_against_it() {
        let mut boundary = Boundary::default();
        let most = usize::from(EMPTY_FRAGMENTS_MAX);
        for (firsts, padded) in [(most, false), (most + 1, true)] {
            boundary.follow(&frame(0x01, 3));
            for _ in 0..firsts {
                boundary.follow(&frame(0x00, 0));
                boundary.follow(&frame(0x00, 1));
                boundary.follow(&frame(0x89, 0));
            }
            assert_eq!(
                (boundary.is_padded(), boundary.take_frames()),
                (padded, u32::try_from(firsts * 3 + 1).expect("few"))
            );
            boundary.follow(&frame(0x80, 0));
            assert_eq!((boundary.is_padded(), boundary.take_frames()), (false, 1), "the next message begins anew");
        }
    }

    proptest! {
        #[test]
        fn it_is_clean_exactly_at_the_ends_of_messages_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0_u8..4, 0_usize..300), 1..12),
            big in 0_usize..70_000,
            cuts in proptest::collection::vec(1_usize..400, 1..60),
        ) {
            let (mut stream, mut clean_at, mut open) = (Vec::new(), vec![0], false);
            for (kind, payload) in frames.into_iter().chain([(3, big)]) {
                let first = match (kind, open) {
                    (0, _) => 0x89,
                    (1, false) => { open = true; 0x01 }
                    (1, true) => 0x00,
                    (_, false) => 0x82,
                    (_, true) => { open = false; 0x80 }
                };
                let payload = if kind == 0 { payload % 126 } else { payload };
                stream.extend(frame(first, payload));
                if !open { clean_at.push(stream.len()); }
            }
            let (mut boundary, mut at) = (Boundary::default(), 0);
            for cut in cuts.into_iter().cycle() {
                prop_assert_eq!(boundary.is_clean(), clean_at.contains(&at), "after {} bytes", at);
                if at == stream.len() { break; }
                let end = (at + cut).min(stream.len());
                boundary.follow(&stream[at..end]);
                at = end;
            }
        }
    }
}
