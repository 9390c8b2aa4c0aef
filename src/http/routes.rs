//! The one table of the server API: method, path, the scope that it takes, and what answers.

use super::{ApiError, answer::Answer, calls, request::Request};
use crate::config::Scope::{self, Admin, Publish, Read};
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
}

macro_rules! routes {
    ($($method:ident $path:literal $scope:ident $handler:path;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            name: concat!(stringify!($method), " ", $path),
            scope: $scope,
            answer: |request| Box::pin($handler(request)),
        },)*]
    };
}

/// Every call there is.
pub(super) const ROUTES: &[Route] = routes! {
    POST "/notifications" Publish calls::send_notification;
    GET "/users/{id}/notifications" Read calls::list;
    GET "/users/{id}/notifications/unread-count" Read calls::unread_count;
    POST "/users/{id}/notifications/read-all" Publish calls::read_all;
    POST "/users/{id}/notifications/{nid}/read" Publish calls::read;
    POST "/users/{id}/notifications/{nid}/unread" Publish calls::unread;
    DELETE "/users/{id}/notifications/{nid}" Publish calls::delete;
    POST "/users/{id}/dashboard" Publish calls::dashboard;
    POST "/users/{id}/subscriptions" Publish calls::subscription;
    POST "/users/{id}/payments" Publish calls::payment;
    GET "/users/{id}/payments" Read calls::payments;
    POST "/users/{id}/expiry-warnings" Publish calls::expiry_warning;
    POST "/admin/dashboard" Publish calls::admin::update_dashboard;
    POST "/admin/alerts" Publish calls::admin::raise_alert;
    GET "/admin/alerts" Read calls::admin::list_alerts;
    POST "/broadcasts" Publish calls::broadcast;
    POST "/multicast" Publish calls::multicast;
    POST "/groups/{group}/send" Publish calls::group_send;
    POST "/batch" Publish calls::batch;
    PUT "/users/{id}" Admin calls::put_user;
    GET "/users/{id}" Read calls::get_user;
    DELETE "/users/{id}" Admin calls::erase_user;
    POST "/users/{id}/disconnect" Admin calls::disconnect;
    GET "/presence" Read calls::online;
    GET "/users/{id}/presence" Read calls::presence_of;
    GET "/stats" Read calls::stats;
    GET "/cluster" Admin calls::cluster::status;
    POST "/cluster/members" Admin calls::cluster::add;
    DELETE "/cluster/members/{nid}" Admin calls::cluster::remove;
};
