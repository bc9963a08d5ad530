//! Follows a token: prints each generation and how long it lives, never the token itself. The line `reject` on stdin
//! rejects the token, as a program does after an API answered 401; the end of stdin ends it.
//!
//!     MINTONCE_TARGET=127.0.0.1:50051 cargo run -- CLIENT [AUDIENCE]

use std::time::Duration;

use mintonce::TokenSource;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let client = arguments.next().ok_or("usage: mintonce-example CLIENT [AUDIENCE]")?;
    let source = TokenSource::builder(client)
        .audience(arguments.next().unwrap_or_default())
        .wait_for_server(Duration::from_secs(30))
        .open()
        .await?;
    let mut updates = source.subscribe();
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            Some(token) = updates.next() => {
                println!("generation {}: {} s left", token.generation(), token.expires_in().as_secs());
            }
            line = lines.next_line() => match line? {
                Some(line) if line.trim() == "reject" => match source.reject(&source.get().await?).await {
                    Ok(successor) => println!("rejected; now generation {}", successor.generation()),
                    Err(error) => println!("not rejected: {error:#}"),
                },
                Some(_) => {}
                None => break,
            },
        }
    }
    source.shutdown().await;
    Ok(())
}
