//! A mintonced that does what a test says.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    Refusal, Request, Token,
    connections::{Io, accept},
    script::{Script, State},
    stubs::{admin_service_server::AdminServiceServer, token_service_server::TokenServiceServer},
};

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
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            state: Arc::new(State::new()),
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
