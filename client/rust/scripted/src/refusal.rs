//! Errors as mintonced sends them, and as it never would.

use std::{collections::HashMap, time::Duration};

use prost::Message;
use tonic::{Code, Status, metadata::MetadataMap};

#[derive(Clone, PartialEq, Message)]
struct Packed {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// An error to answer with.
#[derive(Clone)]
pub struct Refusal {
    code: Code,
    message: String,
    details: Vec<prost_types::Any>,
    raw: Option<Vec<u8>>,
    trailers: MetadataMap,
}

impl Refusal {
    /// Without details.
    pub fn bare(code: Code) -> Self {
        Self {
            code,
            message: "as told".into(),
            details: Vec::new(),
            raw: None,
            trailers: MetadataMap::new(),
        }
    }

    /// As mintonced: with a reason and, but for DRAINING, a pushback.
    pub fn of(code: Code, reason: &str) -> Self {
        let bare = Self::bare(code).info("mintonce", reason);
        if reason == "DRAINING" {
            bare
        } else {
            bare.pushback("-1")
        }
    }

    pub fn info(mut self, domain: &str, reason: &str) -> Self {
        let metadata = [
            ("remedy", "The remedy."),
            ("request_id", "the-request"),
            ("issuer_error", "invalid_client"),
        ];
        let info = ErrorInfo {
            reason: reason.into(),
            domain: domain.into(),
            metadata: metadata.map(|(name, value)| (name.into(), value.into())).into(),
        };
        self.details.push(any("google.rpc.ErrorInfo", &info));
        self
    }

    pub fn retry_after(mut self, delay: Duration) -> Self {
        let info = RetryInfo {
            retry_delay: Some(delay.try_into().unwrap()),
        };
        self.details.push(any("google.rpc.RetryInfo", &info));
        self
    }

    pub fn pushback(mut self, value: &str) -> Self {
        self.trailers
            .insert("grpc-retry-pushback-ms", value.parse().unwrap());
        self
    }

    /// Details that are not what they should be.
    pub fn raw_details(mut self, bytes: &[u8]) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    pub(crate) fn status(&self) -> Status {
        let packed = Packed {
            code: self.code as i32,
            details: self.details.clone(),
        };
        let details = match &self.raw {
            Some(raw) => raw.clone(),
            None if self.details.is_empty() => Vec::new(),
            None => packed.encode_to_vec(),
        };
        Status::with_details_and_metadata(self.code, &self.message, details.into(), self.trailers.clone())
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: message.encode_to_vec(),
    }
}
