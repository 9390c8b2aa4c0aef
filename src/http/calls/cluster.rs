//! Who belongs to the cluster: asked of, and changed at, any node.

use crate::{
    cluster::MemberStatus,
    http::{ApiError, answer::Answer, request::Request},
};
use serde_json::{Value, json};

/// `GET /cluster`
pub(in crate::http) async fn status(request: Request) -> Result<Answer, ApiError> {
    request.query()?.finish()?;
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
        "ping_ms": member.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
    })
}

/// `POST /cluster/members` with `{id, address}`: 202, a learner first, a voter once it has caught up.
pub(in crate::http) async fn add(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let (id, address) = (object.node_id("id")?, object.string("address")?);
    object.finish()?;
    request.api.inner.node.add_member(id, address.clone()).await?;
    Ok(Answer::new(202, &json!({"id": id, "address": address, "role": "learner"})))
}

/// `DELETE /cluster/members/{id}`: for ever.
pub(in crate::http) async fn remove(request: Request) -> Result<Answer, ApiError> {
    request.no_fields()?;
    let id = request.number_id("id", 0)?;
    request.api.inner.node.remove_member(id).await?;
    Ok(Answer::ok(&json!({"id": id})))
}
