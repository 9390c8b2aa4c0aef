//! What is broken: faults as values, each with what it does, what must show that it bit, and who must still be served.
//!
//! [`table`] has all of them. [`inject`] does it and undoes it again, [`evidence`] looks whether it bit: a fault that nobody noticed proves nothing.

pub mod evidence;
pub mod inject;
mod table;

use evidence::Evidence;
use std::time::Duration;
pub use table::FAULTS;

/// Whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Leader,
    Follower,
    /// As many as can be missed, the leader among them.
    MinorityWithLeader,
    /// As many as can be missed, without the leader.
    MinorityWithoutLeader,
    Everybody,
}

/// Which files are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// They can be had again from the log.
    Tables,
    /// It cannot: the node has to be replaced.
    Log,
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL.
    Kill(Who),
    /// SIGSTOP.
    Pause(Who),
    /// Nothing reaches them, and nothing of theirs anybody else.
    Isolate(Who),
    /// What others say does not reach them.
    Deafen(Who),
    /// What they say reaches nobody.
    Mute(Who),
    /// The leader and one other lose each other; somebody else still reaches both.
    Bridge,
    /// They are cut off and found again, several times a second.
    Flap(Who),
    /// Every connection is ended with an RST, again and again.
    Reset,
    /// Everything between nodes takes long, and big pieces longer.
    Slow,
    /// The plug of their network is pulled: peers and clients lose them without a word.
    Unplug(Who),
    /// The same, and then they die: nobody is told that their connections are gone, either.
    Lose(Who),
    /// Their disk is full.
    Fill(Who),
    /// Bits of their files are turned over while they are down.
    Damage(Who, Files),
    /// A member is removed; another joins, and every node is restarted in turn.
    Replace,
}

/// Who must go on being served while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Whoever asks those that it does not hit.
    Others,
    /// Whoever asks anybody, sooner or later.
    Somebody,
    /// Nobody can be.
    Nobody,
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub name: &'static str,
    pub act: Act,
    /// All of it must be seen.
    pub bites: &'static [Evidence],
    pub served: Served,
    /// How often it comes in a long run, against the others.
    pub weight: u64,
}

/// How slow [`Act::Slow`] is.
pub const SLOW_DELAY: Duration = Duration::from_millis(25);
pub const SLOW_BYTES_PER_SECOND: u64 = 1 << 20;
