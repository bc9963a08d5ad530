use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION, uri::Authority};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Token, TokenSource, adapters::log, connect::BoxError};

/// Sends the source's token with each `http::Request`. After a 401 it rejects the token and repeats the request once with
/// the successor.
///
/// A body that cannot be copied is not repeated; the token is still rejected. If there is no successor, the API's own 401
/// is returned.
///
/// Where a layer follows redirects, put this one inside it, with [`only_to`](Self::only_to): then no other host gets the
/// token.
///
/// ```
/// # fn example<S>(source: mintonce::TokenSource, client: S) {
/// use mintonce::MintonceLayer;
/// use tower_layer::Layer;
///
/// // `client` is a service of `http::Request<B>`, such as hyper-util's, with `B: Clone`.
/// let api = MintonceLayer::new(&source).only_to(["api.example.com"]).layer(client);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MintonceLayer<C = CloneBody> {
    source: TokenSource,
    copy: C,
    hosts: Option<Arc<[String]>>,
}

/// How to send a body again.
pub trait CopyBody<B> {
    /// The same body, or `None` if there cannot be another one.
    fn copy_body(&self, body: &B) -> Option<B>;
}

/// Sends bodies again that are `Clone`, such as `http_body_util::Full`.
#[derive(Clone, Copy, Debug)]
pub struct CloneBody;

/// Sends no request again.
#[derive(Clone, Copy, Debug)]
pub struct NeverCopy;

impl<B: Clone> CopyBody<B> for CloneBody {
    fn copy_body(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

impl<B> CopyBody<B> for NeverCopy {
    fn copy_body(&self, _: &B) -> Option<B> {
        None
    }
}

impl<B, F: Fn(&B) -> Option<B>> CopyBody<B> for F {
    fn copy_body(&self, body: &B) -> Option<B> {
        self(body)
    }
}

impl MintonceLayer {
    /// For bodies that are `Clone`.
    #[must_use]
    pub fn new(source: &TokenSource) -> Self {
        Self::copying(source, CloneBody)
    }
}

impl<C> MintonceLayer<C> {
    /// For other bodies: [`NeverCopy`], or a function that copies those that can be.
    #[must_use]
    pub fn copying(source: &TokenSource, copy: C) -> Self {
        Self {
            source: source.clone(),
            copy,
            hosts: None,
        }
    }

    /// Send the token only to these hosts, written as in a URI: `api.example.com`, or with a port that is not the
    /// scheme's. Requests to others pass untouched.
    #[must_use]
    pub fn only_to<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.hosts = Some(hosts.into_iter().map(Into::into).collect());
        self
    }
}

impl<S, C: Clone> Layer<S> for MintonceLayer<C> {
    type Service = MintonceService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        MintonceService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service with a [`MintonceLayer`] around it.
#[derive(Clone, Debug)]
pub struct MintonceService<S, C = CloneBody> {
    inner: S,
    layer: MintonceLayer<C>,
}

impl<S, C, B, R> Service<Request<B>> for MintonceService<S, C>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    C: CopyBody<B> + Clone + Send + Sync + 'static,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was polled is ready; its clone need not be.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(layer.send(ready, request))
    }
}

impl<C> MintonceLayer<C> {
    async fn send<S, B, R>(self, mut service: S, mut request: Request<B>) -> Result<Response<R>, BoxError>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        C: CopyBody<B>,
    {
        if !self.is_for(request.uri().authority()) {
            return service.call(request).await.map_err(Into::into);
        }
        let token = self.source.get().await?;
        let repeat = self.copy.copy_body(request.body()).map(|body| {
            let mut repeat = Request::new(body);
            *repeat.method_mut() = request.method().clone();
            *repeat.uri_mut() = request.uri().clone();
            *repeat.version_mut() = request.version();
            *repeat.headers_mut() = request.headers().clone();
            *repeat.extensions_mut() = request.extensions().clone();
            repeat
        });
        authorize(&mut request, &token);
        let response = service.call(request).await.map_err(Into::into)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let successor = match self.source.reject(&token).await {
            Ok(successor) => successor,
            Err(error) => {
                log::not_replaced(&error);
                return Ok(response);
            }
        };
        let Some(mut repeat) = repeat else {
            return Ok(response);
        };
        drop(response); // its connection is free for the repetition
        authorize(&mut repeat, &successor);
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        service.call(repeat).await.map_err(Into::into)
    }

    fn is_for(&self, authority: Option<&Authority>) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let Some(authority) = authority else { return false };
        let is_named = |name: &str| hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        match authority.port_u16() {
            None | Some(80 | 443) => is_named(authority.host()) || is_named(authority.as_str()),
            Some(port) => is_named(&format!("{}:{port}", authority.host())),
        }
    }
}

fn authorize<B>(request: &mut Request<B>, token: &Token) {
    request
        .headers_mut()
        .insert(AUTHORIZATION, token.header_value().clone());
}
