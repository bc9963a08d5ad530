//! How a source opens and closes, and what it shows, against a real server over real sockets.

#![allow(clippy::format_push_string, clippy::unwrap_used)] // in tests, the short way is the clear one

mod common;

use std::time::{Duration, Instant};

use common::{SOON, ms, open};
use mintonce::{Client, Kind, Origin, TokenSource};
use scripted::{Refusal, Server};
use tonic::Code;

#[tokio::test]
async fn it_is_open_when_the_first_token_is_here_and_then_reads_memory() {
    let server = Server::start();
    let source = TokenSource::builder("billing")
        .audience("https://api.example.com/")
        .scopes(["b a"])
        .target(server.target())
        .no_tls()
        .open()
        .await
        .unwrap();
    let token = source.token().unwrap();
    assert_eq!((token.generation(), token.access_token()), (1, "secret-1"));
    assert_eq!(token.header_value(), "Bearer secret-1");
    assert!(token.header_value().is_sensitive());
    assert_eq!(
        (token.origin(), token.scopes()),
        (Origin::Mint, &["read".to_owned()][..])
    );
    for _ in 0..10_000 {
        assert_eq!(source.token().unwrap(), token);
        assert_eq!(source.get().await.unwrap(), token);
    }
    assert_eq!(server.calls("GetToken"), 1);
    let request = &server.requests()[0];
    assert_eq!(
        (request.client.as_str(), request.audience.as_str()),
        ("billing", "https://api.example.com/")
    );
    assert_eq!(request.scopes, ["b", "a"]);
    assert!(request.metadata["user-agent"].starts_with("mintonce-rust/"));
}

#[tokio::test]
async fn a_refusal_at_the_start_is_that_error_and_leaves_nothing() {
    let server = Server::start();
    server.refuse("GetToken", Refusal::of(Code::NotFound, "UNKNOWN_CLIENT"));
    let error = TokenSource::builder("no")
        .target(server.target())
        .no_tls()
        .open()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason(), error.code()),
        (Kind::Refused, "UNKNOWN_CLIENT", Code::NotFound)
    );
    assert_eq!(
        (error.remedy(), error.request_id()),
        ("The remedy.", "the-request")
    );
    assert_eq!((server.calls("GetToken"), server.calls("WatchToken")), (1, 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_shows_at_once() {
    let mut server = Server::start();
    server.stop();
    let started_at = Instant::now();
    let error = TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .open()
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Unreachable, "UNREACHABLE"));
    assert!(error.message().contains("nothing listens there"), "{error}");
    assert!(error.remedy().contains(&server.target()), "{error:#}");
    assert!(started_at.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn open_can_wait_for_a_server_that_comes_later() {
    let mut server = Server::start();
    server.stop();
    let opening = TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .wait_for_server(Duration::from_secs(30));
    let opening = tokio::spawn(opening.open());
    tokio::time::sleep(ms(900)).await; // longer than a call's own retries
    assert!(!opening.is_finished());
    server.restart();
    assert_eq!(opening.await.unwrap().unwrap().token().unwrap().generation(), 1);
    server.refuse(
        "GetToken",
        Refusal::of(Code::PermissionDenied, "PERMISSION_DENIED"),
    );
    let refused = TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .wait_for_server(Duration::from_secs(30));
    assert_eq!(refused.open().await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn after_shutdown_every_call_fails_and_the_watch_has_ended() {
    let server = Server::start();
    let source = open(&server).await;
    let token = source.token().unwrap();
    let mut updates = source.subscribe();
    updates.next().await.unwrap();
    server.until_watches(1).await;
    let waiting = tokio::spawn({
        let (source, token) = (source.clone(), token.clone());
        async move { source.wait_until_updated(&token, SOON).await }
    });
    source.shutdown().await;
    source.shutdown().await;
    tokio::time::timeout(Duration::from_secs(1), server.until_watches(0))
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::Closed);
    assert_eq!(source.token().unwrap_err().kind(), Kind::Closed);
    assert_eq!(source.get().await.unwrap_err().reason(), "CLOSED");
    assert_eq!(
        source.clone().reject(&token).await.unwrap_err().kind(),
        Kind::Closed
    );
    assert!(updates.next().await.is_none());
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_task() {
    let server = Server::start();
    let source = open(&server).await;
    let (clone, mut updates) = (source.clone(), source.subscribe());
    server.until_watches(1).await;
    drop(source);
    assert!(clone.token().is_ok());
    updates.next().await.unwrap();
    drop(clone);
    tokio::time::timeout(Duration::from_secs(1), server.until_watches(0))
        .await
        .unwrap();
    assert!(updates.next().await.is_none());
}

#[tokio::test]
async fn a_shared_client_stays_open() {
    let server = Server::start();
    let client = Client::builder()
        .target(server.target())
        .no_tls()
        .build()
        .unwrap();
    let source = TokenSource::builder("billing")
        .client(&client)
        .open()
        .await
        .unwrap();
    source.shutdown().await;
    assert_eq!(
        client
            .get(&mintonce::TokenKey::new("billing"))
            .await
            .unwrap()
            .generation(),
        1
    );
    let error = TokenSource::builder("billing")
        .client(&client)
        .target("elsewhere:1")
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_the_text() {
    let server = Server::start();
    let source = open(&server).await;
    let token = source.token().unwrap();
    let mut shown = format!(
        "{source:?} {source:#?} {token:?} {token:#?} {:?} {:?}",
        token.header_value(),
        source.subscribe()
    );
    server.refuse("GetToken", Refusal::of(Code::Unavailable, "ISSUER_UNAVAILABLE"));
    let error = source.reject(&token).await.unwrap_err();
    shown += &format!("{error} {error:#} {error:?} {error:#?} {:?}", source.token());
    assert!(!shown.contains("secret"), "{shown}");
}
