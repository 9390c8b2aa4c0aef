//! The webhook's answer: who it is, says the app. As suspicious as of a token: every field has its type and its range,
//! and what is not as it must be is no answer at all.

use super::{
    Identity, Refusal,
    claims::{name, staff, subject, tenant},
};
use crate::{
    config::limits::{VOUCHED_SECONDS_DEFAULT, VOUCHED_SECONDS_MAX},
    protocol::{Tenant, Timestamp},
};
use serde::Deserialize;
use serde_json::Value;

/// Whom the app vouches for, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Who it is. Does not run out by itself: whoever asked asks again.
    pub identity: Identity,
    /// Seconds after which the app must have been asked again.
    pub expires_in: u32,
}

/// `{user_id, username?, first_name?, last_name?, is_staff?, tenant?, expires_in?}`; other fields are passed over.
#[derive(Deserialize)]
struct Said {
    user_id: Option<Value>,
    username: Option<Value>,
    first_name: Option<Value>,
    last_name: Option<Value>,
    is_staff: Option<Value>,
    tenant: Option<Value>,
    expires_in: Option<Value>,
}

impl Vouched {
    /// Reads the body of a 200 to what was asked at `asked`, from an app that may name `tenants`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn read(body: &[u8], tenants: &[Tenant], asked: Timestamp) -> Result<Self, Refusal> {
        let said: Said = serde_json::from_slice(body).map_err(|_| Refusal::AnswerMalformed)?;
        let expires_in = match said.expires_in {
            None => VOUCHED_SECONDS_DEFAULT,
            Some(value) => value
                .as_u64()
                .and_then(|seconds| u32::try_from(seconds).ok())
                .filter(|seconds| (1..=VOUCHED_SECONDS_MAX).contains(seconds))
                .ok_or(Refusal::ClaimWrong { claim: "expires_in", expected: "an integer from 1 to 86400" })?,
        };
        let identity = Identity {
            tenant: tenant(said.tenant.as_ref(), tenants)?,
            user: subject("user_id", said.user_id.as_ref())?,
            username: name("username", said.username)?,
            first_name: name("first_name", said.first_name)?,
            last_name: name("last_name", said.last_name)?,
            is_staff: staff(said.is_staff.as_ref())?,
            // It speaks of the moment when it was asked: whoever was locked out since is not let in by it.
            issued_at: Some(asked),
            expires_at: Timestamp(i64::MAX),
        };
        Ok(Self { identity, expires_in })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, tenants: &[&str]) -> Result<Vouched, Refusal> {
        let tenants: Vec<_> = tenants.iter().map(|name| Tenant::new(name).expect(name)).collect();
        Vouched::read(body.as_bytes(), &tenants, Timestamp(7))
    }

    #[test]
    fn an_answer_says_who_it_is_and_for_how_long() {
        let full = r#"{"user_id": 42, "username": "ada", "first_name": "Ada", "last_name": "Lovelace", "is_staff": true,
            "tenant": "acme", "expires_in": 60, "email": "passed over"}"#;
        let vouched = read(full, &["default", "acme"]).expect("good");
        let identity = vouched.identity;
        assert_eq!((identity.user.as_str(), identity.tenant.as_str(), identity.is_staff), ("42", "acme", true));
        assert_eq!((&*identity.username, &*identity.first_name, &*identity.last_name), ("ada", "Ada", "Lovelace"));
        assert_eq!((identity.issued_at, vouched.expires_in), (Some(Timestamp(7)), 60));

        let least = read(r#"{"user_id": "ada", "username": null, "expires_in": null}"#, &["acme"]).expect("good");
        assert_eq!((least.identity.tenant.as_str(), least.identity.is_staff), ("acme", false));
        assert_eq!((least.identity.username.as_str(), least.expires_in), ("", VOUCHED_SECONDS_DEFAULT));
    }

    #[test]
    fn a_lie_is_no_answer() {
        let wrong =
            |claim| move |refusal: &Refusal| matches!(refusal, Refusal::ClaimWrong { claim: c, .. } if *c == claim);
        type Fits = Box<dyn Fn(&Refusal) -> bool>;
        let table: Vec<(&str, Fits)> = vec![
            ("", Box::new(|r| *r == Refusal::AnswerMalformed)),
            ("null", Box::new(|r| *r == Refusal::AnswerMalformed)),
            ("42", Box::new(|r| *r == Refusal::AnswerMalformed)),
            ("[]", Box::new(|r| *r != Refusal::Tenant)),
            ("<html>Log in</html>", Box::new(|r| *r == Refusal::AnswerMalformed)),
            (r#"{"user_id": 1} {"user_id": 2}"#, Box::new(|r| *r == Refusal::AnswerMalformed)),
            (r#"{"user_id": 1, "user_id": 2}"#, Box::new(|r| *r == Refusal::AnswerMalformed)),
            ("{}", Box::new(|r| *r == Refusal::ClaimMissing { claim: "user_id" })),
            (r#"{"user_id": null}"#, Box::new(|r| *r == Refusal::ClaimMissing { claim: "user_id" })),
            (r#"{"user_id": true}"#, Box::new(wrong("user_id"))),
            (r#"{"user_id": -1}"#, Box::new(wrong("user_id"))),
            (r#"{"user_id": 1.5}"#, Box::new(wrong("user_id"))),
            (r#"{"user_id": ""}"#, Box::new(wrong("user_id"))),
            (r#"{"user_id": ["1"]}"#, Box::new(wrong("user_id"))),
            (r#"{"user_id": 1, "is_staff": "true"}"#, Box::new(wrong("is_staff"))),
            (r#"{"user_id": 1, "is_staff": 1}"#, Box::new(wrong("is_staff"))),
            (r#"{"user_id": 1, "username": 5}"#, Box::new(wrong("username"))),
            (r#"{"user_id": 1, "tenant": "acme"}"#, Box::new(|r| *r == Refusal::Tenant)),
            (r#"{"user_id": 1, "tenant": 5}"#, Box::new(wrong("tenant"))),
            (r#"{"user_id": 1, "expires_in": 0}"#, Box::new(wrong("expires_in"))),
            (r#"{"user_id": 1, "expires_in": 86401}"#, Box::new(wrong("expires_in"))),
            (r#"{"user_id": 1, "expires_in": "60"}"#, Box::new(wrong("expires_in"))),
            (r#"{"user_id": 1, "expires_in": 1.5}"#, Box::new(wrong("expires_in"))),
            (r#"{"user_id": 1, "expires_in": -1}"#, Box::new(wrong("expires_in"))),
        ];
        for (body, fits) in table {
            let refusal = read(body, &["default"]).expect_err(body);
            assert!(fits(&refusal), "{body}: {refusal:?}");
        }
    }
}
