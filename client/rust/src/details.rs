//! The details of an error: three messages of `google.rpc`, read by hand to save a dependency.
//!
//! Field numbers are those of `google/rpc/status.proto` and `error_details.proto`.

use std::{collections::HashMap, time::Duration};

use prost::Message;
use tonic::metadata::MetadataMap;

use crate::{token::life, wire::MOVED_DETAILS};

const DOMAIN: &str = "mintonce";
const ERROR_INFO: &str = "google.rpc.ErrorInfo";
const RETRY_INFO: &str = "google.rpc.RetryInfo";

#[derive(Clone, PartialEq, Message)]
struct Status {
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

/// What the server said about an error. `reason` is empty when it said nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Details {
    pub(crate) reason: String,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Details {
    /// What is absent, foreign or malformed counts as not said: the status code still says what matters.
    pub(crate) fn from_metadata(metadata: &MetadataMap) -> Self {
        let packed = metadata
            .get_bin(MOVED_DETAILS)
            .and_then(|value| value.to_bytes().ok());
        packed.and_then(|packed| Self::read(&packed)).unwrap_or_default()
    }

    fn read(packed: &[u8]) -> Option<Self> {
        let mut said = Self::default();
        for detail in Status::decode(packed).ok()?.details {
            match detail.type_url.rsplit('/').next() {
                Some(ERROR_INFO) => {
                    let info = ErrorInfo::decode(detail.value.as_slice()).ok()?;
                    if info.domain == DOMAIN {
                        said.reason = info.reason;
                        said.metadata = info.metadata;
                    }
                }
                Some(RETRY_INFO) => {
                    let info = RetryInfo::decode(detail.value.as_slice()).ok()?;
                    said.retry_after = Some(life(info.retry_delay));
                }
                _ => {}
            }
        }
        Some(said)
    }
}
