//! The server's half of `mintonce.v1`.

#![allow(clippy::pedantic, clippy::all, unreachable_pub, unused_qualifications)]

include!("generated/mintonce.v1.rs");
