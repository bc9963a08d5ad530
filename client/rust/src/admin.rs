//! Values of the calls for operators.

use std::time::Duration;

use crate::{Error, Result, pb, token::life};

/// Which live tokens to list: all, unless something is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ListTokens {
    client: String,
    page_size: u32,
    page_token: String,
}

impl ListTokens {
    /// All tokens, in pages of 1000.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only the tokens of this client.
    pub fn client(mut self, client: impl Into<String>) -> Self {
        self.client = client.into();
        self
    }

    /// At most so many in a page; 1000 is the maximum.
    pub fn page_size(mut self, page_size: u32) -> Self {
        self.page_size = page_size;
        self
    }

    /// Continue behind the page that had this `next_page_token`.
    pub fn page_token(mut self, page_token: impl Into<String>) -> Self {
        self.page_token = page_token.into();
        self
    }

    pub(crate) fn to_message(&self) -> Result<pb::ListTokensRequest> {
        let page_size =
            i32::try_from(self.page_size).map_err(|_| Error::invalid("the page_size is out of range"))?;
        Ok(pb::ListTokensRequest {
            client: self.client.clone(),
            page_size,
            page_token: self.page_token.clone(),
        })
    }
}

/// A page of live tokens, sorted by client, audience and scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenPage {
    /// The tokens, without their text.
    pub tokens: Vec<TokenSummary>,
    /// Leads to the next page; empty on the last one.
    pub next_page_token: String,
    /// A part of the store could not be reached, and its tokens are missing.
    pub incomplete: bool,
}

/// A live token without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSummary {
    /// The name under which the OAuth client is registered.
    pub client: String,
    /// The API that it is for.
    pub audience: String,
    /// The requested scopes, sorted.
    pub scopes: Vec<String>,
    /// Rises with every new token of the key.
    pub generation: i64,
    /// The remaining life, as of the answer.
    pub expires_in: Duration,
    /// The time until a successor is minted, as of the answer.
    pub refresh_in: Duration,
    /// The name of the key in the store and in logs.
    pub key_hash: String,
}

/// The generations before and after a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The generation that was current before; 0 if there was none.
    pub previous_generation: i64,
    /// The generation that is current now.
    pub generation: i64,
}

impl TokenPage {
    pub(crate) fn from_message(message: pb::ListTokensResponse) -> Self {
        Self {
            tokens: message
                .tokens
                .into_iter()
                .map(TokenSummary::from_message)
                .collect(),
            next_page_token: message.next_page_token,
            incomplete: message.incomplete,
        }
    }
}

impl TokenSummary {
    fn from_message(message: pb::TokenSummary) -> Self {
        let key = message.key.unwrap_or_default();
        Self {
            client: key.client,
            audience: key.audience,
            scopes: key.scopes,
            generation: message.generation,
            expires_in: life(message.expires_in),
            refresh_in: life(message.refresh_in),
            key_hash: message.key_hash,
        }
    }
}

impl Rotation {
    pub(crate) fn from_message(message: &pb::RotateTokenResponse) -> Self {
        Self {
            previous_generation: message.previous_generation,
            generation: message.generation,
        }
    }
}
