//! The messages and stubs of `mintonce.v1`. Not public: their fields print the token.

#![allow(
    clippy::pedantic,
    clippy::all,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    dead_code
)]

use std::fmt;

include!("generated/mintonce.v1.rs");

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_prints_the_text_of_a_token() {
        let token = Token {
            access_token: "secret-text".into(),
            generation: 7,
            ..Token::default()
        };
        let shown = format!(
            "{token:?} {:?} {:#?}",
            GetTokenResponse {
                token: Some(token.clone())
            },
            WatchTokenResponse {
                token: Some(token.clone())
            },
        );
        assert!(shown.contains("generation: 7"), "{shown}");
        assert!(!shown.contains("secret-text"), "{shown}");
    }
}
