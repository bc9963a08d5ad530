//! Credentials from files, and how their changes are followed.

#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

use std::{fs, path::PathBuf, time::Duration};

use mintonce::{Client, Error, Kind, Tls, TokenKey, TokenSource};
use scripted::{
    Server,
    certificates::{Authority, Pair, server_config},
};
use tempfile::TempDir;

/// Longer than the time between two looks at the files.
const LOOKED: Duration = Duration::from_millis(1100);

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn pair(&self, pair: &Pair) -> (PathBuf, PathBuf) {
        (
            self.write("me.crt", &pair.certificate),
            self.write("me.key", &pair.key),
        )
    }
}

fn key() -> TokenKey {
    TokenKey::new("billing")
}

fn client(target: String, tls: Tls) -> Client {
    Client::builder()
        .target(target)
        .tls(tls)
        .no_bearer()
        .build()
        .unwrap()
}

fn localhost(server: &Server) -> String {
    format!("localhost:{}", server.port())
}

async fn error_of(client: Client) -> Error {
    client
        .with_timeout(Duration::from_secs(5))
        .get(&key())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn both_ends_show_a_certificate() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::start_tls(server_config(&authority.issue("localhost"), Some(&authority)));
    let (certificate, private) = files.pair(&authority.issue("billing"));
    let tls = Tls::new().ca_file(files.write("ca.pem", &authority.pem()));
    let both = tls.clone().certificate_file(&certificate).key_file(&private);
    client(localhost(&server), both).get(&key()).await.unwrap();
    assert!(server.requests()[0].showed_certificate);
    let one_file = files.write(
        "both.pem",
        &(fs::read_to_string(certificate).unwrap() + &fs::read_to_string(private).unwrap()),
    );
    client(localhost(&server), tls.clone().certificate_file(one_file))
        .get(&key())
        .await
        .unwrap();
    let error = error_of(client(localhost(&server), tls)).await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.remedy().contains("MINTONCE_CERTIFICATE_FILE"), "{error:#}");
}

#[tokio::test]
async fn a_wrong_transport_is_named() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::start_tls(server_config(&authority.issue("localhost"), None));
    let ca = files.write("ca.pem", &authority.pem());
    let other = files.write("other.pem", &Authority::new().pem());

    let error = error_of(client(localhost(&server), Tls::new().ca_file(&other))).await;
    assert_eq!((error.kind(), error.reason()), (Kind::Unreachable, "UNREACHABLE"));
    assert!(
        error.message().contains("not from a CA that this client trusts"),
        "{error:#}"
    );

    let error = error_of(client(server.target(), Tls::new().ca_file(&ca))).await;
    assert!(
        error.message().contains("for another name") && error.remedy().contains("MINTONCE_SERVER_NAME"),
        "{error:#}"
    );
    client(server.target(), Tls::new().ca_file(&ca).server_name("localhost"))
        .get(&key())
        .await
        .unwrap();

    let in_clear = Client::builder()
        .target(server.target())
        .no_tls()
        .build()
        .unwrap();
    let error = error_of(in_clear).await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(
        error.remedy().contains("TLS") && error.remedy().contains("MINTONCE_CA_FILE"),
        "{error:#}"
    );

    let clear = Server::start();
    let error = error_of(client(localhost(&clear), Tls::new().ca_file(&ca))).await;
    assert!(error.message().contains("does not speak TLS"), "{error:#}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_at_the_start() {
    let (authority, files) = (Authority::new(), Files::new());
    let (certificate, private) = files.pair(&authority.issue("billing"));
    let foreign = files.write("foreign.key", &authority.issue("other").key);
    let junk = files.write(
        "junk.pem",
        "-----BEGIN CERTIFICATE-----\nsecret junk\n-----END CERTIFICATE-----\n",
    );
    let encrypted = files.write(
        "encrypted.key",
        concat!(
            "-----BEGIN ENCRYPTED ",
            "PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
        ),
    );
    for tls in [
        Tls::new().ca_file("/no/such/file"),
        Tls::new().ca_file(files.0.path()),
        Tls::new().ca_file(&junk),
        Tls::new().ca_file(files.write("empty.pem", "")),
        Tls::new().certificate_file(&certificate),
        Tls::new().certificate_file(&certificate).key_file(&foreign),
        Tls::new().certificate_file(&certificate).key_file(&junk),
        Tls::new().certificate_file(&certificate).key_file(&encrypted),
    ] {
        let error = Client::builder()
            .target("localhost:1")
            .tls(tls.clone())
            .build()
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (Kind::Refused, "CREDENTIALS"),
            "{tls:?}"
        );
        assert!(error.remedy().contains("openssl pkcs8"), "{error:#}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let error = Client::builder()
        .tls(Tls::new().key_file(private))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test]
async fn a_new_certificate_gets_a_new_connection_and_the_watch_goes_on() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::start_tls(server_config(&authority.issue("localhost"), Some(&authority)));
    let (certificate, private) = files.pair(&authority.issue("billing"));
    let ca = files.write("ca.pem", &authority.pem());
    let client = client(
        localhost(&server),
        Tls::new()
            .ca_file(ca)
            .certificate_file(certificate)
            .key_file(&private),
    );
    let source = TokenSource::builder("billing")
        .client(&client)
        .open()
        .await
        .unwrap();
    server.until_watches(1).await;
    files.pair(&authority.issue("billing"));
    tokio::time::sleep(LOOKED).await;
    client.get(&key()).await.unwrap();
    let connections: Vec<_> = server
        .requests()
        .into_iter()
        .map(|each| (each.method, each.connection))
        .collect();
    assert_eq!(connections, [("GetToken", 1), ("WatchToken", 1), ("GetToken", 2)]);
    let first = source.token().unwrap();
    server.publish(scripted::Token::new(2));
    assert_eq!(
        source
            .wait_until_updated(&first, Duration::from_secs(5))
            .await
            .unwrap()
            .generation(),
        2
    );
    fs::write(private, "broken").unwrap();
    tokio::time::sleep(LOOKED).await;
    client.get(&key()).await.unwrap();
    assert_eq!(server.requests().last().unwrap().connection, 2);
}

#[tokio::test]
async fn a_bearer_is_sent_and_a_new_one_with_the_next_call() {
    let (server, files) = (Server::start(), Files::new());
    let path = files.write("token", "first.bearer\n");
    let client = Client::builder()
        .target(server.target())
        .no_tls()
        .bearer_file(&path)
        .build()
        .unwrap();
    client.get(&key()).await.unwrap();
    fs::write(&path, "second.bearer").unwrap();
    tokio::time::sleep(LOOKED).await;
    client.get(&key()).await.unwrap();
    fs::write(&path, "two words").unwrap();
    tokio::time::sleep(LOOKED).await;
    client.get(&key()).await.unwrap();
    let sent: Vec<_> = server
        .requests()
        .into_iter()
        .map(|each| each.metadata["authorization"].clone())
        .collect();
    assert_eq!(
        sent,
        [
            "Bearer first.bearer",
            "Bearer second.bearer",
            "Bearer second.bearer"
        ]
    );
    assert!(!format!("{client:?}").contains("bearer"));
}

#[tokio::test]
async fn a_bearer_does_not_travel_in_clear() {
    let files = Files::new();
    let path = files.write("token", "the.bearer");
    let error = Client::builder()
        .target("mintonce.example:1")
        .no_tls()
        .bearer_file(&path)
        .build()
        .unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, "CREDENTIALS"));
    assert!(
        error.message().contains("mintonce.example:1") && !format!("{error:?}").contains("the.bearer"),
        "{error:?}"
    );
    Client::builder()
        .target("mintonce.example:1")
        .tls(Tls::new().ca_file(files.write("ca", &Authority::new().pem())))
        .api_key_file(&path)
        .build()
        .unwrap();
}
