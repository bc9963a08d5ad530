//! Everything that can be printed, for the suite to search for a token's text.

use std::{collections::BTreeMap, fmt::Debug};

use serde_json::{Value, json};

use super::{Testee, lock};

impl Testee {
    /// Token and error have no other form as text: no `Display` and no serialization of a token.
    pub(super) fn print(&self, request: &Value) -> Value {
        let mut texts = BTreeMap::new();
        let mut add = |name: &str, what: &dyn Debug| {
            texts.insert(format!("{name}.debug"), format!("{what:?}"));
            texts.insert(format!("{name}.debug_pretty"), format!("{what:#?}"));
        };
        if let Ok(source) = self.source(request) {
            add("source", &source);
            add("source.updates", &source.subscribe());
            add("token", &source.token());
            if let Ok(token) = source.token() {
                add("token.header", &token.header_value());
                tracing::error!(target: "testee", ?token, "a log line");
                add("token.log", &format_args!("a log line token={token:?}"));
            }
        }
        for client in lock(&self.clients).values() {
            add("client", client);
        }
        add("options", &lock(&self.options));
        if let Some(error) = &*lock(&self.last_error) {
            add("error", error);
            let mut chain: Vec<String> = vec![format!("{error} {error:#}")];
            let mut next = std::error::Error::source(error);
            while let Some(cause) = next {
                chain.push(format!("{cause} {cause:#} {cause:?}"));
                next = cause.source();
            }
            texts.insert("error.display".into(), chain.join(": "));
        }
        json!({ "texts": texts })
    }
}
