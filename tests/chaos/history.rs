//! What happened, in one order: everything that anybody asked, was answered and was shown, as a list of events.
//!
//! The place in the list is the time: an answer that stands before a question was given before it was asked, whoever
//! gave and asked. So whoever records a question does so before it is sent, and an answer after it has come.

use crate::net::Node;
use std::fmt;

/// Whose notifications.
pub type User = u64;
/// A socket, or all sockets of one client that resumes: what is shown on it is one sequence.
pub type Stream = u64;
/// A page of an inbox that was asked for.
pub type Page = u64;

/// One notification that a writer wants to be stored; its title says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    pub writer: u64,
    pub nth: u64,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}-{}", self.writer, self.nth)
    }
}

impl Write {
    /// What a title stands for.
    pub fn of(title: &str) -> Option<Self> {
        let (writer, nth) = title.strip_prefix('w')?.split_once('-')?;
        Some(Self { writer: writer.parse().ok()?, nth: nth.parse().ok()? })
    }
}

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored under this id.
    Stored(u64),
    /// It never happened, and never will: `no_quorum`, `disk_full` and the like.
    Never,
    /// It may have: `outcome_unknown`, a connection that broke, silence.
    Unknown,
}

/// An ephemeral event: the nth of a publisher, who stays at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Toast {
    pub publisher: u64,
    pub nth: u64,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// A writer asks, perhaps again.
    Asked { write: Write, user: User },
    /// It is answered through this node.
    Answered { write: Write, node: Node, outcome: Outcome },
    /// A writer asks for a notification of its own to be marked as read, or a page does, over a socket.
    MarkAsked { write: Write },
    /// It was.
    Marked { write: Write },
    /// Somebody asks for all of an inbox to be marked as read; the number is one of the user's.
    AllMarkAsked { user: User, number: u64 },
    /// It was.
    AllMarked { user: User, number: u64 },
    /// A page of the newest is asked for.
    ReadAsked { page: Page, node: Node, user: User },
    /// Ids and titles, newest first.
    ReadDone { page: Page, rows: Vec<(u64, String)> },
    /// A socket is let in; from here on it is to be shown everything.
    Greeted { stream: Stream, user: User },
    /// A notification is shown.
    Shown { stream: Stream, id: u64, title: String },
    /// An ephemeral event is to be published to a user's sockets.
    Published { toast: Toast, user: User },
    /// It was taken, and every node had it.
    Taken { toast: Toast },
    /// It is shown.
    Heard { stream: Stream, toast: Toast },
    /// A socket has ended, or is given up.
    Ended { stream: Stream },
    /// Something is about to be broken.
    Fault,
    /// Everything is whole, and every node sees every other.
    Calm,
}

/// A row of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    pub title: String,
    pub is_read: bool,
}

/// A user's whole inbox at a node, by ascending ids, when all was over.
#[derive(Clone, Debug)]
pub struct Inbox {
    pub node: Node,
    pub user: User,
    pub rows: Vec<Row>,
}

/// Who was online at the end: in truth, and as each node has it.
#[derive(Clone, Debug, Default)]
pub struct Online {
    pub truth: Vec<String>,
    pub shown: Vec<(Node, Vec<String>)>,
}

/// All that is checked.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
    pub inboxes: Vec<Inbox>,
    /// Clients that resumed: each must have been shown everything.
    pub resumed: Vec<Stream>,
    pub online: Online,
}
