//! Sockets, connections, and the thread that serves them.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::Duration,
};

use nix::sys::{
    socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
    stat::{Mode, fchmod},
};
use tokio::{
    net::{TcpListener, UnixListener},
    runtime,
    sync::{oneshot, watch},
};

use super::{
    Api, ApiContext, JwtKeysError, Jwts, SessionStore, Throttle, TokenStore, TokenStoreError, overview, router,
};
use crate::store::OperatorStore;

mod answer;
mod connection;
mod seat;
mod turns;
mod wire;

use connection::{Door, admit};
pub(super) use seat::{Full, Seat};
pub(super) use turns::{LOG_READERS, Turn, Turns};

/// Owner and group may connect, which makes them the machine's operators.
const SOCKET_MODE: u32 = 0o660;
/// So many refusals of one caller, or of one address, have an audit entry each in a minute; the others are counted.
const AUDITED_REFUSALS: u32 = 60;

/// So many times in a minute somebody may log in: each time, a file is written.
const LOGINS: u32 = 30;

/// The API could not be offered.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The tokens cannot be read.
    #[error(transparent)]
    Tokens(#[from] TokenStoreError),
    /// The platform's keys cannot be read.
    #[error("the platform's tokens cannot be checked as [auth.jwt] says")]
    JwtKeys(#[from] JwtKeysError),
    /// The unix socket cannot be made.
    #[error("cannot make the API's socket {}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: choose another one with [api] listen")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no thread for it.
    #[error("cannot start the API's thread")]
    Thread(#[source] io::Error),
}

/// The API as it runs. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Serving {
    address: Option<SocketAddr>,
    stopping: watch::Sender<bool>,
    finished: oneshot::Receiver<()>,
}

impl Serving {
    /// Where the TCP listener is, with its actual port.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Takes no new connection, ends the streams, and waits a few seconds for requests that are being answered.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        let _ = self.finished.await;
    }
}

/// Binds the sockets and serves on a thread of its own. Both sockets answer when this returns.
///
/// A socket that an earlier supervisor left behind is replaced; the caller holds the lock of the runtime directory, so nobody
/// else uses it.
pub fn serve(context: ApiContext) -> Result<Serving, ServeError> {
    let tokens = TokenStore::open(context.runtime.state_directory.join("tokens.json"))?;
    let sessions = SessionStore::open(context.runtime.state_directory.join("sessions.json"), context.auth.session_ttl);
    let jwt = Jwts::new(&context.auth)?;
    let failures = Throttle::new(context.auth.failed_logins, context.auth.failed_login_window);
    let logins = Throttle::new(LOGINS, Duration::from_mins(1));
    let refusals = Throttle::new(AUDITED_REFUSALS, Duration::from_mins(1));
    let path = context.runtime.api_socket();
    let tcp = context.listen.map(|address| {
        let bound = std::net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).and_then(|()| Ok((listener.local_addr()?, listener))));
        bound.map_err(|source| ServeError::Listen { address, source })
    });
    let (address, tcp) = tcp.transpose()?.unzip();
    if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(%address, "the API listens beyond this machine and speaks no TLS: put a proxy with TLS before it");
    }
    let unix = unix_listener(&path).map_err(|source| ServeError::Socket { path: path.clone(), source })?;
    let (stopping, stop) = watch::channel(false);
    let (done, finished) = oneshot::channel();
    let store = context.database.clone().map(|database| OperatorStore::new(database, "etl-supervisor operators"));
    let api = Arc::new(Api {
        context,
        tokens,
        sessions,
        jwt,
        failures,
        logins,
        refusals,
        unrecorded: AtomicU64::new(0),
        requests: super::metrics::Requests::default(),
        rendering: Turns::new(1),
        log_readers: Turns::new(LOG_READERS),
        store,
        live: overview::Live::default(),
        stopping: stop.clone(),
    });
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(turns::THREADS)
        .build()
        .map_err(ServeError::Thread)?;
    let main = async move {
        if let Err(error) = doors(unix, tcp, api, stop).await {
            tracing::error!(%error, "the API is not served");
        }
    };
    thread::Builder::new()
        .name("api".to_owned())
        .spawn(move || {
            runtime.block_on(main);
            // Readers of a disk that does not answer are not waited for.
            runtime.shutdown_background();
            let _ = fs::remove_file(path);
            let _ = done.send(());
        })
        .map_err(ServeError::Thread)?;
    Ok(Serving { address, stopping, finished })
}

async fn doors(
    unix: std::os::unix::net::UnixListener,
    tcp: Option<std::net::TcpListener>,
    api: Arc<Api>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    tokio::spawn(overview::watch(Arc::clone(&api)));
    let keys = Arc::clone(&api);
    // Ends with the runtime.
    tokio::spawn(async move {
        if let Some(jwt) = &keys.jwt {
            jwt.keep_keys().await;
        }
    });
    let router = router(api);
    let unix = admit(Door::Unix(UnixListener::from_std(unix)?), router.clone(), stop.clone());
    let tcp = tcp.map(TcpListener::from_std).transpose()?;
    let tcp = async {
        if let Some(tcp) = tcp {
            admit(Door::Tcp(tcp), router, stop).await;
        }
    };
    tokio::join!(unix, tcp);
    Ok(())
}

/// Made beside its place and moved there, so that no client ever finds it half made or open to everybody.
fn unix_listener(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // On Linux the file of a socket gets the mode of the socket, less the umask; the second change undoes the umask.
    fchmod(&socket, Mode::from_bits_truncate(SOCKET_MODE))?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(&beside)?)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(SOCKET_MODE))?;
    listen(&socket, Backlog::MAXCONN)?;
    fs::rename(&beside, path)?;
    Ok(socket.into())
}
