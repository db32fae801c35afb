//! Lets clients in and serves each of them until it leaves.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::sys::socket::{setsockopt, sockopt::KeepAlive};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    time,
};

use super::{
    seat::{Seat, Seats},
    wire::{Line, Wire},
};
use crate::api::authenticate::Peer;

/// How long a client may take to send a request's head, counted from its connection or its last request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request.
const HEAD_LIMIT: usize = 32 * 1024;
/// How long requests may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// After a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Where clients come in.
pub(super) enum Door {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Door {
    async fn accept(&self) -> io::Result<(Box<dyn Wire>, Peer)> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Peer::Unix { uid }))
            }
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // A client that follows a log and vanishes from the network would otherwise be served for ever.
                // Both are refused where it has already vanished, which serving it will find out.
                let _ = setsockopt(&stream, KeepAlive, &true);
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Peer::Tcp { address: Some(address.ip()) }))
            }
        }
    }
}

/// Admits clients until the server stops, then waits for those that are inside.
pub(super) async fn admit(door: Door, router: Router, stop: watch::Receiver<bool>) {
    let seats = Seats::new();
    let mut stopped = pin!(stopped(stop.clone()));
    loop {
        let next = async {
            let seat = seats.take().await.ok_or(io::ErrorKind::BrokenPipe)?;
            Ok((door.accept().await?, seat))
        };
        let next: io::Result<_> = tokio::select! {
            next = next => next,
            () = &mut stopped => break,
        };
        match next {
            Ok(((stream, peer), seat)) => {
                tokio::spawn(serve(stream, peer, router.clone(), stop.clone(), seat));
            }
            Err(error) => {
                tracing::warn!(%error, "a client could not be let in");
                time::sleep(PAUSE).await;
            }
        }
    }
    drop(door);
    let _ = time::timeout(GRACE, seats.empty()).await;
}

async fn serve(stream: Box<dyn Wire>, peer: Peer, router: Router, stop: watch::Receiver<bool>, seat: Arc<Seat>) {
    let service = TowerToHyperService::new(router);
    let line = Line::new(stream, Arc::clone(&seat));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(Arc::clone(&seat));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(line), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopped(stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients leave in the middle of things every day.
        tracing::debug!(%error, ?peer, "connection ended");
    }
}

/// Waits until the server is told to stop, or nobody is left who could tell it to go on.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
