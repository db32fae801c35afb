//! Lets clients in and serves each of them until it leaves.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, response::Response};
use hyper::{
    Request,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::sys::socket::{
    setsockopt,
    sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpUserTimeout},
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    sync::watch,
    time,
};

use super::{
    answer::Answer,
    seat::{Closed, Seat, Seats},
    wire::{Line, Wire},
};
use crate::api::authenticate::Peer;

/// How long a client may take to send a request's head, counted from its connection or its last request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that says nothing is asked after so many seconds whether it is still there, so often and so many seconds apart.
const ASK_AFTER: u32 = 30;
const ASK_EVERY: u32 = 10;
const ASK_TIMES: u32 = 3;
/// What was sent is confirmed within so many milliseconds, or the client is gone.
const CONFIRMED_WITHIN: u32 = 60_000;
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
                let (stream, peer) = accept(listener).await?;
                Ok((Box::new(stream), peer))
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, Peer)> {
    let (stream, address) = listener.accept().await?;
    // A client that follows a log and vanishes from the network would otherwise be served for hours.
    // All of it is refused where it has already vanished, which serving it will find out.
    let _ = setsockopt(&stream, TcpKeepIdle, &ASK_AFTER);
    let _ = setsockopt(&stream, TcpKeepInterval, &ASK_EVERY);
    let _ = setsockopt(&stream, TcpKeepCount, &ASK_TIMES);
    let _ = setsockopt(&stream, KeepAlive, &true);
    // Nobody is asked while something is on its way.
    let _ = setsockopt(&stream, TcpUserTimeout, &CONFIRMED_WITHIN);
    let _ = stream.set_nodelay(true);
    Ok((stream, Peer::Tcp { address: Some(address.ip()) }))
}

/// Admits clients until the server stops, then waits for those that are inside.
pub(super) async fn admit(door: Door, router: Router, stop: watch::Receiver<bool>) {
    let seats = Seats::new();
    let mut stopped = pin!(stopped(stop.clone()));
    loop {
        let next = async {
            let client = door.accept().await?;
            Ok((client, seats.enter().await))
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
    let inside = Arc::clone(&seat);
    let service = service_fn(move |request| answer(service.clone(), request, peer, Arc::clone(&inside)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(line), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        () = seat.dismissed() => return tracing::debug!(?peer, "an idle connection is closed for another one"),
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

async fn answer(
    router: TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    peer: Peer,
    seat: Arc<Seat>,
) -> Result<Response<Answer>, Closed> {
    seat.take().await?;
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(Arc::clone(&seat));
    let Ok(mut response) = router.call(request).await;
    if seat.follows() {
        // The seat that was taken is for this one answer, also where it is an error after all.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer::new(body, seat)))
}

/// Waits until the server is told to stop, or nobody is left who could tell it to go on.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    #[tokio::test]
    async fn a_client_that_vanishes_from_the_network_is_noticed_in_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = accept(&listener).await.unwrap();
        assert!(getsockopt(&stream, KeepAlive).unwrap());
        let quiet = getsockopt(&stream, TcpKeepIdle).unwrap();
        let asked = getsockopt(&stream, TcpKeepInterval).unwrap() * getsockopt(&stream, TcpKeepCount).unwrap();
        assert!(quiet + asked <= 60, "{quiet} s and {asked} s");
        assert_eq!(getsockopt(&stream, TcpUserTimeout).unwrap(), 60_000, "milliseconds");
    }
}
