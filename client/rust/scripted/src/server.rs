//! A mintonced that does what a test says.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Response, Status, metadata::MetadataMap, transport::server::Connected};

use crate::{
    Refusal, pb,
    stubs::{
        admin_service_server::{AdminService, AdminServiceServer},
        token_service_server::{TokenService, TokenServiceServer},
    },
};

/// A token to serve. Its text is `secret-GENERATION`.
#[derive(Clone)]
pub struct Token {
    pub generation: i64,
    pub expires_in: Duration,
    pub refresh_in: Duration,
    pub origin: i32,
    pub token_type: &'static str,
}

impl Token {
    /// For an hour.
    pub fn new(generation: i64) -> Self {
        let expires_in = Duration::from_secs(3600);
        Self {
            generation,
            expires_in,
            refresh_in: expires_in / 2,
            origin: 3,
            token_type: "Bearer",
        }
    }

    #[must_use]
    pub fn lasting(mut self, expires_in: Duration, refresh_in: Duration) -> Self {
        self.expires_in = expires_in;
        self.refresh_in = refresh_in;
        self
    }
}

/// What a call brought.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub client: String,
    pub audience: String,
    pub scopes: Vec<String>,
    pub generation: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    pub metadata: HashMap<String, String>,
    /// The number of the connection.
    pub connection: usize,
    pub showed_certificate: bool,
}

struct Script {
    current: Token,
    refusals: HashMap<&'static str, Vec<Refusal>>,
    always: HashMap<&'static str, Refusal>,
    delay: HashMap<&'static str, Duration>,
    requests: Vec<Request>,
    mints_after_reject: bool,
}

struct State {
    script: Mutex<Script>,
    pushed: watch::Sender<Option<Token>>,
    drains: watch::Sender<u64>,
    open_watches: watch::Sender<usize>,
    calls: watch::Sender<usize>,
    connections: Mutex<usize>,
}

/// A server on a port of its own. Dropping it cuts every connection.
pub struct Server {
    state: Arc<State>,
    tls: Option<Arc<ServerConfig>>,
    runtime: Option<Runtime>,
    address: SocketAddr,
    socket: Option<PathBuf>,
}

impl Server {
    /// In clear, with a token of generation 1.
    pub fn start() -> Self {
        Self::start_with(None, None)
    }

    pub fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(config), None)
    }

    /// On a Unix socket.
    pub fn start_unix(path: PathBuf) -> Self {
        Self::start_with(None, Some(path))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>, socket: Option<PathBuf>) -> Self {
        let script = Script {
            current: Token::new(1),
            refusals: HashMap::new(),
            always: HashMap::new(),
            delay: HashMap::new(),
            requests: Vec::new(),
            mints_after_reject: true,
        };
        let state = State {
            script: Mutex::new(script),
            pushed: watch::Sender::new(None),
            drains: watch::Sender::new(0),
            open_watches: watch::Sender::new(0),
            calls: watch::Sender::new(0),
            connections: Mutex::new(0),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            state: Arc::new(state),
            tls,
            runtime: None,
            address,
            socket,
        };
        server.restart();
        server
    }

    pub fn target(&self) -> String {
        match &self.socket {
            Some(path) => format!("unix:{}", path.display()),
            None => self.address.to_string(),
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cut every connection and stop listening.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // The runtime's own thread closes the sockets: wait until it has.
        while std::net::TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
        self.state.open_watches.send_replace(0);
    }

    /// Listen again, at the same address.
    pub fn restart(&mut self) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (sender, receiver) = mpsc::channel(16);
        if let Some(path) = &self.socket {
            let _in = runtime.enter();
            let listener = tokio::net::UnixListener::bind(path).unwrap();
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = sender.send(Ok::<_, io::Error>(Io::new(stream, 0, false))).await;
                }
            });
        } else {
            let listener = TcpListener::bind(self.address).unwrap();
            listener.set_nonblocking(true).unwrap();
            self.address = listener.local_addr().unwrap();
            runtime.spawn(accept(listener, self.tls.clone(), self.state.clone(), sender));
        }
        let tokens = TokenServiceServer::from_arc(self.state.clone());
        let admin = AdminServiceServer::from_arc(self.state.clone());
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(tokens)
                .add_service(admin)
                .serve_with_incoming(ReceiverStream::new(receiver)),
        );
        self.runtime = Some(runtime);
    }

    /// Serve this token from now on, and push it to watches.
    pub fn publish(&self, token: Token) {
        self.script().current = token.clone();
        self.state.pushed.send_replace(Some(token));
    }

    /// Serve this token from now on; watches are not told.
    pub fn serve(&self, token: Token) {
        self.script().current = token;
    }

    /// Push a token to watches only.
    pub fn push(&self, token: Token) {
        self.state.pushed.send_replace(Some(token));
    }

    /// Answer the next calls of a method so, one after another.
    pub fn refuse_next(&self, method: &'static str, refusals: impl IntoIterator<Item = Refusal>) {
        let mut refusals: Vec<_> = refusals.into_iter().collect();
        refusals.reverse();
        self.script().refusals.insert(method, refusals);
    }

    /// Answer all calls of a method so, until `mend`.
    pub fn refuse(&self, method: &'static str, refusal: Refusal) {
        self.script().always.insert(method, refusal);
    }

    pub fn mend(&self) {
        let mut script = self.script();
        script.always.clear();
        script.refusals.clear();
        script.delay.clear();
    }

    /// Answer the calls of a method after this time only.
    pub fn delay(&self, method: &'static str, delay: Duration) {
        self.script().delay.insert(method, delay);
    }

    /// After a rejection the next GetToken gets the next generation, unless this says no.
    pub fn mint_after_reject(&self, mints: bool) {
        self.script().mints_after_reject = mints;
    }

    /// End all watches with DRAINING.
    pub fn drain(&self) {
        self.state.drains.send_modify(|count| *count += 1);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.script().requests.clone()
    }

    pub fn calls(&self, method: &str) -> usize {
        self.script()
            .requests
            .iter()
            .filter(|request| request.method == method)
            .count()
    }

    /// Wait until a method has been called so often.
    pub async fn until_calls(&self, method: &str, count: usize) {
        let mut calls = self.state.calls.subscribe();
        while self.calls(method) < count {
            calls.changed().await.unwrap();
        }
    }

    /// Wait until so many watches are open.
    pub async fn until_watches(&self, count: usize) {
        let mut open = self.state.open_watches.subscribe();
        open.wait_for(|open| *open == count).await.unwrap();
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.state.script.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<State>,
    sender: mpsc::Sender<io::Result<Io>>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut connections = state.connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        let (tls, sender) = (tls.clone(), sender.clone());
        tokio::spawn(async move {
            let io = match tls {
                None => Io::new(stream, number, false),
                Some(config) => {
                    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
                        return;
                    };
                    let showed = stream.get_ref().1.peer_certificates().is_some();
                    Io::new(stream, number, showed)
                }
            };
            let _ = sender.send(Ok(io)).await;
        });
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

struct Io {
    stream: Box<dyn Duplex>,
    peer: Peer,
}

#[derive(Clone, Copy)]
struct Peer {
    connection: usize,
    showed_certificate: bool,
}

impl Io {
    fn new(stream: impl Duplex + 'static, connection: usize, showed_certificate: bool) -> Self {
        Self {
            stream: Box::new(stream),
            peer: Peer {
                connection,
                showed_certificate,
            },
        }
    }
}

impl Connected for Io {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl State {
    /// Write the call down, and answer it with an error if the script says so.
    async fn enter<T>(
        &self,
        method: &'static str,
        request: &tonic::Request<T>,
        key: Option<&pb::TokenKey>,
        rejected: Option<&pb::reject_token_request::Rejected>,
    ) -> Result<(), Status> {
        let peer = request.extensions().get::<Peer>().copied();
        let key = key.cloned().unwrap_or_default();
        let (mut generation, mut sha256) = (None, None);
        match rejected {
            Some(pb::reject_token_request::Rejected::Generation(each)) => generation = Some(*each),
            Some(pb::reject_token_request::Rejected::AccessTokenSha256(each)) => sha256 = Some(each.clone()),
            None => {}
        }
        let (delay, refusal) = {
            let mut script = self.script.lock().unwrap();
            script.requests.push(Request {
                method,
                client: key.client,
                audience: key.audience,
                scopes: key.scopes,
                generation,
                sha256,
                metadata: texts(request.metadata()),
                connection: peer.map_or(0, |peer| peer.connection),
                showed_certificate: peer.is_some_and(|peer| peer.showed_certificate),
            });
            let next = script.refusals.get_mut(method).and_then(Vec::pop);
            (
                script.delay.get(method).copied(),
                next.or_else(|| script.always.get(method).cloned()),
            )
        };
        self.calls.send_modify(|count| *count += 1);
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        refusal.map_or(Ok(()), |refusal| Err(refusal.status()))
    }
}

fn texts(metadata: &MetadataMap) -> HashMap<String, String> {
    metadata
        .iter()
        .filter_map(|each| match each {
            tonic::metadata::KeyAndValueRef::Ascii(name, value) => {
                Some((name.to_string(), value.to_str().ok()?.to_owned()))
            }
            tonic::metadata::KeyAndValueRef::Binary(..) => None,
        })
        .collect()
}

fn message(token: &Token) -> pb::Token {
    pb::Token {
        access_token: format!("secret-{}", token.generation),
        token_type: token.token_type.into(),
        expires_in: Some(token.expires_in.try_into().unwrap()),
        // Absurd, as the clock of a host may be: nothing may depend on it.
        expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        refresh_in: Some(token.refresh_in.try_into().unwrap()),
        generation: token.generation,
        origin: token.origin,
        degraded: false,
        scopes: vec!["read".into()],
    }
}

#[tonic::async_trait]
impl TokenService for State {
    type WatchTokenStream = Pin<Box<dyn Stream<Item = Result<pb::WatchTokenResponse, Status>> + Send>>;

    async fn get_token(
        &self,
        request: tonic::Request<pb::GetTokenRequest>,
    ) -> Result<Response<pb::GetTokenResponse>, Status> {
        self.enter("GetToken", &request, request.get_ref().key.as_ref(), None)
            .await?;
        let token = message(&self.script.lock().unwrap().current);
        Ok(Response::new(pb::GetTokenResponse { token: Some(token) }))
    }

    async fn watch_token(
        &self,
        request: tonic::Request<pb::WatchTokenRequest>,
    ) -> Result<Response<Self::WatchTokenStream>, Status> {
        self.enter("WatchToken", &request, request.get_ref().key.as_ref(), None)
            .await?;
        let mut pushed = self.pushed.subscribe();
        let mut drains = self.drains.subscribe();
        let open = Open::new(self.open_watches.clone());
        let (sender, receiver) = mpsc::channel(4);
        let first = self.script.lock().unwrap().current.clone();
        tokio::spawn(async move {
            let _open = open;
            let mut next = Some(first);
            loop {
                if let Some(token) = next.take() {
                    let _ = sender
                        .send(Ok(pb::WatchTokenResponse {
                            token: Some(message(&token)),
                        }))
                        .await;
                }
                tokio::select! {
                    _ = pushed.changed() => next.clone_from(&pushed.borrow_and_update()),
                    _ = drains.changed() => {
                        let _ = sender.send(Err(Refusal::of(tonic::Code::Unavailable, "DRAINING").status())).await;
                        return;
                    }
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn reject_token(
        &self,
        request: tonic::Request<pb::RejectTokenRequest>,
    ) -> Result<Response<pb::RejectTokenResponse>, Status> {
        let message = request.get_ref();
        self.enter(
            "RejectToken",
            &request,
            message.key.as_ref(),
            message.rejected.as_ref(),
        )
        .await?;
        let mut script = self.script.lock().unwrap();
        if script.mints_after_reject {
            script.current.generation += 1;
        }
        Ok(Response::new(pb::RejectTokenResponse { was_current: true }))
    }
}

#[tonic::async_trait]
impl AdminService for State {
    async fn list_tokens(
        &self,
        request: tonic::Request<pb::ListTokensRequest>,
    ) -> Result<Response<pb::ListTokensResponse>, Status> {
        self.enter("ListTokens", &request, None, None).await?;
        let tokens = vec![pb::TokenSummary {
            generation: 7,
            key_hash: "ab".into(),
            ..pb::TokenSummary::default()
        }];
        let next_page_token = if request.get_ref().page_token.is_empty() {
            "more".into()
        } else {
            String::new()
        };
        Ok(Response::new(pb::ListTokensResponse {
            tokens,
            next_page_token,
            incomplete: false,
        }))
    }

    async fn rotate_token(
        &self,
        request: tonic::Request<pb::RotateTokenRequest>,
    ) -> Result<Response<pb::RotateTokenResponse>, Status> {
        self.enter("RotateToken", &request, request.get_ref().key.as_ref(), None)
            .await?;
        Ok(Response::new(pb::RotateTokenResponse {
            previous_generation: 1,
            generation: 2,
        }))
    }
}

/// Counts an open watch.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
