//! The one table of the server API: method, path, the scope that it takes, what answers, and what the document says.

use super::{
    ApiError,
    answer::Answer,
    calls::{
        self, admin, backup, cluster, groups, import, inbox, notifications, presence, stats, tickets, updates, users,
    },
    ingest,
    openapi::{self, Operation},
    request::Request,
};
use crate::config::Scope::{self, Admin, Backup, Cluster, Publish, Read, Tickets};
use std::{future::Future, pin::Pin};

/// Where the server API stands.
pub(super) const BASE: &str = "/api/v1";

type Answering = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

/// A call of the server API.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Below [`BASE`].
    pub(super) path: &'static str,
    /// Method and path: its name in metrics and in idempotency keys.
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) answer: fn(Request) -> Answering,
    /// What it takes and answers: readers and the document have it from here.
    pub(super) operation: &'static Operation,
}

macro_rules! routes {
    ($($method:ident $path:literal $scope:ident $handler:path, $operation:path;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            name: concat!(stringify!($method), " ", $path),
            scope: $scope,
            answer: |request| Box::pin($handler(request)),
            operation: &$operation,
        },)*]
    };
}

/// Every call there is.
pub(super) const ROUTES: &[Route] = routes! {
    POST "/notifications" Publish calls::send_notification, notifications::SEND;
    GET "/users/{id}/notifications" Read calls::list, inbox::LIST;
    GET "/users/{id}/notifications/unread-count" Read calls::unread_count, inbox::COUNT_UNREAD;
    POST "/users/{id}/notifications/read-all" Publish calls::read_all, inbox::READ_ALL;
    POST "/users/{id}/notifications/{nid}/read" Publish calls::read, inbox::READ;
    POST "/users/{id}/notifications/{nid}/unread" Publish calls::unread, inbox::UNREAD;
    DELETE "/users/{id}/notifications/{nid}" Publish calls::delete, inbox::DELETE;
    POST "/users/{id}/dashboard" Publish calls::dashboard, updates::DASHBOARD;
    POST "/users/{id}/subscriptions" Publish calls::subscription, updates::SUBSCRIPTION;
    POST "/users/{id}/payments" Publish calls::payment, updates::PAYMENT;
    GET "/users/{id}/payments" Read calls::payments, updates::PAYMENTS;
    POST "/users/{id}/expiry-warnings" Publish calls::expiry_warning, updates::EXPIRY_WARNING;
    POST "/admin/dashboard" Publish admin::update_dashboard, admin::DASHBOARD;
    POST "/admin/alerts" Publish admin::raise_alert, admin::RAISE;
    GET "/admin/alerts" Read admin::list_alerts, admin::LIST;
    POST "/broadcasts" Publish calls::broadcast, groups::BROADCAST;
    POST "/multicast" Publish calls::multicast, groups::MULTICAST;
    POST "/groups/{group}/send" Publish calls::group_send, groups::SEND;
    POST "/batch" Publish calls::batch, calls::BATCH;
    PUT "/users/{id}" Admin calls::put_user, users::PUT;
    GET "/users/{id}" Read calls::get_user, users::GET;
    DELETE "/users/{id}" Admin calls::erase_user, users::ERASE;
    POST "/users/{id}/disconnect" Admin calls::disconnect, users::DISCONNECT;
    POST "/tickets" Tickets calls::issue_ticket, tickets::ISSUE;
    GET "/presence" Read calls::online, presence::ONLINE;
    GET "/users/{id}/presence" Read calls::presence_of, presence::OF_USER;
    POST "/import" Admin calls::import, import::IMPORT;
    POST "/backup" Backup calls::backup, backup::BACKUP;
    GET "/stats" Read calls::stats, stats::STATS;
    GET "/ingest" Publish ingest::open, ingest::OPERATION;
    GET "/openapi.json" Read openapi::serve, openapi::DOCUMENT_OPERATION;
    GET "/cluster" Cluster calls::cluster::status, cluster::STATUS;
    POST "/cluster/members" Cluster calls::cluster::add, cluster::ADD;
    DELETE "/cluster/members/{node}" Cluster calls::cluster::remove, cluster::REMOVE;
};
