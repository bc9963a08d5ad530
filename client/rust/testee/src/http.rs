//! Requests through the HTTP adapters, by clients that follow redirects.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mintonce::{MintonceLayer, MintonceMiddleware, TokenSource};
use reqwest_middleware::ClientBuilder;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;

use crate::answers::Failure;

type Bytes = std::io::Cursor<Vec<u8>>;

pub(crate) async fn send(source: &TokenSource, request: &Value) -> Result<Value, Failure> {
    match request["adapter"].as_str() {
        Some("reqwest") => by_reqwest(source, request).await,
        Some("tower") => by_tower(source, request).await,
        _ => Err(Failure::class("Unsupported", "no such adapter")),
    }
}

fn method(request: &Value) -> Method {
    request["method"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn url(request: &Value) -> &str {
    request["url"].as_str().unwrap_or_default()
}

async fn by_reqwest(source: &TokenSource, request: &Value) -> Result<Value, Failure> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| fault(&error))?;
    let client = ClientBuilder::new(http)
        .with(MintonceMiddleware::new(source))
        .build();
    let mut call = client.request(method(request), url(request));
    if let Some(text) = request["body"]["text"].as_str() {
        call = call.body(text.to_owned());
    } else if let Some(text) = request["body"]["stream"].as_str() {
        let chunk = Ok::<_, std::io::Error>(text.as_bytes().to_vec());
        call = call.body(reqwest::Body::wrap_stream(futures_util::stream::iter([chunk])));
    }
    let response = call.send().await.map_err(|error| match error {
        reqwest_middleware::Error::Middleware(error) => match error.downcast::<mintonce::Error>() {
            Ok(error) => error.into(),
            Err(error) => fault(&error),
        },
        reqwest_middleware::Error::Reqwest(error) => fault(&error),
    })?;
    let status = response.status().as_u16();
    let body = response.text().await.map_err(|error| fault(&error))?;
    Ok(json!({ "status": status, "body": body }))
}

/// Some bodies can be copied, some cannot.
struct Body {
    inner: UnsyncBoxBody<Bytes, std::convert::Infallible>,
    text: Option<String>,
}

impl Body {
    fn text(text: &str) -> Self {
        Self {
            inner: full(text),
            text: Some(text.to_owned()),
        }
    }

    fn stream(text: &str) -> Self {
        Self {
            inner: full(text),
            text: None,
        }
    }

    fn copy(&self) -> Option<Self> {
        self.text.as_deref().map(Self::text)
    }
}

fn full(text: &str) -> UnsyncBoxBody<Bytes, std::convert::Infallible> {
    if text.is_empty() {
        return UnsyncBoxBody::new(Empty::new());
    }
    UnsyncBoxBody::new(Full::new(Bytes::new(text.as_bytes().to_vec())))
}

impl Default for Body {
    fn default() -> Self {
        Self::text("")
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

async fn by_tower(source: &TokenSource, request: &Value) -> Result<Value, Failure> {
    let uri: Uri = url(request)
        .parse()
        .map_err(|error: http::uri::InvalidUri| fault(&error))?;
    let api = uri.authority().map(ToString::to_string);
    let body = match (
        request["body"]["text"].as_str(),
        request["body"]["stream"].as_str(),
    ) {
        (Some(text), _) => Body::text(text),
        (None, Some(text)) => Body::stream(text),
        (None, None) => Body::default(),
    };
    let mut call = Request::new(body);
    *call.method_mut() = method(request);
    *call.uri_mut() = uri;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let layer = MintonceLayer::copying(source, Body::copy as fn(&Body) -> Option<Body>).only_to(api);
    // Redirects outside: each request that they make passes the layer, which knows its host.
    let service = FollowRedirectLayer::new().layer(layer.layer(client));
    let response =
        service
            .oneshot(call)
            .await
            .map_err(|error| match error.downcast::<mintonce::Error>() {
                Ok(error) => (*error).into(),
                Err(error) => fault(&error),
            })?;
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| fault(&error))?
        .to_bytes();
    Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }))
}

fn fault(error: &dyn std::fmt::Display) -> Failure {
    Failure::class("Testee", &error.to_string())
}
