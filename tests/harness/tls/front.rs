//! Stands before the real broker or database and speaks TLS for it, with a certificate of the test's choice, as a load balancer
//! would.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{ServerConfig, crypto::ring};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::Identity;

/// How a conversation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// With TLS at once, as AMQP does.
    TlsAtOnce,
    /// With PostgreSQL's question for TLS, which is answered with yes.
    Postgres,
    /// With PostgreSQL's question for TLS, which is answered with no.
    PostgresWithoutTls,
}

/// A listener; it goes with this value.
pub struct Front {
    port: u16,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Front {
    /// Before the server at `target`.
    pub async fn of(target: &str, speaks: Speaks, identity: Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("the listener has an address").port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![identity.certificate], identity.key)
            });
        let acceptor = TlsAcceptor::from(Arc::new(server.expect("a certificate and its key")));
        let (target, count) = (target.to_owned(), Arc::clone(&accepted));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, target, count) = (acceptor.clone(), target.clone(), Arc::clone(&count));
                tokio::spawn(async move { serve(client, &target, speaks, &acceptor, &count).await });
            }
        });
        Self { port, accepted, task }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Clients that have got past the beginning, and so have said what they know.
    pub fn trusting_clients(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    target: &str,
    speaks: Speaks,
    acceptor: &TlsAcceptor,
    accepted: &AtomicUsize,
) -> io::Result<()> {
    if speaks != Speaks::TlsAtOnce {
        let mut question = [0; 8];
        client.read_exact(&mut question).await?;
        let answer: &[u8] = if speaks == Speaks::Postgres { b"S" } else { b"N" };
        client.write_all(answer).await?;
    }
    let mut server = TcpStream::connect(target).await?;
    if speaks == Speaks::PostgresWithoutTls {
        // Whoever goes on without TLS says so with the first byte.
        let first = client.read_u8().await?;
        accepted.fetch_add(1, Ordering::SeqCst);
        server.write_u8(first).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let mut client = acceptor.accept(client).await?;
    // With TLS 1.3 a server is done before the client has looked at the certificate.
    let first = client.read_u8().await?;
    accepted.fetch_add(1, Ordering::SeqCst);
    server.write_u8(first).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
