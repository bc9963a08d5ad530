//! Where connections lead, and what becomes of calls when they end.

#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

use std::time::Duration;

use mintonce::{Client, Kind, TokenKey};
use scripted::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

fn client(target: impl Into<String>) -> Client {
    let client = Client::builder().target(target).no_tls().no_bearer();
    client.timeout(Duration::from_secs(5)).build().unwrap()
}

/// A client of a name with two addresses.
fn client_of(one: &Server, other: &Server) -> Client {
    client(format!("ipv4:{},{}", one.target(), other.target()))
}

fn key() -> TokenKey {
    TokenKey::new("billing")
}

#[tokio::test]
async fn a_unix_socket_is_a_target() {
    let folder = std::env::temp_dir().join(format!("mintonce-unix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let server = Server::start_unix(folder.join("socket"));
    assert_eq!(client(server.target()).get(&key()).await.unwrap().generation(), 1);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let mut gone = Server::start();
    gone.stop();
    let server = Server::start();
    let client = client_of(&gone, &server);
    assert_eq!(client.get(&key()).await.unwrap().generation(), 1);
}

#[tokio::test]
async fn calls_use_all_replicas_in_turn() {
    let (one, other) = (Server::start(), Server::start());
    let client = client_of(&one, &other);
    for _ in 0..4 {
        client.get(&key()).await.unwrap();
    }
    assert_eq!((one.calls("GetToken"), other.calls("GetToken")), (2, 2));
}

#[tokio::test]
async fn a_replica_that_has_gone_is_left() {
    let (one, other) = (Server::start(), Server::start());
    let client = client_of(&one, &other);
    for _ in 0..2 {
        client.get(&key()).await.unwrap();
    }
    drop(one);
    for _ in 0..6 {
        client.get(&key()).await.unwrap();
    }
    assert!(other.calls("GetToken") >= 6);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_made_again() {
    let mut server = Server::start();
    let client = client(server.target());
    client.get(&key()).await.unwrap();
    server.stop();
    server.restart();
    assert_eq!(client.get(&key()).await.unwrap().generation(), 1);
    let mut watch = client.watch(&key()).await.unwrap();
    watch.message().await.unwrap();
    server.stop();
    let error = watch.message().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Unreachable, Code::Unavailable)
    );
}

#[tokio::test]
async fn an_end_that_speaks_something_else_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                    .await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    let error = client(target).get(&key()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.message().contains("does not speak gRPC"), "{error:#}");
}
