//! The user directory: what tokens and the backend say of a tenant's users.
//!
//! The backend's word outweighs tokens that are older than it; `is_active` is the backend's alone.

use super::{
    EffectKind, Op, RecordsError, Reply,
    apply::Step,
    import::{ImportOutcome, ImportUser},
    keys::{Key, Table},
    presence,
    rows::{Demoted, LockedOut, TenantFigures, User},
    txn::get,
};
use crate::protocol::{Tenant, Timestamp, UserId};
use carillon_storage::tables::Read;

impl Default for User {
    fn default() -> Self {
        Self {
            username: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            is_active: true,
            is_staff: false,
            stated_at: None,
            revoked_before: None,
            token_issued_at: None,
        }
    }
}

pub(crate) fn put<S: Read>(step: &mut Step<'_, '_, S>, op: &Op) -> Result<Reply, RecordsError> {
    let Op::PutUser { user, username, first_name, last_name, is_active, is_staff } = op else {
        return Ok(Reply::Done);
    };
    let (old, mut row) = known(step.txn, step.tenant, user)?;
    let set = |field: &mut String, given: &Option<String>| {
        if let Some(given) = given {
            field.clone_from(given);
        }
    };
    set(&mut row.username, username);
    set(&mut row.first_name, first_name);
    set(&mut row.last_name, last_name);
    row.is_active = is_active.unwrap_or(row.is_active);
    row.is_staff = is_staff.unwrap_or(row.is_staff);
    row.stated_at = row.stated_at.max(Some(step.at));
    let reply = Reply::User {
        username: row.username.clone(),
        first_name: row.first_name.clone(),
        last_name: row.last_name.clone(),
        is_active: row.is_active,
        is_staff: row.is_staff,
    };
    write(step, user, (old, row))?;
    Ok(reply)
}

/// What another system says of a user: the backend's word, unless that has been given already.
pub(crate) fn import<S: Read>(step: &mut Step<'_, '_, S>, user: &ImportUser) -> Result<ImportOutcome, RecordsError> {
    let (old, mut row) = known(step.txn, step.tenant, &user.user)?;
    row.username.clone_from(&user.username);
    row.first_name.clone_from(&user.first_name);
    row.last_name.clone_from(&user.last_name);
    (row.is_active, row.is_staff) = (user.is_active, user.is_staff);
    match &old {
        Some(old) if old.stated_at.is_some() && *old == row => Ok(ImportOutcome::Same),
        Some(old) if old.stated_at.is_some() => Ok(ImportOutcome::Differs),
        _ => {
            row.stated_at = Some(step.at);
            write(step, &user.user, (old, row))?;
            Ok(ImportOutcome::Made)
        }
    }
}

pub(crate) fn see<S: Read>(step: &mut Step<'_, '_, S>, op: &Op) -> Result<Reply, RecordsError> {
    let Op::SeeUser { user, username, first_name, last_name, is_staff, issued_at } = op else {
        return Ok(Reply::Done);
    };
    let claims = Claims { username, first_name, last_name, is_staff: *is_staff, issued_at: *issued_at };
    let (old, start) = known(step.txn, step.tenant, user)?;
    let news = if old.is_some() { claims.news_for(&start) } else { Some(claims.enter(&start)) };
    if let Some(row) = news {
        write(step, user, (old, row))?;
    }
    Ok(Reply::Done)
}

pub(crate) fn revoke_tokens<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId) -> Result<Reply, RecordsError> {
    let (old, mut row) = known(step.txn, step.tenant, user)?;
    // It only grows: another clock must not make tokens good again.
    row.revoked_before = row.revoked_before.max(Some(step.at));
    write(step, user, (old, row))?;
    step.effect(EffectKind::Close { user: user.clone(), staff_only: false });
    Ok(Reply::Done)
}

/// Writes a user's row, keeps the figures right, and tells the sockets concerned.
fn write<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    (old, row): (Option<User>, User),
) -> Result<(), RecordsError> {
    let figures_key = Key::tenant(Table::Tenants, step.tenant);
    let mut figures: TenantFigures = step.txn.get_or_default(&figures_key)?;
    count(&mut figures, old.as_ref(), Some(&row));
    step.txn.put(figures_key, &figures)?;
    step.txn.put(step.user_key(Table::Users, user), &row)?;
    // The row says it from now on.
    step.txn.remove(step.user_key(Table::LockedOut, user));
    step.txn.remove(step.user_key(Table::Demoted, user));
    let was = old.unwrap_or_default();
    if was.is_active && !row.is_active {
        step.effect(EffectKind::Close { user: user.clone(), staff_only: false });
    } else if was.is_staff && !row.is_staff {
        step.effect(EffectKind::Close { user: user.clone(), staff_only: true });
    }
    if (&was.username, &was.first_name, &was.last_name) != (&row.username, &row.first_name, &row.last_name) {
        presence::renamed(step, user, &row)?;
    }
    Ok(())
}

/// Counts a user's row in place of its old one.
pub(crate) fn count(figures: &mut TenantFigures, old: Option<&User>, new: Option<&User>) {
    let swap = |n: &mut u64, is: &dyn Fn(&User) -> bool| {
        *n = (*n + u64::from(new.is_some_and(is))).saturating_sub(u64::from(old.is_some_and(is)));
    };
    swap(&mut figures.users, &|_| true);
    swap(&mut figures.active_users, &|user| user.is_active);
    swap(&mut figures.staff_users, &|user| user.is_staff);
}

/// What a verified token says of its user.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// Empty: the token does not say, and names stay as they are.
    pub username: &'a str,
    /// First name.
    pub first_name: &'a str,
    /// Last name.
    pub last_name: &'a str,
    /// Staff, says the token.
    pub is_staff: bool,
    /// When it was issued.
    pub issued_at: Option<Timestamp>,
}

impl Claims<'_> {
    /// The first row of a user who has none, over what is [`known`] all the same.
    pub fn enter(&self, start: &User) -> User {
        User { is_staff: self.is_staff && !self.is_overruled(start), ..self.over(start) }
    }

    /// The row as this token would have it; `None` if it has nothing new, or is older than the backend's word.
    pub fn news_for(&self, row: &User) -> Option<User> {
        let is_older = row.token_issued_at.is_some_and(|at| self.issued_at.is_none_or(|issued| issued < at));
        if is_older || self.is_overruled(row) {
            return None;
        }
        let news = self.over(row);
        // A newer token that says the same is no reason to write.
        let same = User { token_issued_at: row.token_issued_at, ..news.clone() } == *row;
        (!same).then_some(news)
    }

    /// Whether the backend has stated since what the user is.
    fn is_overruled(&self, row: &User) -> bool {
        row.stated_at.is_some_and(|stated| self.issued_at.is_none_or(|issued| issued <= stated))
    }

    fn over(&self, row: &User) -> User {
        let mut news = User { is_staff: self.is_staff, token_issued_at: self.issued_at, ..row.clone() };
        if !self.username.is_empty() {
            news.username = self.username.into();
            news.first_name = self.first_name.into();
            news.last_name = self.last_name.into();
        }
        news
    }
}

/// A user's row if there is one, and what is known in any case: without a row, what an erased user left behind, so that
/// older tokens may do no more than before.
///
/// # Errors
/// When rows can't be read.
pub fn known(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<(Option<User>, User), RecordsError> {
    if let Some(row) = of(read, tenant, user)? {
        return Ok((Some(row.clone()), row));
    }
    let locked_out: Option<LockedOut> = get(read, &Key::user(Table::LockedOut, tenant, user))?;
    let demoted: Option<Demoted> = get(read, &Key::user(Table::Demoted, tenant, user))?;
    let revoked_before = locked_out.map(|left| left.revoked_before);
    let stated_at = demoted.map(|left| left.stated_at);
    Ok((None, User { revoked_before, stated_at, ..User::default() }))
}

/// A user's row.
///
/// # Errors
/// When rows can't be read.
pub fn of(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Option<User>, RecordsError> {
    get(read, &Key::user(Table::Users, tenant, user))
}
