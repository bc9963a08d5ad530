//! Calls Mintonce with nothing but tonic and the generated stubs, as a program without our client does. The environment
//! names the server and the files of its own certificate; see conformance/README.md, "Strangers".

use std::{env, error::Error, fmt, fmt::Write as _, fs, io, io::Write as _, time::Duration};

use sha2::{Digest as _, Sha256};
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic_types::StatusExt as _;

#[allow(
    clippy::pedantic,
    clippy::all,
    dead_code,
    unreachable_pub,
    unused_qualifications
)]
mod pb {
    include!("../../../src/generated/mintonce.v1.rs");
}

use pb::reject_token_request::Rejected;
use pb::token_service_client::TokenServiceClient;
use pb::{GetTokenRequest, RejectTokenRequest, Token, TokenKey, WatchTokenRequest};

/// The generated code leaves it out, so that no token is printed by mistake.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let said = tokio::time::timeout(Duration::from_secs(20), ask(connect().await?)).await??;
    writeln!(io::stdout(), "{said}")?;
    Ok(())
}

async fn connect() -> Result<TokenServiceClient<Channel>, Box<dyn Error>> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(file("CA_FILE")?))
        .identity(Identity::from_pem(file("CERTIFICATE_FILE")?, file("KEY_FILE")?));
    let target = format!("https://{}", env::var("TARGET")?);
    let channel = Channel::from_shared(target)?.tls_config(tls)?.connect().await?;
    Ok(TokenServiceClient::new(channel))
}

async fn ask(mut service: TokenServiceClient<Channel>) -> Result<serde_json::Value, Box<dyn Error>> {
    let key = TokenKey {
        client: env::var("CLIENT")?,
        audience: env::var("AUDIENCE")?,
        ..TokenKey::default()
    };
    let get = |key: &TokenKey| GetTokenRequest {
        key: Some(key.clone()),
        ..GetTokenRequest::default()
    };
    let token = service.get_token(get(&key)).await?.into_inner().token;
    let mut watch = service
        .watch_token(WatchTokenRequest {
            key: Some(key.clone()),
        })
        .await?
        .into_inner();
    let watched = watch.message().await?.and_then(|first| first.token);
    let nobody = TokenKey {
        client: "nobody".into(),
        ..key.clone()
    };
    let refused = match service.get_token(get(&nobody)).await {
        Ok(_) => "OK".to_owned(),
        Err(status) => reason(&status),
    };
    let rejected = service
        .reject_token(RejectTokenRequest {
            key: Some(key.clone()),
            rejected: token.as_ref().map(|token| Rejected::Generation(token.generation)),
        })
        .await?
        .into_inner()
        .was_current;
    let successor = service.get_token(get(&key)).await?.into_inner().token;
    Ok(serde_json::json!({
        "token": digest(token), "watched": digest(watched), "refused": refused, "rejected": rejected,
        "successor": digest(successor),
    }))
}

/// What the details of the status say, such as `UNKNOWN_CLIENT`; else the code.
fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

fn digest(token: Option<Token>) -> String {
    let text = token.map_or_else(String::new, |token| token.access_token);
    Sha256::digest(text).iter().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    })
}

fn file(name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(fs::read(env::var(name)?)?)
}
