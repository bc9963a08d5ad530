//! The operations on a client: single calls.

use mintonce::{Client, Error, ListTokens, Rejected};
use serde_json::{Value, json};

use super::{Testee, lock};
use crate::{
    answers::Failure,
    fields::{bytes, duration, key, text},
    options::configure_client,
};

impl Testee {
    pub(super) fn client_open(&self, request: &Value) -> Result<Value, Failure> {
        let builder = configure_client(Client::builder(), request);
        *lock(&self.options) = format!("{builder:?}");
        lock(&self.clients).insert(text(request, "conn"), builder.build()?);
        Ok(json!({}))
    }

    pub(super) async fn client_get(&self, request: &Value) -> Result<Value, Failure> {
        let client = self.client(request)?;
        let token = match duration(request, "min_ttl_ms") {
            Some(min_ttl) => client.get_with_min_ttl(&key(request), min_ttl).await?,
            None => client.get(&key(request)).await?,
        };
        Ok(self.answer(&token))
    }

    pub(super) async fn client_watch(&self, request: &Value) -> Result<Value, Failure> {
        let (client, key) = (self.client(request)?, key(request));
        let mut tokens = Vec::new();
        let watched = async {
            let mut watch = match duration(request, "timeout_ms") {
                Some(limit) => client.watch_for(&key, limit).await?,
                None => client.watch(&key).await?,
            };
            while tokens.len() < usize::try_from(request["count"].as_u64().unwrap_or(1)).unwrap_or(1) {
                let Some(token) = watch.message().await? else {
                    break;
                };
                tokens.push(self.answer(&token));
            }
            Ok::<_, Error>(())
        };
        match watched.await {
            Ok(()) => Ok(json!({ "tokens": tokens })),
            Err(error) => Err(Failure::Client(Box::new(error), tokens)),
        }
    }

    pub(super) async fn client_reject(&self, request: &Value) -> Result<Value, Failure> {
        // A call without either cannot be written in Rust.
        let usage = || Failure::class("Usage", "neither a generation nor a SHA-256 of 32 bytes");
        let rejected = match (request["generation"].as_i64(), request["sha256"].as_str()) {
            (Some(generation), _) => Rejected::Generation(generation),
            (None, Some(text)) => Rejected::AccessTokenSha256(bytes(text).ok_or_else(usage)?),
            (None, None) => return Err(usage()),
        };
        let was_current = self.client(request)?.reject(&key(request), rejected).await?;
        Ok(json!({ "was_current": was_current }))
    }

    pub(super) async fn client_list(&self, request: &Value) -> Result<Value, Failure> {
        let size = request["page_size"]
            .as_u64()
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or_default();
        let which = ListTokens::all()
            .page_size(size)
            .page_token(text(request, "page_token"));
        let page = self.client(request)?.list_tokens(&which).await?;
        let tokens: Vec<_> = page
            .tokens
            .iter()
            .map(|each| {
                json!({ "client": each.client, "audience": each.audience, "scopes": each.scopes, "generation": each.generation })
            })
            .collect();
        Ok(json!({ "tokens": tokens, "next_page_token": page.next_page_token }))
    }
}
