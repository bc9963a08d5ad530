//! What the tests of a source share.

use std::time::Duration;

use mintonce::TokenSource;
use scripted::Server;

pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) async fn open(server: &Server) -> TokenSource {
    let source = TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .no_bearer()
        .timeout(SOON)
        .open()
        .await;
    source.expect("the source opens")
}
