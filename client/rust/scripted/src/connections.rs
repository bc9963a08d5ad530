//! The connections that a server accepts, and what it knows of each.

use std::{
    io,
    net::TcpListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tonic::transport::server::Connected;

use crate::script::State;

pub(crate) async fn accept(
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

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) struct Io {
    stream: Box<dyn Duplex>,
    peer: Peer,
}

#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) connection: usize,
    pub(crate) showed_certificate: bool,
}

impl Io {
    pub(crate) fn new(stream: impl Duplex + 'static, connection: usize, showed_certificate: bool) -> Self {
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
