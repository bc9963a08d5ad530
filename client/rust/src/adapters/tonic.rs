use http::Uri;
use tonic::{Request, Status, metadata::MetadataValue, service::Interceptor};

use crate::{Error, Result, TokenSource, target::is_loopback};

/// Adds `authorization: Bearer …` to each call of a gRPC API. Reads memory only and never waits.
///
/// After an `UNAUTHENTICATED`, call [`TokenSource::reject`] and then the API again.
///
/// ```no_run
/// # async fn example(source: mintonce::TokenSource) -> Result<(), Box<dyn std::error::Error>> {
/// use mintonce::MintonceInterceptor;
/// use tonic::{service::interceptor::InterceptedService, transport::Endpoint};
///
/// let endpoint = Endpoint::from_static("https://api.example.com");
/// let interceptor = MintonceInterceptor::new(&source, endpoint.uri())?;
/// let api = InterceptedService::new(endpoint.connect().await?, interceptor);
/// // for example: LedgerClient::new(api)
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MintonceInterceptor {
    source: TokenSource,
}

impl MintonceInterceptor {
    /// `api`: the URI that the channel connects to. Fails with `CREDENTIALS` if the token would travel in clear beyond
    /// this host.
    pub fn new(source: &TokenSource, api: &Uri) -> Result<Self> {
        let host = api.host().unwrap_or_default();
        if api.scheme_str() != Some("https") && !is_loopback(host) {
            return Err(
                Error::unusable(format!("the token would travel in clear to {host}"))
                    .with_remedy("Use an https endpoint."),
            );
        }
        Ok(Self {
            source: source.clone(),
        })
    }

    /// For a channel that stays on this host in a way that its URI does not show, such as a Unix socket.
    #[must_use]
    pub fn local(source: &TokenSource) -> Self {
        Self {
            source: source.clone(),
        }
    }
}

impl Interceptor for MintonceInterceptor {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        let token = self
            .source
            .token()
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let header = token.header_value().as_bytes();
        let mut value =
            MetadataValue::try_from(header).map_err(|_| Status::internal("the token fits no metadata"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}
