//! Clients that ask again as soon as they are answered, or at a pace, on a thread of their own.

use std::{
    mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime, task::JoinSet};

use crate::{
    measure::Samples,
    outcome::{Doing, Outcome},
};

/// The clients at work; dropped, they stop.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    /// The value of the header.
    authorization: String,
    tenants: usize,
    /// From one request of a client to its next one, unless the answer took longer; zero: at once.
    pace: Duration,
    stop: AtomicBool,
    /// Milliseconds of every request since somebody looked.
    latencies: Mutex<Vec<f64>>,
}

impl Load {
    /// Begins; every client asks for one tenant after the other, each from another one on. `rate`: requests a second of all clients
    /// together; none: as many as are answered.
    pub(super) fn begin(
        address: SocketAddr,
        token: &str,
        tenants: usize,
        connections: usize,
        rate: Option<u32>,
    ) -> Outcome<Self> {
        let each = u32::try_from(connections)?;
        let pace = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * each / rate);
        let authorization = format!("Bearer {token}");
        let (stop, latencies) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { address, authorization, tenants, pace, stop, latencies });
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let theirs = Arc::clone(&shared);
        let ask = async move {
            let mut clients = JoinSet::new();
            for number in 0..connections {
                clients.spawn(client(Arc::clone(&theirs), number * tenants / connections));
            }
            while let Some(ended) = clients.join_next().await {
                ended.map_err(|error| error.to_string()).flatten()?;
            }
            Ok(())
        };
        let thread = thread::Builder::new().name("clients".to_owned()).spawn(move || runtime.block_on(ask))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// From before a request was sent until its answer was complete, in milliseconds, of all since the last look.
    pub(super) fn take(&self) -> Samples {
        mem::take(&mut *self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }

    /// Stops, and says whether every request was answered as it should be.
    pub(super) fn end(mut self) -> Outcome<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended.doing("ask for status"),
            _ => Err("the clients' thread has panicked".into()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn client(shared: Arc<Shared>, first: usize) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(shared.address).await.map_err(|error| said(&error))?;
    stream.set_nodelay(true).map_err(|error| said(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    tokio::spawn(connection);
    let (mut tenant, mut due) = (first, Instant::now());
    while !shared.stop.load(Ordering::Relaxed) {
        tenant = tenant % shared.tenants + 1;
        if !shared.pace.is_zero() {
            due += shared.pace;
            tokio::time::sleep_until(due.into()).await;
        }
        let request = Request::get(format!("/api/v1/admin/workers/tenant/{tenant}/status"))
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, shared.authorization.as_str())
            .body(Empty::<Bytes>::new())
            .map_err(|error| said(&error))?;
        let began = Instant::now();
        let answer = sender.send_request(request).await.map_err(|error| said(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| said(&error))?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("tenant {tenant}: {status}, {}", String::from_utf8_lossy(&body)));
        }
        let took = began.elapsed().as_secs_f64() * 1000.0;
        shared.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }
    Ok(())
}
