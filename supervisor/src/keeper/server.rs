//! The keeper's loop: one thread that waits for everything at once and never for anybody. What may have to wait for the disk, which is
//! making a log smaller, is another one's: see [`super::log_rotator`].

use std::{
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        signalfd::SignalFd,
    },
};

use super::{
    KeeperError,
    notify::NotifySocket,
    peer::Peer,
    process_table::{FIRST_PROCESS, ProcessTable, Token},
    protocol::Report,
    spawn::Spawner,
};

mod conversation;
mod exits;
mod signals;

const LISTENER: u64 = 0;
const NOTIFY: u64 = 1;
const SIGNALS: u64 = 2;
const PEER: u64 = 3;

/// Events taken at once.
const BATCH: usize = 128;
/// Requests carried out before exits are looked at again.
const REQUESTS_AT_ONCE: usize = 16;
/// How long connections are left waiting when there is no descriptor to take one with.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);

/// Between two portions of tidying up: nobody is to wait for it.
const TIDY_AGAIN: Duration = Duration::from_millis(10);

/// What a keeper is started with.
pub(super) struct Parts {
    pub(super) config_path: PathBuf,
    pub(super) runtime_directory: PathBuf,
    pub(super) socket_path: PathBuf,
    pub(super) listener: UnixListener,
    pub(super) notify: NotifySocket,
    pub(super) signals: SignalFd,
    pub(super) spawner: Spawner,
}

/// The keeper at work.
pub(super) struct Server {
    parts: Parts,
    epoll: Epoll,
    table: ProcessTable,
    peer: Option<Peer>,
    /// When orphans are looked through.
    sweep_at: Option<Instant>,
    /// When more of what was set aside is tidied up.
    tidy_at: Option<Instant>,
    /// Set while there are connections that cannot be taken.
    listen_at: Option<Instant>,
    /// Set once everything is to be stopped.
    stopping: Option<Stopping>,
    /// Asked to end, with nothing left to look after.
    done: bool,
}

/// Everything is being stopped.
struct Stopping {
    since: Instant,
    /// Whether nobody is waited for any more.
    killed: bool,
}

impl Server {
    pub(super) fn new(parts: Parts) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&parts.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&parts.notify.socket, EpollEvent::new(EpollFlags::EPOLLIN, NOTIFY))?;
        epoll.add(&parts.signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
        let table = ProcessTable::default();
        Ok(Self {
            parts,
            epoll,
            table,
            peer: None,
            sweep_at: None,
            tidy_at: None,
            listen_at: None,
            stopping: None,
            done: false,
        })
    }

    /// Works until it is told to end.
    pub(super) fn serve(mut self) -> Result<(), KeeperError> {
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => return Err(KeeperError::Setup { what: "wait for events", source: errno.into() }),
            };
            let happened = |token| events[..count].iter().find(|event| event.data() == token).map(EpollEvent::events);
            // What a process said before it ended is heard before its end.
            self.hear_readiness();
            for event in events[..count].iter().filter(|event| event.data() >= FIRST_PROCESS) {
                self.main_process_ended(Token(event.data()));
            }
            if happened(SIGNALS).is_some() {
                self.read_signals();
            }
            if let Some(flags) = happened(PEER) {
                self.converse(flags);
            }
            if happened(LISTENER).is_some() {
                self.accept();
            }
            self.keep_time();
            self.watch_peer();
            if self.done || (self.stopping.is_some() && self.table.is_empty()) {
                self.end_orphans();
                self.part();
                self.parts.spawner.isolation.leave();
                return Ok(());
            }
        }
    }

    fn hear_readiness(&mut self) {
        for token in self.parts.notify.newly_ready(&mut self.table) {
            if let Some(process) = self.table.get(token) {
                let ready = Report::Ready { worker: process.worker.clone(), incarnation: process.incarnation };
                self.report(&ready);
            }
        }
    }

    /// Tells the brain, where there is one; a later one is told what still matters by the listing.
    fn report(&mut self, report: &Report) {
        if let Some(peer) = self.peer.as_mut().filter(|peer| peer.greeted) {
            peer.tell(report);
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.sweep();
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy_at = self.parts.spawner.isolation.tidy().then(|| Instant::now() + TIDY_AGAIN);
        }
        if self.listen_at.is_some_and(|at| at <= now) {
            self.listen_at = None;
            self.listen(true);
        }
        self.enforce_grace(now);
    }

    fn timeout(&self) -> EpollTimeout {
        let next = [self.sweep_at, self.tidy_at, self.listen_at, self.next_grace()];
        let next = next.into_iter().flatten().min();
        let Some(next) = next else { return EpollTimeout::NONE };
        // Rounded up, or the last part of a millisecond would be spent turning round.
        let wait = next.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
    }

    fn listen(&mut self, on: bool) {
        let flags = if on { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        if let Err(errno) = self.epoll.modify(&self.parts.listener, &mut EpollEvent::new(flags, LISTENER)) {
            tracing::warn!(%errno, on, "listener not switched");
        }
        self.listen_at = (!on).then(|| Instant::now() + LISTEN_AGAIN);
    }

    fn socket_path(&self) -> &Path {
        &self.parts.socket_path
    }
}
