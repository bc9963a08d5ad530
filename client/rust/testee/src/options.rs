//! The options of a source or client, as a request has them.

use mintonce::{ClientBuilder, Tls, TokenSourceBuilder};
use serde_json::{Map, Value};

use crate::fields::duration;

pub(crate) fn configure_client(mut builder: ClientBuilder, request: &Value) -> ClientBuilder {
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

pub(crate) fn configure_source(mut builder: TokenSourceBuilder, request: &Value) -> TokenSourceBuilder {
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
