//! Making up for what a client has missed: from the journal, page by page, then over to what happens now.
//!
//! The switch leaves no gap and repeats nothing: while pages are read the outbox takes no durable frame, since the
//! journal has it; before the last page it holds them back, and drops those that the page turns out to contain. A
//! page is read when the one before it has left, so a slow reader keeps no more than a page waiting.

use super::handle::Session;
use crate::{
    endpoints::{AdmitError, Endpoints, Missed},
    protocol::{Cursor, Pos, edition::with_id, frames},
};

/// The next page is read when no more than this waits.
pub(super) const LOW_WATER_BYTES: u32 = 16 << 10;

/// What a step of a resume came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Go on from here once the socket has taken the most of it.
    GoOn(Pos),
    /// The session hears what happens from now on.
    Done,
    /// The reader was so slow that the journal has forgotten the rest.
    TooLate,
}

/// Answers the request; where the replay begins, if there is one.
pub(super) fn begin(
    (endpoints, session): (&Endpoints, &Session),
    after: Option<Cursor>,
    id: Option<&str>,
) -> Result<Option<Pos>, AdmitError> {
    session.skip();
    if let Some(after) = after
        && endpoints.knows_way_from(after)?
    {
        session.reply(&with_id(&frames::resumed(true, after), id));
        return Ok(Some(after.pos));
    }
    session.hold();
    let at = endpoints.stands_at()?;
    session.open(&[with_id(&frames::resumed(false, at), id)], at.pos);
    Ok(None)
}

/// Reads a page and queues it.
pub(super) fn step((endpoints, session): (&Endpoints, &Session), after: Pos) -> Result<Step, AdmitError> {
    // Held from before the page is read: what is committed meanwhile is in one of the two.
    session.hold();
    let Some(Missed { messages, last, at, more }) = endpoints.missed(&session.client, after)? else {
        return Ok(Step::TooLate);
    };
    if more {
        session.skip();
        session.replay(&messages);
        return Ok(Step::GoOn(last));
    }
    session.open(&messages, at);
    Ok(Step::Done)
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
