//! Single calls: errors, retries, deadlines.

#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

use std::time::{Duration, Instant};

use mintonce::{Client, Kind, ListTokens, Rejected, TokenKey};
use scripted::{Refusal, Server, Token};
use tonic::Code;

fn client(server: &Server) -> Client {
    Client::builder()
        .target(server.target())
        .no_tls()
        .no_bearer()
        .build()
        .unwrap()
}

fn key() -> TokenKey {
    TokenKey::new("billing")
}

#[tokio::test]
async fn a_token_is_rejected_by_generation_or_by_its_sha256() {
    let server = Server::start();
    let client = client(&server);
    let token = client.get(&key()).await.unwrap();
    assert!(client.reject(&key(), &token).await.unwrap());
    client.reject(&key(), Rejected::Generation(7)).await.unwrap();
    client
        .reject(&key(), Rejected::AccessTokenSha256(token.fingerprint()))
        .await
        .unwrap();
    let rejections: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|each| each.method == "RejectToken")
        .collect();
    assert_eq!(rejections[0].generation, Some(1));
    assert_eq!(rejections[1].generation, Some(7));
    assert_eq!(rejections[2].sha256, Some(token.fingerprint().to_vec()));
}

#[tokio::test]
async fn a_watch_gives_the_live_token_and_its_successors() {
    let server = Server::start();
    let client = client(&server);
    let mut watch = client.watch(&key()).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().generation(), 1);
    server.publish(Token::new(2));
    assert_eq!(watch.message().await.unwrap().unwrap().generation(), 2);
    server.drain();
    let error = watch.message().await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, "DRAINING"));
    let mut limited = client
        .watch_for(&key(), Duration::from_millis(200))
        .await
        .unwrap();
    limited.message().await.unwrap();
    assert_eq!(
        limited.message().await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
    drop(limited);
    server.until_watches(0).await;
}

#[tokio::test]
async fn operators_list_and_rotate() {
    let server = Server::start();
    let client = client(&server);
    let page = client
        .list_tokens(&ListTokens::all().client("billing").page_size(1))
        .await
        .unwrap();
    assert_eq!(
        (page.tokens[0].generation, page.next_page_token.as_str()),
        (7, "more")
    );
    let last = client
        .list_tokens(&ListTokens::all().page_token(page.next_page_token))
        .await
        .unwrap();
    assert_eq!(last.next_page_token, "");
    assert_eq!(client.rotate(&key()).await.unwrap().generation, 2);
    assert_eq!(
        client
            .list_tokens(&ListTokens::all().page_size(u32::MAX))
            .await
            .unwrap_err()
            .kind(),
        Kind::Refused
    );
}

#[tokio::test]
async fn errors_are_classed_by_their_reason_and_else_by_their_code() {
    let server = Server::start();
    let client = client(&server);
    let cases = [
        (
            Refusal::of(Code::PermissionDenied, "PERMISSION_DENIED"),
            Kind::Refused,
            "PERMISSION_DENIED",
        ),
        (
            Refusal::of(Code::FailedPrecondition, "ISSUER_REFUSED"),
            Kind::Refused,
            "ISSUER_REFUSED",
        ),
        (
            Refusal::of(Code::ResourceExhausted, "ROTATION_TOO_SOON"),
            Kind::Unavailable,
            "ROTATION_TOO_SOON",
        ),
        (
            Refusal::of(Code::DeadlineExceeded, "WAIT_TIMED_OUT"),
            Kind::Unavailable,
            "WAIT_TIMED_OUT",
        ),
        (Refusal::of(Code::Internal, "INTERNAL"), Kind::Other, "INTERNAL"),
        // A reason of a later version.
        (
            Refusal::of(Code::Unavailable, "QUOTA_PAUSED"),
            Kind::Unavailable,
            "QUOTA_PAUSED",
        ),
        (
            Refusal::of(Code::Aborted, "QUOTA_PAUSED"),
            Kind::Unavailable,
            "QUOTA_PAUSED",
        ),
        (
            Refusal::of(Code::NotFound, "QUOTA_PAUSED"),
            Kind::Refused,
            "QUOTA_PAUSED",
        ),
        (
            Refusal::of(Code::DataLoss, "QUOTA_PAUSED"),
            Kind::Other,
            "QUOTA_PAUSED",
        ),
        // Without details, or with those of another domain.
        (
            Refusal::bare(Code::Unauthenticated),
            Kind::Refused,
            "UNAUTHENTICATED",
        ),
        (
            Refusal::bare(Code::ResourceExhausted),
            Kind::Unavailable,
            "RESOURCE_EXHAUSTED",
        ),
        (
            Refusal::bare(Code::DeadlineExceeded),
            Kind::Unavailable,
            "DEADLINE_EXCEEDED",
        ),
        (Refusal::bare(Code::Unknown), Kind::Other, "UNKNOWN"),
        (
            Refusal::bare(Code::Cancelled).pushback("-1"),
            Kind::Other,
            "CANCELLED",
        ),
        (
            Refusal::bare(Code::NotFound).info("example.com", "UNKNOWN_CLIENT"),
            Kind::Refused,
            "NOT_FOUND",
        ),
        // Details that are none.
        (
            Refusal::bare(Code::Internal).raw_details(b"\xff\xff\xff\xff"),
            Kind::Other,
            "INTERNAL",
        ),
        (
            Refusal::bare(Code::NotFound).raw_details(b"\x0a"),
            Kind::Refused,
            "NOT_FOUND",
        ),
    ];
    for (refusal, kind, reason) in cases {
        server.refuse_next("GetToken", [refusal]);
        let error = client.get(&key()).await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (kind, reason), "{error:?}");
        assert!(!error.message().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_not_seen() {
    let server = Server::start();
    let client = client(&server);
    server.refuse_next(
        "GetToken",
        [
            Refusal::bare(Code::Unavailable),
            Refusal::of(Code::Unavailable, "DRAINING"),
        ],
    );
    assert_eq!(client.get(&key()).await.unwrap().generation(), 1);
    assert_eq!(server.calls("GetToken"), 3);
}

#[tokio::test]
async fn what_the_server_cancels_is_repeated_and_never_closed() {
    let server = Server::start();
    let client = client(&server);
    server.refuse_next(
        "GetToken",
        [Refusal::bare(Code::Cancelled), Refusal::bare(Code::Cancelled)],
    );
    assert_eq!(client.get(&key()).await.unwrap().generation(), 1);
    assert_eq!(server.calls("GetToken"), 3);
    server.refuse("GetToken", Refusal::bare(Code::Cancelled));
    server.refuse("WatchToken", Refusal::bare(Code::Cancelled).pushback("-1"));
    for error in [
        client.get(&key()).await.unwrap_err(),
        client.watch(&key()).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.reason()), (Kind::Other, "CANCELLED"));
        assert_eq!(error.code(), Code::Cancelled);
    }
    assert_eq!(server.calls("GetToken"), 7);
}

#[tokio::test]
async fn retries_end_after_four_attempts_and_at_a_pushback() {
    let server = Server::start();
    server.refuse("GetToken", Refusal::bare(Code::Unavailable));
    let error = client(&server).get(&key()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(server.calls("GetToken"), 4);
    server.refuse("GetToken", Refusal::of(Code::Unavailable, "ISSUER_UNAVAILABLE"));
    assert_eq!(
        client(&server).get(&key()).await.unwrap_err().reason(),
        "ISSUER_UNAVAILABLE"
    );
    assert_eq!(server.calls("GetToken"), 5);
    server.refuse("RotateToken", Refusal::bare(Code::Unavailable));
    client(&server).rotate(&key()).await.unwrap_err();
    assert_eq!(server.calls("RotateToken"), 1);
}

#[tokio::test]
async fn a_positive_pushback_delays_the_retry() {
    let server = Server::start();
    server.refuse_next("GetToken", [Refusal::bare(Code::Unavailable).pushback("700")]);
    let started_at = Instant::now();
    client(&server).get(&key()).await.unwrap();
    assert!(started_at.elapsed() >= Duration::from_millis(700));
    assert_eq!(server.calls("GetToken"), 2);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let server = Server::start();
    server.delay("GetToken", Duration::from_secs(60));
    let started_at = Instant::now();
    let error = client(&server)
        .with_timeout(Duration::from_millis(300))
        .get(&key())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::Unavailable, "DEADLINE_EXCEEDED")
    );
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert!(started_at.elapsed() < Duration::from_millis(800));
    assert!(server.requests()[0].metadata.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn closing_ends_what_is_under_way() {
    let server = Server::start();
    let client = client(&server);
    server.delay("GetToken", Duration::from_secs(60));
    let mut watch = client.watch(&key()).await.unwrap();
    watch.message().await.unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get(&key()).await }
    });
    server.until_calls("GetToken", 1).await;
    client.close();
    client.close();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::Closed);
    assert_eq!(watch.message().await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(client.get(&key()).await.unwrap_err().reason(), "CLOSED");
    assert_eq!(client.watch(&key()).await.unwrap_err().reason(), "CLOSED");
}

#[tokio::test]
async fn what_is_unknown_is_accepted() {
    let server = Server::start();
    let mut token = Token::new(1);
    token.origin = 99;
    token.token_type = "bearer";
    server.serve(token.clone());
    let got = client(&server).get(&key()).await.unwrap();
    assert_eq!(
        (got.origin(), got.header_value().to_str().unwrap()),
        (mintonce::Origin::Unknown, "Bearer secret-1")
    );
    token.token_type = "DPoP";
    server.serve(token);
    assert_eq!(
        client(&server).get(&key()).await.unwrap().header_value(),
        "DPoP secret-1"
    );
}
