//! The operations of the protocol.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mintonce::{
    Client, ClientBuilder, Error, ListTokens, Rejected, Tls, Token, TokenKey, TokenSource, TokenSourceBuilder,
};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::{
    answers::{Failure, of_token},
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
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

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

    async fn open(&self, request: &Value) -> Result<Value, Failure> {
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

    fn token(&self, request: &Value) -> Result<Value, Failure> {
        let source = self.source(request)?;
        let mut token = source.token()?;
        for _ in 1..request["count"].as_u64().unwrap_or(1) {
            token = source.token()?;
        }
        Ok(self.answer(&token))
    }

    async fn get(&self, request: &Value) -> Result<Value, Failure> {
        let source = self.source(request)?;
        let token = match duration(request, "timeout_ms") {
            Some(timeout) => source.get_within(timeout).await?,
            None => source.get().await?,
        };
        Ok(self.answer(&token))
    }

    async fn reject(&self, request: &Value) -> Result<Value, Failure> {
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

    async fn updated(&self, request: &Value) -> Result<Value, Failure> {
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

    async fn close(&self, request: &Value) -> Result<Value, Failure> {
        if request["source"].is_string() {
            self.source(request)?.shutdown().await;
        } else {
            self.client(request)?.close();
        }
        Ok(json!({}))
    }

    fn client_open(&self, request: &Value) -> Result<Value, Failure> {
        let builder = configure_client(Client::builder(), request);
        *lock(&self.options) = format!("{builder:?}");
        lock(&self.clients).insert(text(request, "conn"), builder.build()?);
        Ok(json!({}))
    }

    async fn client_get(&self, request: &Value) -> Result<Value, Failure> {
        let client = self.client(request)?;
        let token = match duration(request, "min_ttl_ms") {
            Some(min_ttl) => client.get_with_min_ttl(&key(request), min_ttl).await?,
            None => client.get(&key(request)).await?,
        };
        Ok(self.answer(&token))
    }

    async fn client_watch(&self, request: &Value) -> Result<Value, Failure> {
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

    async fn client_reject(&self, request: &Value) -> Result<Value, Failure> {
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

    async fn client_list(&self, request: &Value) -> Result<Value, Failure> {
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

    /// Token and error have no other form as text: no `Display` and no serialization of a token.
    fn print(&self, request: &Value) -> Value {
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

fn configure_client(mut builder: ClientBuilder, request: &Value) -> ClientBuilder {
    if let Some(target) = request["target"].as_str() {
        builder = builder.target(target);
    }
    builder = match &request["tls"] {
        Value::Bool(false) => builder.no_tls(),
        Value::Bool(true) => builder.tls(Tls::new()),
        Value::Object(fields) => builder.tls(tls(fields)),
        _ => builder,
    };
    builder = match &request["bearer_file"] {
        Value::Bool(false) => builder.no_bearer(),
        Value::String(path) => builder.bearer_file(path),
        _ => builder,
    };
    if let Some(path) = request["api_key_file"].as_str() {
        builder = builder.api_key_file(path);
    }
    duration(request, "timeout_ms")
        .into_iter()
        .fold(builder, ClientBuilder::timeout)
}

fn configure_source(mut builder: TokenSourceBuilder, request: &Value) -> TokenSourceBuilder {
    if let Some(target) = request["target"].as_str() {
        builder = builder.target(target);
    }
    builder = match &request["tls"] {
        Value::Bool(false) => builder.no_tls(),
        Value::Bool(true) => builder.tls(Tls::new()),
        Value::Object(fields) => builder.tls(tls(fields)),
        _ => builder,
    };
    builder = match &request["bearer_file"] {
        Value::Bool(false) => builder.no_bearer(),
        Value::String(path) => builder.bearer_file(path),
        _ => builder,
    };
    if let Some(path) = request["api_key_file"].as_str() {
        builder = builder.api_key_file(path);
    }
    duration(request, "timeout_ms")
        .into_iter()
        .fold(builder, TokenSourceBuilder::timeout)
}

fn tls(fields: &Map<String, Value>) -> Tls {
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    let mut tls = Tls::new();
    if let Some(path) = field("ca_file") {
        tls = tls.ca_file(path);
    }
    if let Some(path) = field("certificate_file") {
        tls = tls.certificate_file(path);
    }
    if let Some(path) = field("key_file") {
        tls = tls.key_file(path);
    }
    if let Some(name) = field("server_name") {
        tls = tls.server_name(name);
    }
    tls
}

fn key_parts(request: &Value) -> (String, String, Vec<String>) {
    let scopes = request["scopes"].as_array().into_iter().flatten();
    let scopes = scopes.filter_map(Value::as_str).map(str::to_owned).collect();
    (text(request, "client"), text(request, "audience"), scopes)
}

fn key(request: &Value) -> TokenKey {
    let (client, audience, scopes) = key_parts(request);
    TokenKey::new(client).audience(audience).scopes(scopes)
}

fn text(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap_or_default().to_owned()
}

fn duration(request: &Value, name: &str) -> Option<Duration> {
    request[name]
        .as_f64()
        .map(|milliseconds| Duration::from_secs_f64(milliseconds.max(0.0) / 1000.0))
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let pairs: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| {
            hex.get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    pairs?.try_into().ok()
}
