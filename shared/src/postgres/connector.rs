//! TLS under the client library's connections, where the address asks for it.

use std::{convert::Infallible, io, pin::Pin};

use rustls::ClientConfig;
use tokio_postgres::{
    Error, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::Server;

/// A connection with TLS.
pub type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

type Handshake = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

/// One type for connections with and without TLS, whose errors say what to do.
#[derive(Clone)]
pub(super) struct Connector(Option<MakeRustlsConnect>);

/// One connection's.
pub(super) struct Connecting {
    host: String,
    handshake: Option<Handshake>,
}

impl Connector {
    pub(super) const fn without_tls() -> Self {
        Self(None)
    }

    pub(super) fn new(client: ClientConfig) -> Self {
        Self(Some(MakeRustlsConnect::new(client)))
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = Connecting;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Connecting, Infallible> {
        let handshake = match &mut self.0 {
            Some(maker) => Some(<MakeRustlsConnect as MakeTlsConnect<Socket>>::make_tls_connect(maker, host)?),
            None => None,
        };
        Ok(Connecting { host: host.to_owned(), handshake })
    }
}

impl TlsConnect<Socket> for Connecting {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Some(handshake) = self.handshake else {
                // The library asks for it only where the address does, and then there is one.
                return Err(io::Error::other("TLS was not set up"));
            };
            handshake.connect(socket).await.map_err(|error| Server::Database.explain(&self.host, error))
        })
    }
}

/// The error of a handshake, which says what to do, without the library's words around it.
pub(super) fn refusal(error: Error) -> Result<Box<dyn std::error::Error + Send + Sync>, Error> {
    if error.to_string() != "error performing TLS handshake" {
        return Err(error);
    }
    error.into_source().map_or_else(|| Ok("no TLS with the database".into()), Ok)
}

/// The server has answered that it has no TLS; the library has only these words for it.
pub(super) fn is_not_offered(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.to_string() == "server does not support TLS")
}
