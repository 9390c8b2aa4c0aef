//! What nodes say to each other, byte by byte: nodes of two releases run side by side while one after the other is replaced.
//!
//! A line that fails here is a message that the release before does not understand, or takes for another. bincode reads
//! fields one after the other and skips none: a new field is a new variant, at the end, under a feature level.

use super::{
    codec,
    peer_message::{CountOf, PeerMessage},
    types::Vote,
    wire::{Answer, Change, ChangeError, Opinion, Proposed, Request},
};
use crate::{
    protocol::{Group, GroupName, NodeId, Pos, SessionId, Tenant, UserId},
    records::{Batch, Command, Op},
};
use openraft::{
    CommittedLeaderId, LogId,
    raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse},
};
use serde::{Serialize, de::DeserializeOwned};

/// Asserts that a value has these bytes, and that they mean what they meant.
fn stays<T: Serialize + DeserializeOwned + std::fmt::Debug>(value: &T, golden: &str) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let bytes = codec::encode(value).expect("it can be written");
    assert_eq!(hex(&bytes), golden, "{value:?}");
    let again: T = codec::decode(&bytes).expect("it can be read");
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
}

fn user() -> UserId {
    UserId::new("7").expect("an id")
}

fn log_id() -> LogId<NodeId> {
    LogId::new(CommittedLeaderId::new(3, 1), 9)
}

#[test]
fn questions_stay_as_they_are() {
    let vote = Vote::new_committed(3, 1);
    stays(&Request::Vote(VoteRequest { vote, last_log_id: Some(log_id()) }), "010003010101030109");
    let append = AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: Some(log_id()) };
    stays(&Request::Append(append), "0101030101000001030109");
    let op = Op::ReadAll { user: user(), actor: Some(SessionId(5)) };
    let command = Command { tenant: Tenant::default(), at: crate::protocol::Timestamp(1), idempotency: None, op };
    stays(
        &Request::Propose(Batch { node: 2, epoch: 4, sequence: 6, commands: vec![command] }),
        "0102020406010764656661756c7402000201370105",
    );
    stays(&Request::ReadIndex, "0103");
    stays(&Request::Join { node: 4, address: "a:1".into() }, "01040403613a31");
    stays(&Request::Change(Change::Add { node: 4, address: "a:1".into() }), "0105000403613a31");
    stays(&Request::Change(Change::Remove { node: 4 }), "01050104");
    stays(&Request::Change(Change::Move { node: 4, address: "a:1".into() }), "0105020403613a31");
    stays(&Request::Change(Change::RemoveAnyway { node: 4 }), "01050304");
    stays(&Request::Lease { epoch: 4, echo: Some(100) }, "0106040164");
    stays(&Request::Connections { tenant: Tenant::default(), users: vec![user()] }, "01070764656661756c74010137");
    stays(&Request::Where, "0108");
    stays(&Request::TakeOver, "0109");
    stays(&Request::Clock, "010b");
    stays(&Request::MayLead { last: Some(log_id()) }, "010a01030109");
}

#[test]
fn answers_stay_as_they_are() {
    let vote = VoteResponse { vote: Vote::new(3, 1), vote_granted: true, last_log_id: None };
    stays(&Answer::Vote(Ok(vote)), "0100000301000100");
    stays(&Answer::Append(Ok(AppendEntriesResponse::Success)), "01010000");
    for (proposed, golden) in [
        (Proposed::Committed, "010200"),
        (Proposed::NotLeader, "010201"),
        (Proposed::DiskFull, "010202"),
        (Proposed::Unknown, "010203"),
    ] {
        stays(&Answer::Proposed(proposed), golden);
    }
    stays(&Answer::ReadIndex(Some(9)), "01030109");
    stays(&Answer::Changed(Ok(())), "010400");
    stays(&Answer::Changed(Err(ChangeError::NoLeader)), "01040100");
    stays(&Answer::Changed(Err(ChangeError::Refused("no".into()))), "01040101026e6f");
    stays(&Answer::Changed(Err(ChangeError::Unknown)), "01040102");
    stays(&Answer::Changed(Err(ChangeError::Alone)), "01040103");
    stays(&Answer::Unknown, "0105");
    stays(&Answer::Lease(Some(100)), "01060164");
    stays(&Answer::Connections(vec![1, 300]), "01070201fb2c01");
    stays(&Answer::Where(Some("https://a".into())), "0108010968747470733a2f2f61");
    stays(&Answer::TakeOver(true), "010901");
    stays(&Answer::Clock(100), "010a64");
    stays(&Answer::WallClock(crate::protocol::Timestamp(1)), "010c02");
    for (opinion, golden) in [(Opinion::Agrees, "010b00"), (Opinion::Disagrees, "010b01"), (Opinion::Leads, "010b02")] {
        stays(&Answer::MayLead(opinion), golden);
    }
}

#[test]
fn messages_stay_as_they_are() {
    let group = Group { tenant: Tenant::default(), name: GroupName::Presence };
    let publish = PeerMessage::Publish { group, frames: vec!["{}".into()], except: Some(SessionId(5)), number: 8 };
    stays(&publish, "01000764656661756c740501027b7d010508");
    let disconnect = PeerMessage::Disconnect { tenant: Tenant::default(), user: user(), staff_only: true, number: 8 };
    stays(&disconnect, "01010764656661756c7401370108");
    stays(
        &PeerMessage::Counted(vec![(CountOf::Event(8), 2), (CountOf::Command(Pos::new(9, 1)), 0)]),
        "01020200080201fc0100090000",
    );
    stays(&PeerMessage::After { index: 9, message: Box::new(disconnect) }, "010309010764656661756c7401370108");
}
