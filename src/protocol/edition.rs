//! The two editions of the protocol, and how the second wraps the frames of the first.
//!
//! `carillon.v1` frames are those of `carillon.v0` with fields put in at the end: `pos` on what is durable, `id` on
//! replies. So a frame is made once and both editions are cut from it.

use super::{Pos, Timestamp, UserId};
use std::fmt::{self, Write};

/// What a socket speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edition {
    /// `carillon.v0`: the frames of the Django Channels stack.
    #[default]
    V0,
    /// `carillon.v1`: with resume, correlation and batches.
    V1,
}

impl Edition {
    /// The subprotocol by which a client asks for it.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V0 => "carillon.v0",
            Self::V1 => "carillon.v1",
        }
    }
}

/// What members that speak `carillon.v1` get of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InV1 {
    /// The frames of v0.
    #[default]
    Same,
    /// These instead.
    Instead(Vec<String>),
    /// A presence change, gathered with others into one `presence_changes`.
    Change {
        /// Who.
        user: UserId,
        /// Came.
        online: bool,
        /// When the user came or was last seen.
        seen: Option<Timestamp>,
        /// The entry, JSON text.
        entry: String,
    },
}

/// A place in one history of the log, as clients keep it: opaque to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which history: a restored backup begins another.
    pub history: u64,
    /// Where in it.
    pub pos: Pos,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}", self.history, self.pos.0)
    }
}

impl Cursor {
    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (history, pos) = text.split_once('-')?;
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let cursor = Self { history: number(history)?, pos: Pos(number(pos)?) };
        // One spelling each: no signs, no capitals, no leading zeros.
        (cursor.to_string() == text).then_some(cursor)
    }
}

/// A frame with one more field at its end. `value` is JSON text.
pub fn with_field(frame: &str, name: &str, value: &str) -> String {
    let mut out = String::with_capacity(frame.len() + name.len() + value.len() + 4);
    push_with_field(&mut out, frame, (name, value));
    out
}

/// A reply with the `id` of its request, if it had one.
pub fn with_id(frame: &str, id: Option<&str>) -> String {
    id.map_or_else(|| frame.to_owned(), |id| with_field(frame, "id", id))
}

/// A durable frame of v1.
pub fn with_pos(frame: &str, at: Cursor) -> String {
    with_field(frame, "pos", &format!("\"{at}\""))
}

// Frames are objects that end in `}` and have at least a `type`.
fn push_with_field(out: &mut String, frame: &str, (name, value): (&str, &str)) {
    let open = frame.strip_suffix('}').unwrap_or(frame);
    // Writing to a string cannot fail.
    let _ = write!(out, "{open},\"{name}\":{value}}}");
}

/// One message of v1: the frame itself, or an array of several. With `at`, each has its `pos`.
pub fn message<T: AsRef<str>>(frames: &[T], at: Option<Cursor>) -> String {
    let pos = at.map(|at| format!("\"{at}\""));
    let size: usize = frames.iter().map(|frame| frame.as_ref().len() + 48).sum();
    let mut out = String::with_capacity(size);
    let many = frames.len() != 1;
    if many {
        out.push('[');
    }
    for (nth, frame) in frames.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        match &pos {
            Some(pos) => push_with_field(&mut out, frame.as_ref(), ("pos", pos)),
            None => out.push_str(frame.as_ref()),
        }
    }
    if many {
        out.push(']');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Cursor = Cursor { history: 0xab, pos: Pos(0x1_0002) };

    #[test]
    fn a_cursor_reads_back_in_its_one_spelling_only() {
        assert_eq!(AT.to_string(), "00000000000000ab-10002");
        assert_eq!(Cursor::parse("00000000000000ab-10002"), Some(AT));
        for bad in
            ["", "-", "ab-10002", "00000000000000AB-10002", "00000000000000ab-010002", "00000000000000ab-+1", "x-1"]
        {
            assert_eq!(Cursor::parse(bad), None, "{bad:?}");
        }
        let longest = Cursor { history: u64::MAX, pos: Pos(u64::MAX) };
        assert_eq!(Cursor::parse(&longest.to_string()), Some(longest));
        assert!(longest.to_string().len() <= 64);
    }

    #[test]
    fn one_frame_is_a_message_and_several_are_an_array() {
        assert_eq!(message(&[r#"{"type":"a"}"#], None), r#"{"type":"a"}"#);
        assert_eq!(message(&[r#"{"type":"a"}"#], Some(AT)), r#"{"type":"a","pos":"00000000000000ab-10002"}"#);
        let two = message(&[r#"{"type":"a"}"#, r#"{"type":"b","data":{"x":"}"}}"#], Some(AT));
        let two: serde_json::Value = serde_json::from_str(&two).expect("JSON");
        assert_eq!((&two[1]["data"]["x"], &two[1]["pos"]), (&"}".into(), &"00000000000000ab-10002".into()));
        assert_eq!(message::<&str>(&[], None), "[]");
    }
}
