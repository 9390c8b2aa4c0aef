//! Every fault there is. A short run has each of them once, a long one takes any, by weight.

use super::{
    Act,
    Evidence::{Broken, DiskFull, Ended, Gone, Held, NewLeader, NoQuorum, Said, Slowed, Unanswered, Unreachable},
    Fault, Files, Served, Who,
    evidence::Evidence,
};

pub const FAULTS: &[Fault] = &[
    fault((6, "kill the leader"), Act::Kill(Who::Leader), &[Gone, NewLeader], Served::Others),
    fault((3, "kill a follower"), Act::Kill(Who::Follower), &[Gone, Unreachable], Served::Others),
    fault((3, "kill all"), Act::Kill(Who::Everybody), &[Gone, Unanswered], Served::Nobody),
    fault((3, "stop the leader"), Act::Pause(Who::Leader), &[NewLeader], Served::Others),
    fault((3, "isolate some with the leader"), Act::Isolate(Who::MinorityWithLeader), CUT_OFF_LEADER, Served::Others),
    fault((3, "isolate some without the leader"), Act::Isolate(Who::MinorityWithoutLeader), CUT_OFF, Served::Others),
    fault((3, "the leader hears nobody"), Act::Deafen(Who::Leader), &[Held, NewLeader], Served::Others),
    fault((3, "nobody hears the leader"), Act::Mute(Who::Leader), &[Held, NewLeader], Served::Others),
    fault((3, "a follower hears nobody"), Act::Deafen(Who::Follower), CUT_OFF, Served::Others),
    fault((3, "nobody hears a follower"), Act::Mute(Who::Follower), &[Held, Unreachable], Served::Others),
    fault((3, "the leader's plug is pulled"), Act::Unplug(Who::Leader), &[Unanswered, NewLeader], Served::Others),
    fault((3, "a follower's plug is pulled"), Act::Unplug(Who::Follower), &[Unanswered, Unreachable], Served::Others),
    fault((3, "the leader's machine is gone"), Act::Lose(Who::Leader), &[Gone, Unanswered, NewLeader], Served::Others),
    fault((3, "the leader and another are bridged"), Act::Bridge, &[Held, Unreachable], Served::Somebody),
    fault((3, "the leader comes and goes"), Act::Flap(Who::Leader), &[Held], Served::Somebody),
    fault((3, "connections are reset"), Act::Reset, &[Broken], Served::Somebody),
    fault((2, "links are slow"), Act::Slow, &[Slowed], Served::Somebody),
    fault((2, "a follower's disk is full"), Act::Fill(Who::Follower), &[DiskFull], Served::Others),
    fault((2, "the leader's disk is full"), Act::Fill(Who::Leader), &[DiskFull, NewLeader], Served::Others),
    fault((2, "a node's tables are damaged"), Act::Damage(Who::Follower, Files::Tables), REBUILT, Served::Others),
    fault((1, "a node's log is damaged"), Act::Damage(Who::Follower, Files::Log), &[Ended(65)], Served::Others),
    fault((1, "a member is replaced"), Act::Replace, &[Ended(78)], Served::Others),
];

const CUT_OFF: &[Evidence] = &[Held, NoQuorum];
const CUT_OFF_LEADER: &[Evidence] = &[Held, NoQuorum, NewLeader];
const REBUILT: &[Evidence] = &[Said("the tables are rebuilt from snapshot and log")];

const fn fault((weight, name): (u64, &'static str), act: Act, bites: &'static [Evidence], served: Served) -> Fault {
    Fault { name, act, bites, served, weight }
}
