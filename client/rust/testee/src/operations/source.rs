//! The operations on a source, and the end of a source or client.

use std::time::Duration;

use mintonce::TokenSource;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Testee, lock};
use crate::{
    answers::Failure,
    fields::{duration, key_parts, text},
    options::configure_source,
};

const DEFAULT_WAIT: Duration = Duration::from_secs(10);

impl Testee {
    pub(super) async fn open(&self, request: &Value) -> Result<Value, Failure> {
        let key = key_parts(request);
        let mut builder = TokenSource::builder(key.0).audience(key.1).scopes(key.2);
        builder = configure_source(builder, request);
        if let Some(via) = request["via"].as_str() {
            let client = lock(&self.clients).get(via).cloned();
            builder = builder.client(&client.ok_or_else(|| Failure::class("Testee", "no such client"))?);
        }
        if let Some(wait) = duration(request, "wait_for_server_ms") {
            builder = builder.wait_for_server(wait);
        }
        *lock(&self.options) = format!("{builder:?}");
        let source = builder.open().await?;
        let token = source.token()?;
        lock(&self.sources).insert(text(request, "source"), source);
        Ok(self.answer(&token))
    }

    pub(super) fn token(&self, request: &Value) -> Result<Value, Failure> {
        let source = self.source(request)?;
        let mut token = source.token()?;
        for _ in 1..request["count"].as_u64().unwrap_or(1) {
            token = source.token()?;
        }
        Ok(self.answer(&token))
    }

    pub(super) async fn get(&self, request: &Value) -> Result<Value, Failure> {
        let source = self.source(request)?;
        let token = match duration(request, "timeout_ms") {
            Some(timeout) => source.get_within(timeout).await?,
            None => source.get().await?,
        };
        Ok(self.answer(&token))
    }

    pub(super) async fn reject(&self, request: &Value) -> Result<Value, Failure> {
        let source = self.source(request)?;
        let generation = request["generation"].as_i64().unwrap_or_default();
        let token = lock(&self.tokens).get(&generation).cloned();
        let token =
            token.ok_or_else(|| Failure::class("Testee", "no token of that generation was answered"))?;
        let successor = match duration(request, "timeout_ms") {
            Some(timeout) => source.reject_within(&token, timeout).await?,
            None => source.reject(&token).await?,
        };
        Ok(self.answer(&successor))
    }

    pub(super) async fn updated(&self, request: &Value) -> Result<Value, Failure> {
        let than = request["than"].as_i64().unwrap_or_default();
        let mut updates = self.source(request)?.subscribe();
        let newer = async {
            loop {
                match updates.next().await {
                    Some(token) if token.generation() > than => return Some(token),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        let within = duration(request, "timeout_ms").unwrap_or(DEFAULT_WAIT);
        match timeout(within, newer).await {
            Ok(Some(token)) => Ok(self.answer(&token)),
            Ok(None) => Err(Failure::class("Closed", "the source is closed")),
            Err(_) => Err(Failure::class("Unavailable", "no update in time")),
        }
    }

    pub(super) async fn close(&self, request: &Value) -> Result<Value, Failure> {
        if request["source"].is_string() {
            self.source(request)?.shutdown().await;
        } else {
            self.client(request)?.close();
        }
        Ok(json!({}))
    }
}
