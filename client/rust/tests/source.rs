//! What a source promises, against a real server over real sockets.

#![allow(clippy::format_push_string, clippy::unwrap_used)] // in tests, the short way is the clear one

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use mintonce::{Client, Kind, Origin, TokenSource};
use scripted::{Refusal, Server, Token};
use tonic::Code;

const SOON: Duration = Duration::from_secs(5);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

async fn open(server: &Server) -> TokenSource {
    let source = TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .no_bearer()
        .timeout(SOON)
        .open()
        .await;
    source.expect("the source opens")
}

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
