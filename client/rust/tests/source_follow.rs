//! How a source follows the token and its successors, against a real server over real sockets.

#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

mod common;

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use common::{SOON, ms, open};
use mintonce::Kind;
use scripted::{Refusal, Server, Token};
use tonic::Code;

#[tokio::test]
async fn a_pushed_successor_is_seen_without_a_call() {
    let server = Server::start();
    let source = open(&server).await;
    let mut updates = source.subscribe();
    let first = updates.next().await.unwrap();
    server.until_watches(1).await;
    server.publish(Token::new(2));
    assert_eq!(
        source
            .wait_until_updated(&first, SOON)
            .await
            .unwrap()
            .generation(),
        2
    );
    assert_eq!(updates.next().await.unwrap().generation(), 2);
    assert_eq!(source.token().unwrap().generation(), 2);
    assert_eq!(server.calls("GetToken"), 1);
}

#[tokio::test]
async fn without_watches_it_fetches_after_the_refresh_time() {
    let server = Server::start();
    server.refuse("WatchToken", Refusal::bare(Code::Unimplemented));
    server.serve(Token::new(1).lasting(ms(1200), ms(200)));
    let source = open(&server).await;
    let first = source.token().unwrap();
    server.serve(Token::new(2));
    assert_eq!(
        source
            .wait_until_updated(&first, SOON)
            .await
            .unwrap()
            .generation(),
        2
    );
    assert_eq!(server.calls("WatchToken"), 1);
}

#[tokio::test]
async fn a_lower_generation_counts_only_when_nothing_lives() {
    let server = Server::start();
    server.serve(Token::new(5).lasting(ms(700), ms(600)));
    let source = open(&server).await;
    let mut updates = source.subscribe();
    assert_eq!(updates.next().await.unwrap().generation(), 5);
    server.until_watches(1).await;
    server.publish(Token::new(3));
    assert_eq!(updates.next().await.unwrap().generation(), 3);
}

#[tokio::test]
async fn a_token_is_served_to_its_true_end_while_the_server_is_away() {
    let mut server = Server::start();
    server.serve(Token::new(1).lasting(ms(1500), ms(1400)));
    let source = open(&server).await;
    let token = source.token().unwrap();
    server.stop();
    while Instant::now() < token.expires_at() {
        match source.token() {
            Ok(token) => assert_eq!(token.generation(), 1),
            Err(error) => assert!(Instant::now() >= token.expires_at(), "too early: {error}"),
        }
        tokio::time::sleep(ms(10)).await;
    }
    let error = source.get().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::TokenExpired, "TOKEN_EXPIRED")
    );
    assert!(
        error.source().unwrap().to_string().contains("UNREACHABLE"),
        "{error:?}"
    );
    assert!(error.remedy().contains(&server.target()), "{error:#}");
    server.serve(Token::new(2));
    server.restart();
    let back = async {
        loop {
            if let Ok(token) = source.get().await {
                return token;
            }
            tokio::time::sleep(ms(20)).await;
        }
    };
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(6), back)
            .await
            .unwrap()
            .generation(),
        2
    );
}

#[tokio::test]
async fn a_drain_is_not_seen() {
    let server = Server::start();
    let source = open(&server).await;
    server.until_watches(1).await;
    server.drain();
    server.until_watches(0).await;
    assert_eq!(source.token().unwrap().generation(), 1);
    server.until_calls("WatchToken", 2).await;
    server.until_watches(1).await;
    let first = source.token().unwrap();
    server.publish(Token::new(2));
    assert_eq!(
        source
            .wait_until_updated(&first, SOON)
            .await
            .unwrap()
            .generation(),
        2
    );
}

#[tokio::test]
async fn fifty_who_wait_are_one_fetch() {
    let server = Server::start();
    server.refuse("WatchToken", Refusal::bare(Code::Unimplemented));
    // The fetch at the refresh time brings nothing newer, so the next one waits.
    server.serve(Token::new(1).lasting(ms(300), ms(290)));
    let source = open(&server).await;
    let expires_at = source.token().unwrap().expires_at();
    server.delay("GetToken", ms(400));
    tokio::time::sleep_until((expires_at + ms(20)).into()).await;
    server.serve(Token::new(2));
    let before = server.calls("GetToken");
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let source = source.clone();
                async move { source.get().await }
            })
        })
        .collect();
    for each in waiting {
        assert_eq!(each.await.unwrap().unwrap().generation(), 2);
    }
    assert!(
        server.calls("GetToken") <= before + 1,
        "{} and then {}",
        before,
        server.calls("GetToken")
    );
}

#[tokio::test]
async fn while_a_fetch_backs_off_a_read_fails_at_once_with_its_delay() {
    let server = Server::start();
    server.refuse("WatchToken", Refusal::bare(Code::Unimplemented));
    server.serve(Token::new(1).lasting(ms(300), ms(100)));
    let source = open(&server).await;
    let throttled =
        Refusal::of(Code::ResourceExhausted, "ISSUER_THROTTLED").retry_after(Duration::from_secs(60));
    server.refuse("GetToken", throttled);
    server.until_calls("GetToken", 2).await;
    tokio::time::sleep_until(
        (source.token().map_or(Instant::now(), |token| token.expires_at()) + ms(100)).into(),
    )
    .await;
    let calls = server.calls("GetToken");
    for _ in 0..100 {
        let error = source.get().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_after()),
            (Kind::TokenExpired, Some(Duration::from_secs(60)))
        );
    }
    assert_eq!(server.calls("GetToken"), calls);
}

#[tokio::test]
async fn life_counts_from_before_the_call() {
    let server = Server::start();
    server.serve(Token::new(1).lasting(Duration::from_secs(10), Duration::from_secs(5)));
    server.delay("GetToken", ms(500));
    let before = Instant::now();
    let token = open(&server).await.token().unwrap();
    assert!(
        token.expires_at() < before + Duration::from_secs(10) + ms(400),
        "{token:?}"
    );
    assert!(token.expires_in() <= ms(9500));
    assert!(token.is_live());
}
