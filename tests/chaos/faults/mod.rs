//! What is broken: a table of faults, each with what it does, what must show that it bit, and who must still be served.
//!
//! [`inject`] does it and undoes it again, [`evidence`] looks whether it bit: a fault that nobody noticed proves nothing.

pub mod evidence;
pub mod inject;

use evidence::Evidence;
use std::time::Duration;

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

use Evidence::{Broken, DiskFull, Ended, Gone, Held, NewLeader, NoQuorum, Said, Slowed, Unanswered, Unreachable};

const fn fault(name: &'static str, act: Act, bites: &'static [Evidence], served: Served) -> Fault {
    Fault { name, act, bites, served, weight: 1 }
}

const fn often(weight: u64, fault: Fault) -> Fault {
    Fault { weight, ..fault }
}

/// Every fault there is; a short run has each of them once.
pub const FAULTS: &[Fault] = &[
    often(6, fault("kill the leader", Act::Kill(Who::Leader), &[Gone, NewLeader], Served::Others)),
    often(3, fault("kill a follower", Act::Kill(Who::Follower), &[Gone, Unreachable], Served::Others)),
    often(3, fault("kill all", Act::Kill(Who::Everybody), &[Gone, Unanswered], Served::Nobody)),
    often(3, fault("stop the leader", Act::Pause(Who::Leader), &[NewLeader], Served::Others)),
    often(3, fault(
        "isolate a minority with the leader",
        Act::Isolate(Who::MinorityWithLeader),
        &[Held, NoQuorum, NewLeader],
        Served::Others,
    )),
    often(3, fault(
        "isolate a minority without the leader",
        Act::Isolate(Who::MinorityWithoutLeader),
        &[Held, NoQuorum],
        Served::Others,
    )),
    often(3, fault("the leader hears nobody", Act::Deafen(Who::Leader), &[Held, NewLeader], Served::Others)),
    often(3, fault("nobody hears the leader", Act::Mute(Who::Leader), &[Held, NewLeader], Served::Others)),
    often(3, fault("a follower hears nobody", Act::Deafen(Who::Follower), &[Held, NoQuorum], Served::Others)),
    often(3, fault("the leader and another are bridged", Act::Bridge, &[Held, Unreachable], Served::Somebody)),
    often(3, fault("the leader comes and goes", Act::Flap(Who::Leader), &[Held], Served::Somebody)),
    often(3, fault("connections are reset", Act::Reset, &[Broken], Served::Somebody)),
    often(2, fault("links are slow", Act::Slow, &[Slowed], Served::Somebody)),
    often(2, fault("a follower's disk is full", Act::Fill(Who::Follower), &[DiskFull], Served::Others)),
    often(2, fault("the leader's disk is full", Act::Fill(Who::Leader), &[DiskFull], Served::Somebody)),
    often(2, fault(
        "a node's tables are damaged",
        Act::Damage(Who::Follower, Files::Tables),
        &[Said("the tables are rebuilt from snapshot and log")],
        Served::Others,
    )),
    fault("a node's log is damaged", Act::Damage(Who::Follower, Files::Log), &[Ended(65)], Served::Others),
    fault("a member is replaced", Act::Replace, &[Ended(78)], Served::Others),
];
