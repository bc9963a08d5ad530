//! What a rejection does in a source, against a real server over real sockets.

#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

mod common;

use std::time::Duration;

use common::{SOON, ms, open};
use mintonce::Kind;
use scripted::{Refusal, Server, Token};
use tonic::Code;

#[tokio::test]
async fn a_rejection_is_one_report_and_one_fetch_however_many_make_it() {
    let server = Server::start();
    let source = open(&server).await;
    let token = source.token().unwrap();
    let rejecting: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let (source, token) = (source.clone(), token.clone());
                async move { source.reject(&token).await }
            })
        })
        .collect();
    for each in rejecting {
        assert_eq!(each.await.unwrap().unwrap().generation(), 2);
    }
    assert_eq!((server.calls("RejectToken"), server.calls("GetToken")), (1, 2));
    assert_eq!(
        server.requests().iter().find_map(|request| request.generation),
        Some(1)
    );
    // An old one leads to the current one, without a call.
    assert_eq!(source.reject(&token).await.unwrap().generation(), 2);
    assert_eq!((server.calls("RejectToken"), server.calls("GetToken")), (1, 2));
    // What was rejected does not come back.
    server.until_watches(1).await;
    server.push(Token::new(1));
    server.push(Token::new(3));
    assert_eq!(
        source
            .wait_until_updated(&source.token().unwrap(), SOON)
            .await
            .unwrap()
            .generation(),
        3
    );
}

#[tokio::test]
async fn a_refused_report_leaves_the_token_in_use() {
    let server = Server::start();
    let source = open(&server).await;
    let token = source.token().unwrap();
    let too_soon =
        Refusal::of(Code::ResourceExhausted, "ROTATION_TOO_SOON").retry_after(Duration::from_secs(30));
    server.refuse("RejectToken", too_soon);
    for _ in 0..3 {
        let error = source.reject(&token).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (Kind::Unavailable, "ROTATION_TOO_SOON")
        );
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        assert_eq!(source.token().unwrap(), token);
    }
    assert_eq!(server.calls("RejectToken"), 1);
}

#[tokio::test]
async fn when_the_mint_after_a_report_fails_nothing_dead_is_served() {
    let server = Server::start();
    let source = open(&server).await;
    let token = source.token().unwrap();
    server.refuse(
        "GetToken",
        Refusal::of(Code::FailedPrecondition, "ISSUER_REFUSED").retry_after(Duration::from_secs(30)),
    );
    let error = source.reject(&token).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, "ISSUER_REFUSED"));
    assert_eq!(error.issuer_error(), "invalid_client");
    assert_eq!(source.token().unwrap_err().kind(), Kind::TokenExpired);
}

#[tokio::test]
async fn a_dropped_wait_gives_up_nothing_else() {
    let server = Server::start();
    let source = open(&server).await;
    let token = source.token().unwrap();
    server.delay("RejectToken", ms(300));
    let rejecting = tokio::spawn({
        let (source, token) = (source.clone(), token.clone());
        async move { source.reject(&token).await }
    });
    server.until_calls("RejectToken", 1).await;
    rejecting.abort();
    assert!(rejecting.await.unwrap_err().is_cancelled());
    // The report goes on for everyone else.
    assert_eq!(source.reject(&token).await.unwrap().generation(), 2);
    assert_eq!(server.calls("RejectToken"), 1);
}

#[tokio::test]
async fn no_successor_in_time_is_unavailable() {
    let server = Server::start();
    let source = open(&server).await;
    server.delay("RejectToken", SOON);
    let error = source
        .reject_within(&source.token().unwrap(), ms(100))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Unavailable, Code::DeadlineExceeded)
    );
    let error = source
        .wait_until_updated(&source.token().unwrap(), ms(50))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
}
