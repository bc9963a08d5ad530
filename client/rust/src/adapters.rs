//! One module for each library.

mod log;
#[cfg(feature = "reqwest-middleware")]
pub(crate) mod reqwest;
pub(crate) mod tonic;
#[cfg(feature = "tower")]
pub(crate) mod tower;
