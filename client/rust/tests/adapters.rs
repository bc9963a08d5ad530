//! The adapters, against a real HTTP API and a real server.

#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

use std::time::Duration;

use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mintonce::{Kind, MintonceInterceptor, MintonceLayer, MintonceMiddleware, NeverCopy, TokenSource};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, reqwest};
use scripted::{Refusal, Server, Token, api::Api};
use tonic::{Code, service::Interceptor};
use tower_layer::Layer;
use tower_service::Service;

type Body = Full<std::io::Cursor<Vec<u8>>>;

async fn open(server: &Server) -> TokenSource {
    TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .no_bearer()
        .open()
        .await
        .unwrap()
}

fn reqwest_client(source: &TokenSource) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(MintonceMiddleware::new(source))
        .build()
}

fn tokens(api: &Api) -> Vec<String> {
    api.seen()
        .into_iter()
        .map(|seen| seen.authorization.unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn reqwest_rejects_once_and_repeats_once() {
    let (server, api) = (Server::start(), Api::start().await);
    let client = reqwest_client(&open(&server).await);
    assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), 200);
    api.refuse(1);
    let response = client
        .post(api.url("/invoices"))
        .body("the body")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        tokens(&api),
        ["Bearer secret-1", "Bearer secret-1", "Bearer secret-2"]
    );
    assert_eq!(api.seen()[1].body, "the body");
    assert_eq!(api.seen()[2].body, "the body");
    api.refuse_all();
    assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), 401);
    assert_eq!((server.calls("RejectToken"), api.seen().len()), (2, 5));
}

#[tokio::test]
async fn reqwest_returns_the_401_when_the_token_cannot_be_replaced() {
    let (server, api) = (Server::start(), Api::start().await);
    let client = reqwest_client(&open(&server).await);
    server.refuse(
        "RejectToken",
        Refusal::of(Code::ResourceExhausted, "ROTATION_TOO_SOON"),
    );
    api.refuse(1);
    assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), 401);
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn reqwest_shows_the_token_to_no_other_host() {
    let (server, api, other) = (Server::start(), Api::start().await, Api::start().await);
    let client = reqwest_client(&open(&server).await);
    let response = client
        .get(api.url(&format!("/redirect?{}", other.url("/there"))))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 401); // for lack of a token
    assert_eq!(other.seen()[0].authorization, None);
    assert_eq!(server.calls("RejectToken"), 0);
}

#[tokio::test]
async fn reqwest_rejects_nothing_after_a_way_over_another_host() {
    let (server, api, other) = (Server::start(), Api::start().await, Api::start().await);
    let client = reqwest_client(&open(&server).await);
    let back = other.url(&format!("/redirect?{}", api.url("/there")));
    let response = client
        .get(api.url(&format!("/redirect?{back}")))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 401); // reqwest removed the header on the way
    assert_eq!(server.calls("RejectToken"), 0);
}

#[tokio::test]
async fn a_source_without_a_token_is_an_error_of_the_request() {
    let (server, api) = (Server::start(), Api::start().await);
    let source = open(&server).await;
    source.shutdown().await;
    let error = reqwest_client(&source)
        .get(api.url("/"))
        .send()
        .await
        .unwrap_err();
    let reqwest_middleware::Error::Middleware(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        error.downcast_ref::<mintonce::Error>().unwrap().kind(),
        Kind::Closed
    );
}

fn request(url: &str, body: &str) -> http::Request<Body> {
    http::Request::post(url)
        .body(Full::new(std::io::Cursor::new(body.into())))
        .unwrap()
}

#[tokio::test]
async fn tower_rejects_once_and_repeats_once() {
    let (server, api) = (Server::start(), Api::start().await);
    let source = open(&server).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut service = MintonceLayer::new(&source).layer(client.clone());
    api.refuse(1);
    let response = service.call(request(&api.url("/"), "the body")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(tokens(&api), ["Bearer secret-1", "Bearer secret-2"]);
    assert_eq!(api.seen()[1].body, "the body");
    api.refuse(2);
    let mut once = MintonceLayer::copying(&source, NeverCopy).layer(client);
    assert_eq!(
        once.call(request(&api.url("/"), "x")).await.unwrap().status(),
        401
    );
    assert_eq!((api.seen().len(), server.calls("RejectToken")), (3, 2));
}

#[tokio::test]
async fn tower_shows_the_token_only_to_the_hosts_that_are_named() {
    let (server, api) = (Server::start(), Api::start().await);
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut service = MintonceLayer::new(&open(&server).await)
        .only_to(["api.example.com"])
        .layer(client);
    assert_eq!(
        service.call(request(&api.url("/"), "")).await.unwrap().status(),
        401
    );
    assert_eq!(
        (api.seen()[0].authorization.clone(), server.calls("RejectToken")),
        (None, 0)
    );
}

#[tokio::test]
async fn the_interceptor_follows_rotations_and_refuses_clear_text() {
    let server = Server::start();
    let source = open(&server).await;
    let mut interceptor =
        MintonceInterceptor::new(&source, &"https://api.example.com".parse().unwrap()).unwrap();
    let mut sent = || {
        let request = interceptor.call(tonic::Request::new(())).unwrap();
        let value = request.metadata().get("authorization").unwrap().clone();
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    };
    assert_eq!(sent(), "Bearer secret-1");
    let first = source.token().unwrap();
    server.until_watches(1).await;
    server.publish(Token::new(2));
    source
        .wait_until_updated(&first, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(sent(), "Bearer secret-2");
    assert!(MintonceInterceptor::new(&source, &"http://127.0.0.1:1".parse().unwrap()).is_ok());
    assert!(MintonceInterceptor::new(&source, &"http://[::1]:1".parse().unwrap()).is_ok());
    let error = MintonceInterceptor::new(&source, &"http://api.example.com".parse().unwrap()).unwrap_err();
    assert_eq!(error.reason(), "CREDENTIALS");
}
