//! A token that is always at hand.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    Client, ClientBuilder, Error, Kind, Result, Tls, Token, TokenKey,
    client::DEFAULT_TIMEOUT,
    clock,
    follower::{Follower, backoff},
    jitter,
    shared::Shared,
    worker,
};

/// One key's token, kept up to date by a task of the source's own.
///
/// It is open when the first token is here. From then on [`token`](Self::token) and [`get`](Self::get) read memory: no
/// call, no lock. The server may restart or be away: the token is served until its life ends.
///
/// A clone shares the source. Dropping the last one ends the task; [`shutdown`](Self::shutdown) also waits for its end.
/// All futures are cancel-safe: dropping one gives up a wait, and nothing else.
///
/// ```no_run
/// # async fn example() -> mintonce::Result<()> {
/// use mintonce::TokenSource;
///
/// let source = TokenSource::builder("billing").audience("https://api.example.com/").open().await?;
/// let token = source.token()?;
/// println!("{:?} are left", token.expires_in());
/// source.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenSource {
    shared: Arc<Shared>,
    timeout: Duration,
    task: Arc<Task>,
}

/// Ends with the last handle.
struct Task {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
    abort: tokio::task::AbortHandle,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.shared.close();
        self.abort.abort();
    }
}

/// What a source is for, and how it reaches the server. What is not said about the latter, the environment says.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenSourceBuilder {
    key: TokenKey,
    options: ClientBuilder,
    client: Option<Client>,
    timeout: Option<Duration>,
    wait_for_server: Duration,
}

impl TokenSourceBuilder {
    /// The API that the token is for. Default: the issuer's.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.key = self.key.audience(audience);
        self
    }

    /// Scopes of RFC 6749, section 3.3, as [`TokenKey::scopes`]. Default: the issuer's.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.key = self.key.scopes(scopes);
        self
    }

    /// Share the connection of a client, which stays the caller's to close. Not together with a target, TLS or a bearer:
    /// those are the client's.
    pub fn client(mut self, client: &Client) -> Self {
        self.client = Some(client.clone());
        self
    }

    /// As [`ClientBuilder::target`].
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.options = self.options.target(target);
        self
    }

    /// As [`ClientBuilder::tls`].
    pub fn tls(mut self, tls: Tls) -> Self {
        self.options = self.options.tls(tls);
        self
    }

    /// As [`ClientBuilder::no_tls`].
    pub fn no_tls(mut self) -> Self {
        self.options = self.options.no_tls();
        self
    }

    /// As [`ClientBuilder::bearer_file`].
    pub fn bearer_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options = self.options.bearer_file(path);
        self
    }

    /// As [`ClientBuilder::api_key_file`].
    pub fn api_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options = self.options.api_key_file(path);
        self
    }

    /// As [`ClientBuilder::no_bearer`].
    pub fn no_bearer(mut self) -> Self {
        self.options = self.options.no_bearer();
        self
    }

    /// How long a call, or a wait in [`TokenSource::get`] and [`TokenSource::reject`], may take. Default: 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long [`open`](Self::open) goes on trying while no server answers, or only one that is shutting down. Any other
    /// error ends it at once. Default: it does not wait, so that a wrong target shows at once.
    pub fn wait_for_server(mut self, wait: Duration) -> Self {
        self.wait_for_server = wait;
        self
    }

    /// Fetch the first token and start the task, on the Tokio runtime of the caller. If this fails, or its future is
    /// dropped, nothing stays behind.
    pub async fn open(self) -> Result<TokenSource> {
        let own = &self.options;
        let is_said = own.target.is_some() || own.tls.is_said() || own.bearer.is_said();
        let client = match self.client {
            Some(_) if is_said => {
                return Err(Error::usage(
                    "give the target, TLS and the bearer to the client that the source shares",
                ));
            }
            Some(client) => client,
            None => self.options.build()?,
        };
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let client = client.with_timeout(timeout);
        let first = first_token(&client, &self.key, self.wait_for_server).await?;
        let follower = Follower::new(first, clock::now(), Box::new(jitter::uniform));
        let shared = Arc::new(Shared::new(follower));
        let handle = tokio::spawn(worker::run(shared.clone(), client, self.key));
        let abort = handle.abort_handle();
        let task = Arc::new(Task {
            shared: shared.clone(),
            handle: Mutex::new(Some(handle)),
            abort,
        });
        Ok(TokenSource {
            shared,
            timeout,
            task,
        })
    }
}

async fn first_token(client: &Client, key: &TokenKey, wait: Duration) -> Result<Token> {
    let started_at = Instant::now();
    let mut failures = 0;
    loop {
        let error = match client.get(key).await {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        let left = wait.saturating_sub(started_at.elapsed());
        if left.is_zero() || !(error.kind() == Kind::Unreachable || error.reason() == "DRAINING") {
            return Err(error);
        }
        failures += 1;
        sleep(Duration::from_secs_f64(backoff(failures, Some(&error), jitter::uniform())).min(left)).await;
    }
}

impl TokenSource {
    /// A source for a token of this client: the name under which the OAuth client is registered with the server.
    pub fn builder(client: impl Into<String>) -> TokenSourceBuilder {
        TokenSourceBuilder {
            key: TokenKey::new(client),
            options: Client::builder(),
            client: None,
            timeout: None,
            wait_for_server: Duration::ZERO,
        }
    }

    /// The live token: a memory read. Never waits. Fails with [`Kind::TokenExpired`] if there is none.
    #[inline]
    pub fn token(&self) -> Result<Token> {
        self.shared.live().ok_or_else(|| self.shared.dead())
    }

    /// As [`token`](Self::token); if it has expired, waits for a successor as long as the timeout allows, or until a
    /// fetch fails.
    pub async fn get(&self) -> Result<Token> {
        self.get_within(self.timeout).await
    }

    /// As [`get`](Self::get), with a timeout for this call.
    pub async fn get_within(&self, timeout: Duration) -> Result<Token> {
        match self.shared.live() {
            Some(token) => Ok(token),
            None => self.await_live(timeout).await,
        }
    }

    async fn await_live(&self, timeout: Duration) -> Result<Token> {
        let seen = self.shared.look(|follower, now| {
            let seen = follower.setbacks();
            follower.hurry(now).map(|()| seen)
        })??;
        self.shared.kick();
        let found = self
            .shared
            .wait(timeout, |follower, now| match follower.live(now) {
                Some(token) => Some(Ok(token.clone())),
                None if follower.setbacks() != seen => Some(Err(follower.expired())),
                None => None,
            })
            .await?;
        found.unwrap_or_else(|| Err(self.shared.dead()))
    }

    /// Report that an API refused the token (401). Returns the successor when it is here.
    ///
    /// The server gets one report for each generation, however many callers report it; later callers get the successor at
    /// once. Fails if the report was refused (the token stays in use), or no successor came in time.
    pub async fn reject(&self, token: &Token) -> Result<Token> {
        self.reject_within(token, self.timeout).await
    }

    /// As [`reject`](Self::reject), with a timeout for this call.
    pub async fn reject_within(&self, token: &Token, timeout: Duration) -> Result<Token> {
        enum Start {
            Newer(Token),
            Wait(u64),
        }
        let generation = token.generation();
        let start = self.shared.look(|follower, now| {
            if let Some(newer) = follower.successor(generation, now) {
                return Ok(Start::Newer(newer.clone()));
            }
            follower.want_report(generation, now)?;
            Ok::<_, Error>(Start::Wait(follower.report_setbacks()))
        })??;
        let seen = match start {
            Start::Newer(token) => return Ok(token),
            Start::Wait(seen) => seen,
        };
        self.shared.kick();
        let found = self
            .shared
            .wait(timeout, |follower, now| {
                match follower.successor(generation, now) {
                    Some(token) => Some(Ok(token.clone())),
                    None if follower.report_setbacks() != seen => Some(Err(follower
                        .report_error()
                        .cloned()
                        .unwrap_or_else(Error::no_successor))),
                    None => None,
                }
            })
            .await?;
        found.unwrap_or_else(|| Err(Error::no_successor()))
    }

    /// Wait for a newer token than the given one.
    pub async fn wait_until_updated(&self, than: &Token, timeout: Duration) -> Result<Token> {
        let generation = than.generation();
        let found = self
            .shared
            .wait(timeout, |follower, now| {
                follower.successor(generation, now).cloned()
            })
            .await?;
        found.ok_or_else(Error::no_successor)
    }

    /// The live token, then its successors as they come.
    #[must_use]
    pub fn subscribe(&self) -> Updates {
        Updates {
            shared: self.shared.clone(),
            changes: self.shared.changes(),
            last: None,
        }
    }

    /// End the task, and its connection if it is the source's own. From now on every call of every clone fails with
    /// [`Kind::Closed`]. It may be called more than once.
    pub async fn shutdown(&self) {
        self.shared.close();
        if let Some(handle) = self.task.handle.lock().await.take()
            && timeout(self.timeout + Duration::from_secs(1), handle)
                .await
                .is_err()
        {
            self.task.abort.abort();
        }
    }
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource")
            .field("token", &self.shared.live())
            .finish_non_exhaustive()
    }
}

/// A source's tokens as they come, from [`TokenSource::subscribe`].
///
/// It does not keep the source open. Who is slow misses tokens that have been replaced, never the newest.
pub struct Updates {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    last: Option<Token>,
}

impl Updates {
    /// The next token: the live one first. `None`: the source is closed.
    ///
    /// Cancel-safe: a dropped call loses no token.
    pub async fn next(&mut self) -> Option<Token> {
        loop {
            self.changes.mark_unchanged();
            let live = self
                .shared
                .look(|follower, now| follower.live(now).cloned())
                .ok()?;
            if let Some(token) = live
                && self
                    .last
                    .as_ref()
                    .is_none_or(|last| last.generation() != token.generation())
            {
                self.last = Some(token.clone());
                return Some(token);
            }
            self.changes.changed().await.ok()?;
        }
    }
}

impl std::fmt::Debug for Updates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updates").finish_non_exhaustive()
    }
}
