//! Makes connections: resolve, connect, TLS. It tells failures apart while their types still say what they are.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, CertificateError, pki_types::ServerName},
};
use tower_service::Service;

use crate::{
    jitter::uniform,
    target::{Place, Target},
};

/// For all of it: name, connection, handshake.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that does not acknowledge for so long what was sent on it, or a ping, is given up.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);
/// After this, the next address is tried beside the one that does not answer (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    NoSuchName,
    NothingListens,
    NoAnswer,
    Certificate(CertificateFault),
    NotTls,
    /// The peer ended the handshake.
    HungUp,
    Other(String),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum CertificateFault {
    OtherName,
    Expired,
    NotYetValid,
    UnknownAuthority,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failure {}

/// Connects to a target.
#[derive(Clone)]
pub(crate) struct Dialler {
    target: Arc<Target>,
    /// The number of the address that is tried first.
    first: usize,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
type Stream = Box<dyn Io>;

impl Dialler {
    pub(crate) fn new(
        target: Arc<Target>,
        tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
        first: usize,
    ) -> Self {
        Self {
            target,
            first,
            tls: tls.map(|(config, name)| (config.into(), name)),
        }
    }

    async fn connect(self) -> Result<Stream, Failure> {
        let stream: Stream = match &self.target.place {
            Place::Tcp(endpoints) => Box::new(connect_tcp(endpoints, self.first).await?),
            Place::Unix(path) => connect_unix(path).await?,
        };
        let Some((connector, name)) = self.tls else {
            return Ok(stream);
        };
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| handshake_failure(&error))?;
        Ok(Box::new(stream))
    }
}

impl Service<Uri> for Dialler {
    type Response = TokioIo<Stream>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = self.clone().connect();
        Box::pin(async move {
            let stream = timeout(TIMEOUT, connecting)
                .await
                .unwrap_or(Err(Failure::NoAnswer))?;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn resolve(endpoints: &[(String, u16)]) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = Vec::new();
    for (host, port) in endpoints {
        addresses.extend(
            lookup_host((host.as_str(), *port))
                .await
                .map_err(|_| Failure::NoSuchName)?,
        );
    }
    addresses.sort_unstable(); // name servers change the order from answer to answer
    addresses.dedup();
    Ok(addresses)
}

/// How many addresses the target has; 1 if that cannot be said.
pub(crate) async fn addresses(target: &Target) -> usize {
    match &target.place {
        Place::Tcp(endpoints) => match timeout(TIMEOUT, resolve(endpoints)).await {
            Ok(Ok(addresses)) => addresses.len(),
            _ => 1,
        },
        Place::Unix(_) => 1,
    }
}

/// Any number below this one.
pub(crate) fn one_of(count: usize) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let any = (uniform() * count as f64) as usize;
    any
}

/// A connection to the first address that answers, beginning with one of them.
async fn connect_tcp(endpoints: &[(String, u16)], first: usize) -> Result<TcpStream, Failure> {
    let mut addresses = resolve(endpoints).await?;
    if !addresses.is_empty() {
        let first = first % addresses.len();
        addresses.rotate_left(first);
    }
    let mut attempts = JoinSet::new(); // dropped, it ends those that are slower
    let mut failure = Failure::NoSuchName;
    for address in addresses {
        attempts.spawn(connect_address(address));
        // A refusal leads to the next address at once, silence after a moment.
        while let Ok(Some(done)) = timeout(NEXT_ADDRESS, attempts.join_next()).await {
            match done {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = io_failure(&error),
                Err(_) => failure = Failure::NoAnswer,
            }
        }
    }
    while let Some(done) = attempts.join_next().await {
        match done {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = io_failure(&error),
            Err(_) => failure = Failure::NoAnswer,
        }
    }
    Err(failure)
}

async fn connect_address(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // What is sent goes nowhere when a NAT or firewall has forgotten the connection. Where the system can say so, a call
    // need not wait for a ping. A kernel without this still has the pings.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(SILENCE));
    Ok(stream)
}

#[cfg(unix)]
async fn connect_unix(path: &std::path::Path) -> Result<Stream, Failure> {
    match tokio::net::UnixStream::connect(path).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(io_failure(&error)),
    }
}

#[cfg(not(unix))]
async fn connect_unix(_: &std::path::Path) -> Result<Stream, Failure> {
    Err(Failure::Other("this system has no Unix sockets".to_owned()))
}

fn io_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::NothingListens,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Failure::NoAnswer
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Failure::HungUp
        }
        kind => Failure::Other(kind.to_string()),
    }
}

fn handshake_failure(error: &io::Error) -> Failure {
    let Some(error_of_tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return io_failure(error);
    };
    match error_of_tls {
        rustls::Error::InvalidCertificate(fault) => Failure::Certificate(certificate_fault(fault)),
        rustls::Error::InvalidMessage(_) => Failure::NotTls,
        rustls::Error::AlertReceived(_) => Failure::HungUp,
        // rustls' texts name what was wrong in the protocol, and show nothing of certificates or keys.
        other => Failure::Other(other.to_string()),
    }
}

fn certificate_fault(fault: &CertificateError) -> CertificateFault {
    match fault {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherName
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        _ => CertificateFault::UnknownAuthority,
    }
}
