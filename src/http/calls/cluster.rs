//! Who belongs to the cluster: asked of, and changed at, any node.

use crate::{
    cluster::MemberStatus,
    config::limits::PEER_ADDRESS_BYTES_MAX,
    http::{
        ApiError,
        answer::Answer,
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, NODE, TEXT, UNBOUNDED},
        },
        request::Request,
    },
};
use serde_json::{Value, json};

const ROLE: Kind = Kind::Choice(&["voter", "learner"]);
const MAYBE_COUNT: Kind = Kind::OneOf(&[COUNT, Kind::Null]);
const ADDRESS: Kind = Kind::Text { min: 3, max: PEER_ADDRESS_BYTES_MAX };

const MEMBER: Kind = Kind::Record(&[
    Field::required("id", NODE, ""),
    Field::required("address", TEXT, "Where its peers reach it."),
    Field::required("role", ROLE, ""),
    Field::required("is_leader", Kind::Bool, ""),
    Field::required("is_reachable", Kind::Bool, "From the node that was asked."),
    Field::required("applied_index", MAYBE_COUNT, "As it said last; `null` before it has said."),
    Field::required("lag", MAYBE_COUNT, "Entries behind the leader."),
    Field::required(
        "ping_ms",
        Kind::OneOf(&[Kind::Number, Kind::Null]),
        "There and back over its link; `null` while it is not reached.",
    ),
    Field::required(
        "clock_ahead_ms",
        Kind::OneOf(&[Kind::Number, Kind::Null]),
        "How far its clock is ahead of that of the node that was asked; `null` before it has said.",
    ),
]);

/// `GET /cluster`
pub(in crate::http) const STATUS: Operation =
    Operation::reads("clusterStatus", "Who belongs to the cluster, who leads, who is how far.").answers(
        200,
        Kind::Record(&[
            Field::required("cluster_id", Kind::OneOf(&[TEXT, Kind::Null]), "`null` for a node without company."),
            Field::required(
                "node",
                Kind::Record(&[
                    Field::required("id", NODE, ""),
                    Field::required("boot", COUNT, "How often it has started."),
                    Field::required("is_ready", Kind::Bool, ""),
                    Field::required("sessions", COUNT, ""),
                ]),
                "The node that was asked.",
            ),
            Field::required("leader", Kind::OneOf(&[NODE, Kind::Null]), ""),
            Field::required("term", COUNT, ""),
            Field::required("applied_index", COUNT, ""),
            Field::required("feature_level", COUNT, "What every member understands."),
            Field::required("members", Kind::Many { of: &MEMBER, min: 0, max: UNBOUNDED, distinct: false }, ""),
        ]),
    );
/// `POST /cluster/members`
pub(in crate::http) const ADD: Operation = Operation::stores(
    "addMember",
    "Adds a node that runs and belongs to no cluster: a learner first, a voter once it has caught up.",
)
.takes(Kind::Arguments(&[
    Field::required("id", NODE, "Its `server.node_id`; never one that another node has had.").example("4"),
    Field::required("address", ADDRESS, "Where its peers reach it, `HOST:PORT`.").example("\"10.0.0.4:9000\""),
]))
.answers(
    202,
    Kind::Record(&[
        Field::required("id", NODE, ""),
        Field::required("address", TEXT, ""),
        Field::required("role", ROLE, ""),
    ]),
);
/// `DELETE /cluster/members/{node}`
pub(in crate::http) const REMOVE: Operation = Operation::stores(
    "removeMember",
    "Takes a node out of the cluster, for ever: its number is never used again.",
)
.query(&[Field::optional(
    "force",
    Kind::Bool,
    "`true`: also if the voters that answer now are no majority of those that are left. Then nothing can be stored \
            until enough of them are back.",
)])
.answers(200, Kind::Record(&[Field::required("id", NODE, "")]));

/// `GET /cluster`
pub(in crate::http) async fn status(request: Request) -> Result<Answer, ApiError> {
    let inner = &request.api.inner;
    let status = inner.node.cluster_status();
    let (node_id, boot) = inner.records.boot();
    // What the leader has applied is committed; this node knows it from the leader itself.
    let ahead = status.members.iter().find(|member| member.is_leader).and_then(|leader| leader.applied_index);
    let members: Vec<Value> = status.members.iter().map(|member| shown(member, ahead)).collect();
    Ok(Answer::ok(&json!({
        "cluster_id": status.cluster.map(|id| id.to_string()),
        "node": {"id": node_id, "boot": boot, "is_ready": inner.node.is_ready(), "sessions": inner.broker.sessions()},
        "leader": status.leader,
        "term": status.term,
        "applied_index": status.applied_index,
        "feature_level": status.feature_level,
        "members": members,
    })))
}

fn shown(member: &MemberStatus, ahead: Option<u64>) -> Value {
    let lag = ahead.zip(member.applied_index).map(|(ahead, at)| ahead.saturating_sub(at));
    json!({
        "id": member.id,
        "address": member.address,
        "role": if member.is_voter { "voter" } else { "learner" },
        "is_leader": member.is_leader,
        "is_reachable": member.is_reachable,
        "applied_index": member.applied_index,
        "lag": lag,
        "clock_ahead_ms": member.clock_ahead.map(|micros| micros / 1_000),
        "ping_ms": member.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
    })
}

/// `POST /cluster/members` with `{id, address}`: 202, a learner first, a voter once it has caught up.
pub(in crate::http) async fn add(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let (id, address) = (object.integer("id")?, object.string("address")?);
    object.finish()?;
    request.api.inner.node.add_member(id, address.clone()).await?;
    Ok(Answer::new(202, &json!({"id": id, "address": address, "role": "learner"})))
}

/// `DELETE /cluster/members/{id}`: for ever.
pub(in crate::http) async fn remove(request: Request) -> Result<Answer, ApiError> {
    request.no_fields()?;
    let id = request.number_id("id", 0)?;
    let is_forced = request.query.bool("force")?.unwrap_or(false);
    request.api.inner.node.remove_member(id, is_forced).await?;
    Ok(Answer::ok(&json!({"id": id})))
}
