//! Single fields of a request.

use std::time::Duration;

use mintonce::TokenKey;
use serde_json::Value;

pub(crate) fn key_parts(request: &Value) -> (String, String, Vec<String>) {
    let scopes = request["scopes"].as_array().into_iter().flatten();
    let scopes = scopes.filter_map(Value::as_str).map(str::to_owned).collect();
    (text(request, "client"), text(request, "audience"), scopes)
}

pub(crate) fn key(request: &Value) -> TokenKey {
    let (client, audience, scopes) = key_parts(request);
    TokenKey::new(client).audience(audience).scopes(scopes)
}

pub(crate) fn text(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn duration(request: &Value, name: &str) -> Option<Duration> {
    request[name]
        .as_f64()
        .map(|milliseconds| Duration::from_secs_f64(milliseconds.max(0.0) / 1000.0))
}

pub(crate) fn bytes(hex: &str) -> Option<[u8; 32]> {
    let pairs: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| {
            hex.get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    pairs?.try_into().ok()
}
