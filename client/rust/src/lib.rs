//! A client for Mintonce, which shares OAuth 2.0 access tokens among the services of a domain.
//!
//! A [`TokenSource`] fetches its token once and follows its successors in the background; reading it is a memory read. A
//! [`Client`] makes single calls. The README has the rest: adapters, credentials, errors.
//!
//! ```no_run
//! # async fn example() -> mintonce::Result<()> {
//! let source = mintonce::TokenSource::builder("billing")
//!     .audience("https://api.example.com/")
//!     .target("mintonce:50051")
//!     .open()
//!     .await?;
//! let token = source.token()?; // memory: no call, no lock
//! let successor = source.reject(&token).await?; // after a 401
//! # Ok(())
//! # }
//! ```
//!
//! No type of this crate prints the text of a token, and none that does is handed out.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapters;
mod admin;
mod client;
mod clock;
mod connect;
mod connection;
mod credentials;
mod details;
mod error;
mod files;
mod follower;
mod jitter;
mod key;
mod misplaced;
mod pb;
mod retry;
mod shared;
mod source;
mod target;
mod text;
mod tls;
mod token;
mod translate;
mod unreachable;
mod watch;
mod wire;
mod worker;

#[cfg(feature = "reqwest-middleware")]
pub use adapters::reqwest::MintonceMiddleware;
pub use adapters::tonic::MintonceInterceptor;
#[cfg(feature = "tower")]
pub use adapters::tower::{CloneBody, CopyBody, MintonceLayer, MintonceService, NeverCopy};
pub use admin::{ListTokens, Rotation, TokenPage, TokenSummary};
pub use client::{Client, ClientBuilder, Rejected};
pub use credentials::Tls;
pub use error::{Error, Kind, Result};
pub use key::TokenKey;
pub use source::{TokenSource, TokenSourceBuilder, Updates};
pub use token::{Origin, Token};
pub use watch::Watch;

/// The README's programs are compiled, too.
#[cfg(all(doctest, feature = "reqwest-middleware"))]
#[doc = include_str!("../README.md")]
struct Readme;
