//! A process that is stopped past a token's end: the first read after that must know.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in tests, the short way is the clear one

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use mintonce::{Kind, TokenSource};
use scripted::{Server, Token};
use tokio::runtime;

/// Longer than the last second, in which reads take another clock.
const LIFE: Duration = Duration::from_secs(2);
/// Makes the test's program the reader that the test stops.
const TARGET_OF_READER: &str = "TEST_TARGET_OF_READER";
const READING: &str = "reading";

#[test]
fn a_stopped_process_serves_nothing_expired() {
    if let Ok(target) = env::var(TARGET_OF_READER) {
        read_past_the_end(&target);
        return;
    }
    let server = Server::start();
    server.serve(Token::new(1).lasting(LIFE, LIFE));
    let mut reader = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "a_stopped_process_serves_nothing_expired",
            "--nocapture",
        ])
        .env(TARGET_OF_READER, server.target())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(reader.stdout.take().unwrap());
    let mut said = String::new();
    while !said.ends_with(&format!("{READING}\n")) {
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "{said}");
    }
    signal("STOP", reader.id());
    sleep(LIFE + Duration::from_millis(200)); // the token's end comes while it is stopped
    signal("CONT", reader.id());
    output.read_to_string(&mut said).unwrap();
    assert!(reader.wait().unwrap().success(), "{said}");
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Reads without a pause until the token is over. Nothing else runs meanwhile: no successor comes.
#[allow(clippy::print_stdout)] // the test waits for it
fn read_past_the_end(target: &str) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let source = TokenSource::builder("billing")
        .target(target)
        .no_tls()
        .no_bearer()
        .open();
    let source = runtime.block_on(source).unwrap();
    let end = source.token().unwrap().expires_at();
    println!("\n{READING}");
    let (mut early, mut late) = (0_u64, 0_u64);
    loop {
        let before = Instant::now();
        match source.token() {
            Ok(_) if before < end => early += 1,
            Ok(_) => late += 1,
            Err(error) => {
                assert_eq!(error.kind(), Kind::TokenExpired);
                break;
            }
        }
    }
    assert!(early > 0, "it was not reading before");
    assert_eq!(late, 0, "an expired token was served");
}
