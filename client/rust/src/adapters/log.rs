//! What an adapter logs when it cannot replace a token after a 401.
#![cfg(any(feature = "reqwest-middleware", feature = "tower"))]

/// Say why there is no other token to try. The caller gets the API's own 401.
pub(crate) fn not_replaced(error: &crate::Error) {
    tracing::warn!("the API answered 401, and the token could not be replaced: {error}");
}
