//! The server API for the program around it: the same calls without HTTP, keys and pace.
//!
//! Each returns once what must be stored is on disk. Arguments are checked as those of the HTTP calls are.

use super::{
    Api, ApiError,
    calls::{
        Broadcast, ChangeInbox, Done, GroupSend, Multicast, PutUser, RaiseAlert, SendNotification, Task, Update,
        UpdateAdminDashboard, run::counting_ends,
    },
};
use crate::protocol::Tenant;

impl Api {
    /// One notification to each receiver, all or nothing; the ids are in [`Done::reply`].
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn send_notification(&self, tenant: &Tenant, call: SendNotification) -> Result<Done, ApiError> {
        self.done(tenant, call.task()?).await
    }

    /// Dashboard, subscription, payment or expiry warning of one user: kept, then shown.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn update(&self, tenant: &Tenant, call: Update) -> Result<Done, ApiError> {
        self.done(tenant, call.task()?).await
    }

    /// Replaces and shows the admins' dashboard.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn update_admin_dashboard(&self, tenant: &Tenant, call: UpdateAdminDashboard) -> Result<Done, ApiError> {
        self.done(tenant, call.task()?).await
    }

    /// Keeps and shows an alert for admins.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn raise_alert(&self, tenant: &Tenant, call: RaiseAlert) -> Result<Done, ApiError> {
        self.done(tenant, call.task()?).await
    }

    /// Changes a read state, or deletes a notification. One that does not exist is found in [`Done::reply`].
    ///
    /// # Errors
    /// What the HTTP call would answer, but for 404.
    pub async fn change_inbox(&self, tenant: &Tenant, call: ChangeInbox) -> Result<Done, ApiError> {
        self.done(tenant, call.task()).await
    }

    /// States what a user is.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn put_user(&self, tenant: &Tenant, call: PutUser) -> Result<Done, ApiError> {
        self.done(tenant, call.task()?).await
    }

    /// A message to groups; not stored.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn broadcast(&self, tenant: &Tenant, call: Broadcast) -> Result<Done, ApiError> {
        self.done(tenant, call.task("groups")?).await
    }

    /// One event for each of many users; not stored.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn multicast(&self, tenant: &Tenant, call: Multicast) -> Result<Done, ApiError> {
        self.done(tenant, call.task("type")?).await
    }

    /// An event for one group; not stored.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn group_send(&self, tenant: &Tenant, call: GroupSend) -> Result<Done, ApiError> {
        self.done(tenant, call.task()?).await
    }

    async fn done(&self, tenant: &Tenant, task: Task) -> Result<Done, ApiError> {
        let started = self.start(tenant, task, None)?;
        Ok(started.settle().await?.done(counting_ends()).await.0)
    }
}
