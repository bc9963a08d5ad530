//! Tokens and errors as the protocol writes them.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use mintonce::{Error, Kind, Token};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An error to answer with.
#[derive(Debug)]
pub(crate) enum Failure {
    Client(Box<Error>, Vec<Value>),
    Class(&'static str, String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(Box::new(error), Vec::new())
    }
}

impl Failure {
    pub(crate) fn class(class: &'static str, message: &str) -> Self {
        Self::Class(class, message.to_owned())
    }

    /// What the error object of an answer has; the tokens that had come, beside it.
    pub(crate) fn to_answer(&self) -> Value {
        match self {
            Self::Client(error, tokens) if tokens.is_empty() => json!({ "error": of_error(error) }),
            Self::Client(error, tokens) => json!({ "error": of_error(error), "tokens": tokens }),
            Self::Class(class, message) => json!({ "error": { "class": class, "message": message } }),
        }
    }
}

fn of_error(error: &Error) -> Value {
    let class = match error.kind() {
        Kind::Refused => "Refused",
        Kind::Unavailable => "Unavailable",
        Kind::Unreachable => "Unreachable",
        Kind::TokenExpired => "TokenExpired",
        Kind::Closed => "Closed",
        Kind::Usage => "Usage",
        _ => "Other",
    };
    let mut answer = json!({
        "class": class,
        "reason": error.reason(),
        "message": error.message(),
        "remedy": error.remedy(),
        "retry_after_ms": error.retry_after().map(milliseconds),
        "code": name_of(error.code()),
        "issuer_error": error.issuer_error(),
        "request_id": error.request_id(),
    });
    if let Some(cause) = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>()) {
        answer["cause"] = of_error(cause);
    }
    answer
}

pub(crate) fn of_token(token: &Token) -> Value {
    json!({
        "generation": token.generation(),
        "sha256": hex(&token.fingerprint()),
        "header_sha256": hex(&Sha256::digest(token.header_value().as_bytes())),
        "live": token.is_live(),
        "remaining_ms": until(token.expires_at()),
        "refresh_ms": until(token.refresh_at()),
        "degraded": token.is_degraded(),
        "origin": token.origin().as_str(),
        "scopes": token.scopes(),
        "type": token.token_type(),
    })
}

/// Negative when over.
fn until(at: Instant) -> f64 {
    let now = Instant::now();
    milliseconds(at.saturating_duration_since(now)) - milliseconds(now.saturating_duration_since(at))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As gRPC's documents write it.
pub(crate) fn name_of(code: tonic::Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
