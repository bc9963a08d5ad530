use crate::pb;

/// Names one shared token: all callers that ask for the same key get the same token.
///
/// ```
/// use mintonce::TokenKey;
///
/// let key = TokenKey::new("billing").audience("https://api.example.com/").scopes(["read write"]);
/// assert_eq!(key, TokenKey::new("billing").audience("https://api.example.com/").scopes(["read", "write"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    client: String,
    audience: String,
    scopes: Vec<String>,
}

impl TokenKey {
    /// `client`: the name under which the OAuth client is registered with the server.
    pub fn new(client: impl Into<String>) -> Self {
        Self {
            client: client.into(),
            audience: String::new(),
            scopes: Vec::new(),
        }
    }

    /// The API that the token is for. Default: the issuer's.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Scopes of RFC 6749, section 3.3; their order does not matter. One text may hold several, with spaces between
    /// them. Default: the issuer's.
    #[must_use]
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes
            .into_iter()
            .flat_map(|text| {
                text.as_ref()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        self
    }

    pub(crate) fn to_message(&self) -> pb::TokenKey {
        pb::TokenKey {
            client: self.client.clone(),
            audience: self.audience.clone(),
            scopes: self.scopes.clone(),
        }
    }
}
