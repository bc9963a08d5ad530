//! Asks the crate `oauth2` for a token for each line on stdin, and prints a line of JSON.
//!
//! First {"ready": true}; then {"sha256": the first 16 hex digits of the token's SHA-256}, or
//! {"error": what the user of the SDK sees, "leak": whether printing it would show the secret}. Never a token. The crate keeps no token.

use std::env::var;
use std::error::Error;
use std::io::stdin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oauth2::basic::BasicClient;
use oauth2::reqwest::{blocking, redirect};
use oauth2::{ClientId, ClientSecret, TokenResponse, TokenUrl};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let (id, secret, audience) = (var("SDK_CLIENT_ID")?, var("SDK_CLIENT_SECRET")?, var("SDK_AUDIENCE")?);
    let client = BasicClient::new(ClientId::new(id.clone()))
        .set_client_secret(ClientSecret::new(secret.clone()))
        .set_token_uri(TokenUrl::new(var("SDK_TOKEN_URL")?)?);
    // As the crate's documentation has it: no redirects.
    let http = blocking::Client::builder().redirect(redirect::Policy::none()).build()?;
    println!("{}", json!({"ready": true}));
    for line in stdin().lines() {
        line?;
        let asked = client.exchange_client_credentials().add_extra_param("audience", &audience).request(&http);
        let said = match asked {
            Ok(token) => json!({"sha256": beginning(token.access_token().secret())}),
            Err(error) => told(&error, &id, &secret),
        };
        println!("{said}");
    }
    Ok(())
}

fn beginning(token: &str) -> String {
    Sha256::digest(token).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The error and what caused it.
fn told(error: &dyn Error, id: &str, secret: &str) -> Value {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    let printed = format!("{error:?}");
    let leak = printed.contains(secret) || printed.contains(&STANDARD.encode(format!("{id}:{secret}")));
    json!({"error": text, "leak": leak})
}
