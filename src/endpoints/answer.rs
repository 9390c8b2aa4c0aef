//! The answer to each request: a query on the rows, or a command through the log.

use super::{Answer, Client};
use crate::{
    protocol::{Message, Request, decode, edition::with_id, frames},
    records::{Op, ProposeError, Records, RecordsError, dashboard, inbox, subscriptions},
};

/// Notifications in a `notifications_list`.
const LIST_LENGTH: usize = 20;

/// Answers a text message.
pub(super) async fn answer(records: &Records, client: &Client, text: &str) -> Answer {
    let Message { id, request } = decode((client.endpoint, client.edition), text);
    let answer = match request {
        Ok(Request::Resume(after)) => return Answer::Resume { after, id },
        Ok(Request::Refresh(token)) => return Answer::Refresh { token, id },
        Ok(request) => meet(records, client, request).await,
        Err(bad) => Answer::Bad(frames::bad_frame(&bad)),
    };
    match answer {
        Answer::Reply(frame) => Answer::Reply(with_id(&frame, id.as_deref())),
        Answer::Bad(frame) => Answer::Bad(with_id(&frame, id.as_deref())),
        other => other,
    }
}

async fn meet(records: &Records, client: &Client, request: Request) -> Answer {
    match request {
        Request::Unknown => Answer::Silence,
        Request::Heartbeat(timestamp) => Answer::Reply(frames::heartbeat_response(&timestamp)),
        Request::MarkAsRead(of) => {
            let done = frames::notification_marked_read(&of.echo);
            let Some(id) = of.id else { return Answer::Reply(done) };
            let is_unread = || records.read(|rows| inbox::is_unread(rows, (&client.tenant, &client.user), id));
            let op = Op::SetRead { user: client.user.clone(), id, read: true, actor: Some(client.id) };
            change_if(records, client, (is_unread, op, done)).await
        }
        Request::MarkAllAsRead => {
            let done = frames::all_notifications_marked_read();
            let unread = || records.read(|rows| inbox::unread_count(rows, &client.tenant, &client.user));
            let op = Op::ReadAll { user: client.user.clone(), actor: Some(client.id) };
            change_if(records, client, (|| Ok(unread()? > 0), op, done)).await
        }
        query => look_up(records, client, &query),
    }
}

/// Commits a change that would change something, and only then confirms it. One that changes nothing costs no log entry:
/// but that is only known once this node has applied all that was answered at others.
async fn change_if(
    records: &Records,
    client: &Client,
    (would_change, op, done): (impl Fn() -> Result<bool, RecordsError>, Op, String),
) -> Answer {
    // When rows can't be read, the log decides.
    let may_change = || would_change().unwrap_or(true);
    let outcome: Result<(), ProposeError> = async {
        if !may_change() {
            records.catch_up().await?;
            if !may_change() {
                return Ok(());
            }
        }
        records.propose(&client.tenant, op).await.map(|_| ())
    }
    .await;
    match outcome {
        Ok(()) => Answer::Reply(done),
        // Sockets have no idempotency keys, and need none: what is marked twice is marked.
        Err(error @ ProposeError::OutcomeUnknown) => {
            let message = "the outcome is unknown: it may have happened; send it again, which is harmless";
            Answer::Reply(frames::error(error.code(), message))
        }
        Err(error) => Answer::Reply(frames::error(error.code(), &error.to_string())),
    }
}

fn look_up(records: &Records, client: &Client, request: &Request) -> Answer {
    let (tenant, user) = (&client.tenant, &client.user);
    let found = records.read(|rows| match request {
        Request::DashboardUpdate => dashboard::frame(rows, tenant, user),
        Request::SystemStats => dashboard::system_stats_frame(rows, tenant),
        Request::SubscriptionStatus => subscriptions::status_frame(rows, tenant, user),
        Request::SubscriptionHistory => subscriptions::history_frame(rows, tenant, user),
        Request::SubscriptionStats => subscriptions::stats_frame(rows, tenant),
        Request::UnreadCount => Ok(frames::unread_count(inbox::unread_count(rows, tenant, user)?)),
        Request::Notifications => {
            let filter = inbox::Filter { limit: LIST_LENGTH, ..inbox::Filter::default() };
            let page = inbox::page(rows, (tenant, user), &filter)?;
            let list: Vec<_> = page.items.iter().map(|(id, row, is_read)| inbox::view(*id, row, *is_read)).collect();
            Ok(frames::with_data("notifications_list", list))
        }
        // Answered before it comes here.
        Request::Unknown
        | Request::Heartbeat(_)
        | Request::MarkAsRead(_)
        | Request::MarkAllAsRead
        | Request::Resume(_)
        | Request::Refresh(_) => Ok(String::new()),
    });
    reply(found)
}

fn reply(found: Result<String, RecordsError>) -> Answer {
    match found {
        Ok(frame) => Answer::Reply(frame),
        Err(error) => {
            tracing::error!(%error, "a request cannot be answered");
            Answer::Reply(frames::error("internal", "the server cannot read its records"))
        }
    }
}
