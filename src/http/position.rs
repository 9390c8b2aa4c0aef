//! `Carillon-Position`: where in the log a call's change stands, and up to where a node must be before it answers.
//!
//! A node applies a moment later what another has answered. Whoever must not be shown less than what it has stored, or been
//! shown, gives the position along: in the form of `pos` in frames, which will do as well.

use super::{Api, ApiError, openapi::Kind};
use crate::{
    config::limits::{RESUME_AHEAD_ENTRIES, RESUME_AHEAD_WAIT},
    protocol::{Cursor, Pos},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Lower case, as on the wire; the document has its usual spelling.
const HEADER: HeaderName = HeaderName::from_static("carillon-position");
/// In the document and in messages.
pub(super) const NAME: &str = "Carillon-Position";

/// A position, wherever one is given.
pub(super) const POSITION: Kind = Kind::Pattern {
    pattern: "^[0-9a-f]{16}-(0|[1-9a-f][0-9a-f]{0,15})$",
    matches: |text| Cursor::parse(text).is_some(),
};

impl Api {
    /// Says where in the log something stands.
    pub(super) fn show_position(&self, headers: &mut HeaderMap, pos: Pos) {
        if let Ok(value) = HeaderValue::try_from(self.inner.records.cursor(pos).to_string()) {
            headers.insert(HEADER, value);
        }
    }

    /// Waits until this node has applied what a caller has seen elsewhere, if the caller says up to where that is.
    pub(super) async fn come_up_to(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(asked) = read(headers)? else { return Ok(()) };
        let records = &self.inner.records;
        let ((), stands) = records.read_at(|_| Ok(()))?;
        let lacking = asked.pos.index().saturating_sub(stands.index());
        if asked.history != records.history() || lacking > RESUME_AHEAD_ENTRIES {
            return Err(ApiError::UnknownPosition);
        }
        if lacking == 0 || records.applied_at_least(asked.pos.index(), RESUME_AHEAD_WAIT).await {
            return Ok(());
        }
        Err(ApiError::Behind)
    }
}

fn read(headers: &HeaderMap) -> Result<Option<Cursor>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let cursor = value.to_str().ok().and_then(Cursor::parse).filter(|_| values.next().is_none());
    cursor.map(Some).ok_or_else(|| {
        let message = "the header Carillon-Position must stand once, as an answer gave it, or as pos of a frame";
        ApiError::invalid(NAME, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_stands_once_as_it_was_given() {
        let good = Cursor { history: 7, pos: Pos::new(3, 1) };
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().expect("a header"));
            }
            headers
        };
        assert_eq!(read(&headers(&[])), Ok(None));
        assert_eq!(read(&headers(&[&good.to_string()])), Ok(Some(good)));
        for bad in [&["7"][..], &[""], &["0000000000000007-0x3"], &[&good.to_string(), &good.to_string()]] {
            assert_eq!(read(&headers(bad)).map_err(|error| error.code()), Err("invalid"), "{bad:?}");
        }
    }
}
