//! The channel of a client, replaced when the files that its credentials are made of change.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Uri;
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    Error, Result, Tls,
    connect::{Dialler, SILENCE, addresses, one_of},
    credentials::{Environment, bearer_from_environment, watched_bearer},
    files::Watched,
    target::Target,
    tls,
    unreachable::Link,
    wire::Wire,
};

const USER_AGENT: &str = concat!("mintonce-rust/", env!("CARGO_PKG_VERSION"));
/// A watch may be silent for a day: pings keep it from being forgotten on the way, and show when it is dead. mintonced
/// allows them each 10 seconds.
const PING_EVERY: Duration = Duration::from_secs(60);

/// What was said about a setting.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice<T> {
    /// Nothing: the environment decides.
    #[default]
    Unsaid,
    No,
    Yes(T),
}

impl<T> Choice<T> {
    pub(crate) fn is_said(&self) -> bool {
        !matches!(self, Self::Unsaid)
    }

    fn or_else(self, environment: impl FnOnce() -> Result<Option<T>>) -> Result<Option<T>> {
        match self {
            Self::Unsaid => environment(),
            Self::No => Ok(None),
            Self::Yes(value) => Ok(Some(value)),
        }
    }
}

/// Gives each call its channel and its metadata.
pub(crate) struct Connection {
    link: Link,
    origin: Uri,
    server_name: ServerName<'static>,
    tls: Option<Arc<Watched<Arc<ClientConfig>>>>,
    bearer: Option<Arc<Watched<MetadataValue<Ascii>>>>,
    line: Mutex<Option<Line>>,
}

/// A channel, and the configuration that it was made with. It closes when the last clone is dropped: a replaced one
/// lives as long as its calls and watches.
struct Line {
    /// One for each address of the name when the line was made; calls use them in turn.
    channels: Vec<Channel>,
    next: usize,
    tls: Option<Arc<ClientConfig>>,
}

impl Line {
    fn channel(&mut self) -> Channel {
        self.next = (self.next + 1) % self.channels.len();
        self.channels[self.next].clone()
    }
}

/// Channels of one client. With more addresses, each client uses some of them.
const MOST_CHANNELS: usize = 8;

impl Connection {
    /// Reads the files; makes no connection yet.
    pub(crate) fn new(
        target: Option<&str>,
        tls: Choice<Tls>,
        bearer: Choice<PathBuf>,
        environment: Environment<'_>,
    ) -> Result<Self> {
        let target = Arc::new(Target::resolve(target, environment)?);
        let tls = tls.or_else(|| Tls::from_environment(environment))?;
        let bearer = bearer.or_else(|| bearer_from_environment(environment))?;
        if tls
            .as_ref()
            .is_some_and(|tls| tls.key_file.is_some() && tls.certificate_file.is_none())
        {
            return Err(Error::usage("Tls: key_file needs certificate_file"));
        }
        if bearer.is_some() && tls.is_none() && !target.is_local() {
            return Err(in_clear(&target));
        }
        let link = Link {
            server_name: tls.as_ref().and_then(|tls| tls.server_name.clone()),
            shows_certificate: tls.as_ref().is_some_and(|tls| tls.certificate_file.is_some()),
            tls: tls.is_some(),
            target: target.clone(),
        };
        Ok(Self {
            origin: origin(&link)?,
            server_name: server_name(&link)?,
            tls: tls.as_ref().map(tls::watched).transpose()?.map(Arc::new),
            bearer: bearer.as_deref().map(watched_bearer).transpose()?.map(Arc::new),
            line: Mutex::new(None),
            link,
        })
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// What a new call goes over, and its authorization.
    pub(crate) async fn line(&self) -> (Wire, Option<MetadataValue<Ascii>>) {
        let bearer = match &self.bearer {
            Some(bearer) => Some(looked(bearer).await),
            None => None,
        };
        let tls = match &self.tls {
            Some(tls) => Some(looked(tls).await),
            None => None,
        };
        if let Some(channel) = self.current(tls.as_ref()) {
            return (Wire(channel), bearer);
        }
        let addresses = addresses(&self.link.target).await.clamp(1, MOST_CHANNELS);
        // Any number, not one of these: the name may have more addresses later, and clients should spread over them.
        let first = one_of(1 << 16);
        let mut line = Line {
            channels: (0..addresses)
                .map(|number| self.open(tls.clone(), first + number))
                .collect(),
            next: 0,
            tls,
        };
        let channel = line.channel();
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        (Wire(channel), bearer)
    }

    /// The next channel of the line, if that has this configuration.
    fn current(&self, tls: Option<&Arc<ClientConfig>>) -> Option<Channel> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.as_mut()
            .filter(|line| match (&line.tls, tls) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                _ => true,
            })
            .map(Line::channel)
    }

    /// Let go of the channel.
    pub(crate) fn close(&self) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// `first`: the number of the address that is tried first.
    fn open(&self, tls: Option<Arc<ClientConfig>>, first: usize) -> Channel {
        let tls = tls.map(|config| (config, self.server_name.clone()));
        // The URI is only tonic's idea of an address: the dialler knows the target. Nothing reads proxy variables.
        let endpoint = Endpoint::from_static("http://mintonce.invalid")
            .origin(self.origin.clone())
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(false);
        let endpoint = endpoint.clone().user_agent(USER_AGENT).unwrap_or(endpoint);
        endpoint.connect_with_connector_lazy(Dialler::new(self.link.target.clone(), tls, first))
    }
}

/// The value after a look at its files, at most once a second.
async fn looked<T: Clone + Send + 'static>(watched: &Arc<Watched<T>>) -> T {
    if watched.is_due() {
        let watched = watched.clone();
        // When the runtime is shutting down, nothing is looked at any more.
        let _ = spawn_blocking(move || watched.look()).await;
    }
    watched.current()
}

fn in_clear(target: &Target) -> Error {
    Error::unusable(format!("a bearer would travel in clear to {}", target.text)).with_remedy(
        "Use TLS: set MINTONCE_CA_FILE (or MINTONCE_TLS=true for the authorities of this host), or call tls(…). In clear it \
         goes only to a Unix socket or to loopback.",
    )
}

fn origin(link: &Link) -> Result<Uri> {
    let scheme = if link.tls { "https" } else { "http" };
    let authority = link
        .server_name
        .clone()
        .unwrap_or_else(|| link.target.authority());
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query("/")
        .build();
    uri.map_err(|_| Error::invalid("the target or the server name is none that HTTP allows"))
}

fn server_name(link: &Link) -> Result<ServerName<'static>> {
    let name = link.server_name.as_deref().unwrap_or_else(|| link.target.host());
    let name = ServerName::try_from(name.to_owned());
    match name {
        Err(_) if link.tls => Err(Error::invalid(
            "the server name is none that a certificate can have",
        )),
        Err(_) => ServerName::try_from("localhost").map_err(|_| Error::invalid("no server name")),
        Ok(name) => Ok(name),
    }
}
