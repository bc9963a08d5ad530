//! The messages and the server's half of `mintonce.v1`.

#![allow(
    clippy::pedantic,
    clippy::all,
    unreachable_pub,
    unused_qualifications,
    dead_code
)]

include!("generated/mintonce.v1.rs");
