//! The calls of mintonced.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration, time::Instant};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tonic::{Request, Status, Streaming};

use crate::{
    Error, Result, Tls, Token, TokenKey, Watch,
    admin::{ListTokens, Rotation, TokenPage},
    connection::{Choice, Connection},
    pb::{self, admin_service_client::AdminServiceClient, token_service_client::TokenServiceClient},
    retry::{Attempts, Policy, Throttle},
    translate::{deadline_exceeded, translate},
    wire::Wire,
};

/// As long as the server allows a mint to take.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Every wait has an end, and gRPC's header for it has room for no more.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A connection to mintonced, for single calls. A clone shares it.
///
/// To send one token again and again, use a [`TokenSource`](crate::TokenSource): it reads memory where [`get`](Self::get)
/// makes a call. All calls must be made in a Tokio runtime with time and I/O enabled; those that are dropped end at the
/// server, too.
///
/// ```no_run
/// # async fn example() -> mintonce::Result<()> {
/// use mintonce::{Client, TokenKey};
///
/// let client = Client::builder().target("mintonce:50051").build()?;
/// let token = client.get(&TokenKey::new("billing")).await?;
/// println!("{:?} are left", token.expires_in());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    timeout: Duration,
}

struct Inner {
    connection: Connection,
    throttle: Throttle,
    closed: watch::Sender<bool>,
}

/// How to reach the server. What is not said, the environment says: see the README's section "Connection and credentials".
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    pub(crate) target: Option<String>,
    pub(crate) tls: Choice<Tls>,
    pub(crate) bearer: Choice<PathBuf>,
    pub(crate) timeout: Option<Duration>,
}

/// Which token an API refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// By its generation.
    Generation(i64),
    /// By the SHA-256 of its text, for callers that do not know the generation.
    AccessTokenSha256([u8; 32]),
}

impl From<&Token> for Rejected {
    fn from(token: &Token) -> Self {
        Self::Generation(token.generation())
    }
}

impl ClientBuilder {
    /// `HOST:PORT`, `dns:///HOST:PORT`, `ipv4:ADDRESS:PORT` (several with commas), `ipv6:[ADDRESS]:PORT` or `unix:PATH`.
    /// Default: `MINTONCE_TARGET`, or `127.0.0.1:50051`.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Speak TLS. Default: as `MINTONCE_CA_FILE`, `_CERTIFICATE_FILE`, `_KEY_FILE`, `_SERVER_NAME` and `_TLS` say; else in
    /// clear.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Choice::Yes(tls);
        self
    }

    /// Speak in clear, whatever the environment says.
    pub fn no_tls(mut self) -> Self {
        self.tls = Choice::No;
        self
    }

    /// A file that holds a bearer token and nothing else: a JWT, such as a projected token of Kubernetes. It is sent only
    /// over TLS, a Unix socket or loopback. Default: as `MINTONCE_BEARER_FILE` or `MINTONCE_API_KEY_FILE` says.
    pub fn bearer_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bearer = Choice::Yes(path.into());
        self
    }

    /// A file that holds an API key of mintonced and nothing else. As [`bearer_file`](Self::bearer_file).
    pub fn api_key_file(self, path: impl Into<PathBuf>) -> Self {
        self.bearer_file(path)
    }

    /// Send no bearer, whatever the environment says.
    pub fn no_bearer(mut self) -> Self {
        self.bearer = Choice::No;
        self
    }

    /// How long a call may take, retries included. Default: 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Reads the credentials; the first call connects.
    ///
    /// Fails with `CREDENTIALS` if they cannot be used, or must not be sent to that target.
    pub fn build(self) -> Result<Client> {
        let environment = |name: &str| std::env::var_os(name);
        let connection = Connection::new(self.target.as_deref(), self.tls, self.bearer, &environment)?;
        Ok(Client {
            inner: Arc::new(Inner {
                connection,
                throttle: Throttle::new(),
                closed: watch::Sender::new(false),
            }),
            timeout: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
        })
    }
}

impl Client {
    /// How to reach the server.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The same connection with another time that a call may take.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            inner: self.inner.clone(),
            timeout,
        }
    }

    /// Where the server is, as it was said.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.inner.connection.link().target.text
    }

    /// The live token of a key, minted if there is none.
    pub async fn get(&self, key: &TokenKey) -> Result<Token> {
        self.get_token(key, None).await
    }

    /// As [`get`](Self::get); a token with less life than `min_ttl` is replaced first. The server honours at most half of
    /// a token's life.
    pub async fn get_with_min_ttl(&self, key: &TokenKey, min_ttl: Duration) -> Result<Token> {
        let min_ttl = prost_types::Duration::try_from(min_ttl).map_err(|_| {
            Error::invalid("the min_ttl is out of range").with_remedy("Give at most ten thousand years.")
        })?;
        self.get_token(key, Some(min_ttl)).await
    }

    async fn get_token(&self, key: &TokenKey, min_ttl: Option<prost_types::Duration>) -> Result<Token> {
        let request = pb::GetTokenRequest {
            key: Some(key.to_message()),
            min_ttl,
        };
        let (response, sent_at) = self
            .call(Policy::Repeat, &request, |wire, request| async move {
                Ok(TokenServiceClient::new(wire)
                    .get_token(request)
                    .await?
                    .into_inner())
            })
            .await?;
        Token::from_message(response.token, sent_at)
    }

    /// The live token, then each successor as it is committed, without an end of its own.
    ///
    /// Returns when the live token is here; the timeout does not count. The watch ends with an error when the server
    /// drains or is lost. A [`TokenSource`](crate::TokenSource) goes on by itself.
    pub async fn watch(&self, key: &TokenKey) -> Result<Watch> {
        self.watch_within(key, None).await
    }

    /// As [`watch`](Self::watch), and it ends with `DEADLINE_EXCEEDED` after `limit`.
    pub async fn watch_for(&self, key: &TokenKey, limit: Duration) -> Result<Watch> {
        self.watch_within(key, Some(limit)).await
    }

    async fn watch_within(&self, key: &TokenKey, limit: Option<Duration>) -> Result<Watch> {
        let started_at = tokio::time::Instant::now();
        let limit = limit.map(|limit| limit.min(LONGEST_TIMEOUT));
        let request = pb::WatchTokenRequest {
            key: Some(key.to_message()),
        };
        let opening = self.attempts(Policy::Repeat, limit, &request, |wire, request| async move {
            // The channel closes when it is let go: the watch keeps it.
            let mut stream: Streaming<_> = TokenServiceClient::new(wire.clone())
                .watch_token(request)
                .await?
                .into_inner();
            let first = stream.message().await?;
            Ok((stream, first, wire))
        });
        let ((stream, first, wire), sent_at) = self.until_closed(limit, opening).await?;
        let first = first
            .map(|first| Token::from_message(first.token, sent_at))
            .transpose()?;
        let closed = self.inner.closed.subscribe();
        let link = self.inner.connection.link().clone();
        Ok(Watch::new(
            stream,
            first,
            limit.map(|limit| started_at + limit),
            closed,
            link,
            wire,
        ))
    }

    /// Report that an API refused a token: `&token`, its generation, or the SHA-256 of its text.
    ///
    /// True: it was the current token and is not served any more. False: it had been replaced before. Does not mint: the
    /// next [`get`](Self::get) does.
    pub async fn reject(&self, key: &TokenKey, rejected: impl Into<Rejected>) -> Result<bool> {
        let rejected = match rejected.into() {
            Rejected::Generation(generation) => pb::reject_token_request::Rejected::Generation(generation),
            Rejected::AccessTokenSha256(digest) => {
                pb::reject_token_request::Rejected::AccessTokenSha256(digest.to_vec())
            }
        };
        let request = pb::RejectTokenRequest {
            key: Some(key.to_message()),
            rejected: Some(rejected),
        };
        let (response, _) = self
            .call(Policy::Repeat, &request, |wire, request| async move {
                Ok(TokenServiceClient::new(wire)
                    .reject_token(request)
                    .await?
                    .into_inner())
            })
            .await?;
        Ok(response.was_current)
    }

    /// A page of the live tokens, never their text. For operators.
    pub async fn list_tokens(&self, which: &ListTokens) -> Result<TokenPage> {
        let request = which.to_message()?;
        let (response, _) = self
            .call(Policy::Repeat, &request, |wire, request| async move {
                Ok(AdminServiceClient::new(wire)
                    .list_tokens(request)
                    .await?
                    .into_inner())
            })
            .await?;
        Ok(TokenPage::from_message(response))
    }

    /// Mint the successor of a key's token now. The old one is served until then. For operators; never repeated by itself.
    pub async fn rotate(&self, key: &TokenKey) -> Result<Rotation> {
        let request = pb::RotateTokenRequest {
            key: Some(key.to_message()),
        };
        let (response, _) = self
            .call(Policy::Once, &request, |wire, request| async move {
                Ok(AdminServiceClient::new(wire)
                    .rotate_token(request)
                    .await?
                    .into_inner())
            })
            .await?;
        Ok(Rotation::from_message(&response))
    }

    /// End what is under way, for all clones: it fails with `CLOSED`, as each later call does. Dropping the last clone
    /// closes the connection, too.
    pub fn close(&self) {
        self.inner.closed.send_replace(true);
        self.inner.connection.close();
    }

    async fn call<M, T, F>(
        &self,
        policy: Policy,
        message: &M,
        send: impl Fn(Wire, Request<M>) -> F,
    ) -> Result<(T, Instant)>
    where
        M: Clone,
        F: Future<Output = Result<T, Status>>,
    {
        let limit = Some(self.timeout.min(LONGEST_TIMEOUT));
        self.until_closed(limit, self.attempts(policy, limit, message, send))
            .await
    }

    /// Send the message until it is answered or the policy says that it is enough. With the answer comes the time just
    /// before it was asked for.
    async fn attempts<M, T, F>(
        &self,
        policy: Policy,
        limit: Option<Duration>,
        message: &M,
        send: impl Fn(Wire, Request<M>) -> F,
    ) -> Result<(T, Instant)>
    where
        M: Clone,
        F: Future<Output = Result<T, Status>>,
    {
        let started_at = Instant::now();
        let mut attempts = Attempts::new(policy);
        loop {
            let (wire, bearer) = self.inner.connection.line().await;
            let mut request = Request::new(message.clone());
            if let Some(bearer) = bearer {
                request.metadata_mut().insert("authorization", bearer);
            }
            let sent_at = Instant::now();
            if let Some(limit) = limit {
                request.set_timeout(limit.saturating_sub(sent_at - started_at));
            }
            let status = match send(wire, request).await {
                Ok(answer) => {
                    self.inner.throttle.succeeded();
                    return Ok((answer, sent_at));
                }
                Err(status) => status,
            };
            let delay = attempts.next_after(&status, &self.inner.throttle);
            // A delay beyond the deadline would hide the error behind it.
            match delay.filter(|delay| limit.is_none_or(|limit| started_at.elapsed() + *delay < limit)) {
                Some(delay) => sleep(delay).await,
                None => return Err(translate(&status, self.inner.connection.link())),
            }
        }
    }

    async fn until_closed<T>(
        &self,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut closed = self.inner.closed.subscribe();
        let limited = async {
            match limit {
                Some(limit) => timeout(limit, work)
                    .await
                    .unwrap_or_else(|_| Err(deadline_exceeded(self.inner.connection.link()))),
                None => work.await,
            }
        };
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(Error::closed("client")),
            done = limited => done,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.target())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
