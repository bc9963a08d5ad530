//! The operations of the protocol.

mod client;
mod print;
mod source;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mintonce::{Client, Error, Token, TokenSource};
use serde_json::{Value, json};

use crate::{
    answers::{Failure, of_token},
    fields::{duration, key, text},
    grpc, http, logs,
};

const FEATURES: &[&str] = &[
    "http:reqwest",
    "http:tower",
    "grpc:tonic",
    "unix",
    "dns",
    "cancel",
    "keys:sec1",
    "keys:pkcs1",
    "rotate",
    "list",
];

/// What the process holds.
#[derive(Default)]
pub(crate) struct Testee {
    sources: Mutex<HashMap<String, TokenSource>>,
    clients: Mutex<HashMap<String, Client>>,
    /// Those that were answered, by generation: a rejection needs one.
    tokens: Mutex<HashMap<i64, Token>>,
    last_error: Mutex<Option<Error>>,
    options: Mutex<String>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Testee {
    pub(crate) async fn perform(self: &Arc<Self>, request: &Value) -> Result<Value, Failure> {
        let done = if request["op"] == "burst" {
            Ok(self.burst(request).await)
        } else {
            self.one(request).await
        };
        if let Err(Failure::Client(error, _)) = &done {
            *lock(&self.last_error) = Some((**error).clone());
        }
        done
    }

    async fn one(&self, request: &Value) -> Result<Value, Failure> {
        match request["op"].as_str().unwrap_or_default() {
            "hello" => Ok(hello()),
            "open" => self.open(request).await,
            "token" => self.token(request),
            "get" => self.get(request).await,
            "reject" => self.reject(request).await,
            "updated" => self.updated(request).await,
            "close" => self.close(request).await,
            "client_open" => self.client_open(request),
            "client_get" => self.client_get(request).await,
            "client_watch" => self.client_watch(request).await,
            "client_reject" => self.client_reject(request).await,
            "client_rotate" => {
                let done = self.client(request)?.rotate(&key(request)).await?;
                Ok(json!({ "previous_generation": done.previous_generation, "generation": done.generation }))
            }
            "client_list" => self.client_list(request).await,
            "print" => Ok(self.print(request)),
            "logs" => Ok(json!({ "warnings": logs::warnings() })),
            "http" => http::send(&self.source(request)?, request).await,
            "grpc_call" => grpc::call(&self.source(request)?, request).await,
            _ => Err(Failure::class("Unsupported", "no such op")),
        }
    }

    async fn burst(self: &Arc<Self>, request: &Value) -> Value {
        let count = request["n"].as_u64().unwrap_or(1);
        let running: Vec<_> = (0..count)
            .map(|_| {
                let (testee, of) = (self.clone(), request["of"].clone());
                tokio::spawn(async move { testee.one(&of).await })
            })
            .collect();
        let mut results = Vec::new();
        for each in running {
            results.push(match each.await {
                Ok(Ok(ok)) => json!({ "ok": ok }),
                Ok(Err(failure)) => failure.to_answer(),
                Err(error) => Failure::class("Testee", &error.to_string()).to_answer(),
            });
        }
        json!({ "results": results })
    }

    pub(crate) async fn close_all(&self) {
        let sources: Vec<_> = lock(&self.sources).drain().map(|(_, source)| source).collect();
        for source in sources {
            source.shutdown().await;
        }
        for client in lock(&self.clients).values() {
            client.close();
        }
    }

    fn source(&self, request: &Value) -> Result<TokenSource, Failure> {
        let found = lock(&self.sources).get(&text(request, "source")).cloned();
        found.ok_or_else(|| Failure::class("Testee", "no such source"))
    }

    fn client(&self, request: &Value) -> Result<Client, Failure> {
        let found = lock(&self.clients).get(&text(request, "conn")).cloned();
        let client = found.ok_or_else(|| Failure::class("Testee", "no such client"))?;
        Ok(duration(request, "timeout_ms")
            .map_or_else(|| client.clone(), |timeout| client.with_timeout(timeout)))
    }

    fn answer(&self, token: &Token) -> Value {
        lock(&self.tokens).insert(token.generation(), token.clone());
        of_token(token)
    }
}

fn hello() -> Value {
    json!({
        "protocol": 1,
        "language": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "runtime": concat!("rust ", env!("CARGO_PKG_RUST_VERSION"), " or newer"),
        "features": FEATURES,
    })
}
