//! Servers for tests, which answer as they are told: a mintonced and an HTTP API.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use
)] // for tests only
#![allow(clippy::unwrap_used, clippy::doc_markdown)]

pub mod api;
pub mod certificates;
/// The client's own file, compiled here once more: it is private there.
#[path = "../../src/pb.rs"]
mod pb;
mod refusal;
mod server;
mod stubs;

pub use refusal::Refusal;
pub use server::{Request, Server, Token};
