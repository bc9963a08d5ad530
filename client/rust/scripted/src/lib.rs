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
mod connections;
/// The client's own file, compiled here once more: it is private there.
#[path = "../../src/pb.rs"]
mod pb;
mod refusal;
mod script;
mod server;
mod services;
mod stubs;
mod token;

pub use refusal::Refusal;
pub use script::Request;
pub use server::Server;
pub use token::Token;
