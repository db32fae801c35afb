//! The brain's end of the conversation with the keeper.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use etl_shared::{QueueType, api::Wall};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt::PeerCredentials},
    unistd::Pid,
};
use tokio::{
    io::{Interest, Ready, unix::AsyncFd},
    time::timeout,
};

use super::{
    packet::{Inbox, Incoming, Outbox},
    protocol::{MAX_PACKET, OTHER_VERSION, Report, Request, VERSION},
    raw,
};

/// How long a keeper may take to answer a hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// A conversation with the keeper.
pub struct Client {
    socket: AsyncFd<OwnedFd>,
    inbox: Inbox,
    outbox: Outbox,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The keeper's process.
    pub pid: i32,
    /// Templates that it can start.
    pub queue_types: Vec<QueueType>,
    /// What keeps its workers apart.
    pub walls: Vec<Wall>,
    /// Whether it can make logs smaller while they are written.
    pub rotates_logs: bool,
}

/// There is no conversation with the keeper, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("cannot connect to the keeper at {}", path.display())]
    Connect {
        /// The keeper's socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The keeper does not want to speak to us.
    #[error("the keeper refused: {0}")]
    Refused(String),
    /// It speaks another version of the protocol.
    #[error("the keeper refused: {0}; restart the keeper: its workers end with it and are started again")]
    OtherVersion(String),
    /// Nothing was answered in time.
    #[error("the keeper does not answer")]
    Silent,
    /// The keeper ended, or ended the conversation.
    #[error("the keeper has hung up")]
    Closed,
    /// The keeper said something that we do not understand.
    #[error("the keeper said something that is no report")]
    NotUnderstood(#[source] serde_json::Error),
    /// What we wanted to say has no form.
    #[error("a request to the keeper cannot be written: {0}")]
    NotSaid(String),
    /// The socket failed.
    #[error("the connection to the keeper failed")]
    Io(#[source] io::Error),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("waiting", &self.outbox.len()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects and says hello. Everything that the keeper has to say about its processes follows from [`Client::recv`].
    pub async fn connect(path: &Path) -> Result<(Self, Hello), ClientError> {
        let socket = connect_to(path).map_err(|source| ClientError::Connect { path: path.to_owned(), source })?;
        let socket = raw::watch(socket).map_err(ClientError::Io)?;
        let mut client = Self { socket, inbox: Inbox::new(), outbox: Outbox::default() };
        match client.send(&Request::Hello { version: VERSION }, None) {
            // One that turned us away has hung up already, but has said why.
            Ok(()) | Err(ClientError::Closed) => {}
            Err(error) => return Err(error),
        }
        match timeout(HELLO_WITHIN, client.recv()).await.map_err(|_| ClientError::Silent)?? {
            Report::Hello { pid, queue_types, walls, rotates_logs, .. } => {
                Ok((client, Hello { pid, queue_types, walls, rotates_logs }))
            }
            Report::Refused { detail } if detail.contains(OTHER_VERSION) => Err(ClientError::OtherVersion(detail)),
            Report::Refused { detail } => Err(ClientError::Refused(detail)),
            other => Err(ClientError::Refused(format!("it began the conversation with {other:?}"))),
        }
    }

    /// Says something. Never waits: what does not fit into the socket now goes out while [`Client::recv`] is awaited.
    pub fn send(&mut self, request: &Request, fd: Option<OwnedFd>) -> Result<(), ClientError> {
        let packet = serde_json::to_vec(request).map_err(|error| ClientError::NotSaid(error.to_string()))?;
        if packet.len() > MAX_PACKET {
            return Err(ClientError::NotSaid(format!("it would have {} bytes", packet.len())));
        }
        self.outbox.send(self.socket.get_ref(), packet, fd).map_err(failure)
    }

    /// What the keeper says next. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Result<Report, ClientError> {
        loop {
            // Reading first: what the keeper said before it hung up is still there when nothing can be said to it.
            if let Some(report) = self.take()? {
                return Ok(report);
            }
            self.outbox.flush(self.socket.get_ref()).map_err(failure)?;
            let no_room = !self.outbox.is_empty();
            let interest = if no_room { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let mut guard = self.socket.ready(interest).await.map_err(ClientError::Io)?;
            // Tried again under the guard, so that only readiness that proved to be none is forgotten.
            if guard.ready().is_readable() {
                match take(&mut self.inbox, guard.get_inner())? {
                    Some(report) => return Ok(report),
                    None => guard.clear_ready_matching(Ready::READABLE),
                }
            }
            if guard.ready().is_writable() {
                self.outbox.flush(guard.get_inner()).map_err(failure)?;
                if !self.outbox.is_empty() {
                    guard.clear_ready_matching(Ready::WRITABLE);
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<Report>, ClientError> {
        take(&mut self.inbox, self.socket.get_ref())
    }
}

fn take(inbox: &mut Inbox, socket: &OwnedFd) -> Result<Option<Report>, ClientError> {
    match inbox.receive(socket) {
        Ok(Incoming::Packet(packet, _)) => {
            serde_json::from_slice(&packet).map(Some).map_err(ClientError::NotUnderstood)
        }
        Ok(Incoming::TooLarge) => Err(ClientError::Io(Errno::EMSGSIZE.into())),
        Err(Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(failure(errno)),
    }
}

fn connect_to(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket)
}

/// The process that listens at the keeper's socket.
pub(super) fn listener(path: &Path) -> Option<Pid> {
    let keeper = getsockopt(&connect_to(path).ok()?, PeerCredentials).ok()?;
    Some(Pid::from_raw(keeper.pid()))
}

fn failure(errno: Errno) -> ClientError {
    match errno {
        Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN => ClientError::Closed,
        errno => ClientError::Io(errno.into()),
    }
}
