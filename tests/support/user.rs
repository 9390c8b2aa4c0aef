//! Users of the tests, and their tokens.

use carillon::{
    auth::{Grant, sign},
    config::{JwtAlgorithm, JwtKey},
    protocol::{Tenant, Timestamp, UserId},
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Who opens a socket.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The id, as the token has it.
    pub id: &'a str,
    /// Login name.
    pub username: &'a str,
    /// First name.
    pub first_name: &'a str,
    /// Last name.
    pub last_name: &'a str,
    /// Staff, says the token.
    pub is_staff: bool,
}

/// User 1 of the recordings.
pub const ALICE: User<'static> =
    User { id: "1", username: "alice", first_name: "Alice", last_name: "Archer", is_staff: false };
/// User 2 of the recordings.
pub const BOB: User<'static> = User { id: "2", username: "bob", first_name: "Bob", last_name: "", is_staff: false };
/// User 3 of the recordings, who is staff.
pub const ROOT: User<'static> = User { id: "3", username: "root", first_name: "", last_name: "", is_staff: true };

impl<'a> User<'a> {
    /// A user with a name made of the id.
    pub fn named(id: &'a str) -> Self {
        Self { id, username: id, first_name: "", last_name: "", is_staff: false }
    }

    /// A token as the app would sign it, good for an hour.
    pub fn token(self) -> String {
        self.token_for(3_600)
    }

    /// A token that is good for so many seconds.
    pub fn token_for(self, ttl_seconds: u64) -> String {
        self.sign((0, ttl_seconds), &JwtKey::development())
    }

    /// A token that is issued in so many seconds, and good for so many more.
    pub fn token_issued_in(self, seconds: u64, ttl_seconds: u64) -> String {
        self.sign((seconds, ttl_seconds), &JwtKey::development())
    }

    /// A token of the default tenant, good for an hour, signed with another key.
    pub fn token_signed_with(self, id: &str, secret: &[u8]) -> String {
        self.sign((0, 3_600), &JwtKey::secret(id, JwtAlgorithm::Hs256, secret))
    }

    fn sign(self, (begins_in, ttl_seconds): (u64, u64), key: &JwtKey) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + begins_in;
        let grant = Grant {
            user: UserId::new(self.id).expect("an id"),
            tenant: Tenant::default(),
            username: self.username.into(),
            first_name: self.first_name.into(),
            last_name: self.last_name.into(),
            is_staff: self.is_staff,
            issuer: None,
            audience: None,
            issued_at: Timestamp::from_seconds(now.try_into().expect("before the end of time")),
            ttl_seconds,
        };
        sign(key, &grant).expect("signed")
    }

    /// The id as frames have it.
    pub fn wire_id(self) -> Value {
        UserId::new(self.id).expect("an id").wire()
    }

    /// The entry in presence frames.
    pub fn person(self) -> Value {
        json!({"user_id": self.wire_id(), "username": self.username, "first_name": self.first_name,
               "last_name": self.last_name})
    }

    /// What `PUT /users/{id}` is told.
    pub fn profile(self) -> Value {
        json!({"username": self.username, "first_name": self.first_name, "last_name": self.last_name,
               "is_staff": self.is_staff})
    }
}
