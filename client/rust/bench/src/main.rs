//! Prints what a read of a live token costs, as one line of JSON.

use std::{error::Error, hint::black_box, io::Write, time::Instant};

use mintonce::TokenSource;
use scripted::Server;

const READS: u32 = 20_000_000;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start();
    let source = TokenSource::builder("billing")
        .target(server.target())
        .no_tls()
        .no_bearer()
        .open()
        .await?;
    let source_read = best(|| {
        black_box(source.token().is_ok());
    });
    // For comparison: what a read would cost at least with the standard library's clock.
    let clock = best(|| {
        black_box(Instant::now());
    });
    let line = serde_json::json!({
        "language": "rust",
        "read_ns": source_read,
        "peer": null,
        "clock_ns": clock,
    });
    writeln!(std::io::stdout(), "{line}")?;
    source.shutdown().await;
    Ok(())
}

/// Nanoseconds of the best of several rounds: the others were disturbed.
fn best(mut read: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let started_at = Instant::now();
        for _ in 0..READS {
            read();
        }
        started_at.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
    });
    (rounds.fold(f64::INFINITY, f64::min) * 10.0).round() / 10.0
}
