//! How lapin gets its connection: over TCP, or over TLS on top of it.
//!
//! lapin has a feature for TLS, which trusts the system's authorities beside ours and brings some fifty crates for client
//! certificates. This is its hook for somebody who brings the connection himself: its own tokio, with another type of stream.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use async_rs::{
    Runtime, Tokio,
    traits::{Executor, Reactor, RuntimeKit},
    util::Task,
};
use futures_util::{AsyncRead, AsyncWrite, Stream};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, uri::AMQPScheme};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::Address;
use crate::tls::Server;

/// A connection of either kind.
trait Wire: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Wire for T {}

/// tokio as lapin uses it, except for the type of the stream.
#[derive(Debug, Clone)]
struct Kit(Tokio);

/// Connects, with TLS where the address says so.
pub(super) async fn connect(address: &Address, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let authorities = address.authorities.clone();
    let wire = async move |uri: lapin::uri::AMQPUri, _: Runtime<Kit>| {
        let host = uri.authority.host.as_str();
        let stream = TcpStream::connect((host, uri.authority.port)).await?;
        stream.set_nodelay(true)?;
        let wire: Box<dyn Wire> = match uri.scheme {
            AMQPScheme::AMQP => Box::new(stream),
            AMQPScheme::AMQPS => Box::new(authorities.secure(Server::Broker, host, stream).await?),
        };
        Ok(AsyncTcpStream::Plain(wire.compat()))
    };
    Connection::connector(address.uri.clone(), Runtime::new(Kit(Tokio::current())), wire, properties).await
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Compat<Box<dyn Wire>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    // lapin does not ask for this where it is given a connection.
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = TcpStream::connect(address);
        async move {
            let wire: Box<dyn Wire> = Box::new(connecting.await?);
            Ok(wire.compat())
        }
    }
}
