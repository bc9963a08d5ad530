//! The tokens that a server serves.

use std::time::Duration;

use crate::pb;

/// A token to serve. Its text is `secret-GENERATION`.
#[derive(Clone)]
pub struct Token {
    pub generation: i64,
    pub expires_in: Duration,
    pub refresh_in: Duration,
    pub origin: i32,
    pub token_type: &'static str,
}

impl Token {
    /// For an hour.
    pub fn new(generation: i64) -> Self {
        let expires_in = Duration::from_secs(3600);
        Self {
            generation,
            expires_in,
            refresh_in: expires_in / 2,
            origin: 3,
            token_type: "Bearer",
        }
    }

    #[must_use]
    pub fn lasting(mut self, expires_in: Duration, refresh_in: Duration) -> Self {
        self.expires_in = expires_in;
        self.refresh_in = refresh_in;
        self
    }

    pub(crate) fn message(&self) -> pb::Token {
        pb::Token {
            access_token: format!("secret-{}", self.generation),
            token_type: self.token_type.into(),
            expires_in: Some(self.expires_in.try_into().unwrap()),
            // Absurd, as the clock of a host may be: nothing may depend on it.
            expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            refresh_in: Some(self.refresh_in.try_into().unwrap()),
            generation: self.generation,
            origin: self.origin,
            degraded: false,
            scopes: vec!["read".into()],
        }
    }
}
