//! What the brain asks for, and that there is one brain at a time.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use etl_shared::WorkerName;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        epoll::{EpollEvent, EpollFlags},
        signal::{Signal, killpg},
    },
    unistd::Pid,
};

use super::{PEER, REQUESTS_AT_ONCE, Server};
use crate::{
    keeper::{
        credentials::is_sealed,
        peer::{Peer, Said},
        process_table::Token,
        protocol::{OTHER_VERSION, Report, Request, Scope, SpawnFailure, VERSION, brief},
        template::failed,
        tree, walls,
    },
    settings::Settings,
};

/// How long a brain is given to read what was said before the keeper ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Server {
    /// Lets a brain in, or says why not.
    pub(super) fn accept(&mut self) {
        let connection = match self.parts.listener.accept() {
            Ok((connection, _)) => connection,
            Err(error) if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE)) => {
                tracing::error!(%error, "no descriptor left to accept a connection with");
                return self.listen(false);
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::warn!(%error, "connection not accepted");
                }
                return;
            }
        };
        let newcomer = match Peer::admit(connection, self.socket_path()) {
            Ok(newcomer) => newcomer,
            Err((connection, detail)) => {
                tracing::warn!(detail, "connection refused");
                return Peer::turn_away(&connection, detail);
            }
        };
        self.make_room_for_another();
        if let Some(peer) = &self.peer {
            let detail = format!("another supervisor (process {}) is connected to this keeper", peer.pid);
            tracing::warn!(refused = newcomer.pid.as_raw(), detail, "connection refused");
            return Peer::turn_away(&newcomer.socket.into(), detail);
        }
        if let Err(errno) = self.epoll.add(&newcomer.socket, EpollEvent::new(EpollFlags::EPOLLIN, PEER)) {
            tracing::warn!(%errno, "connection not watched");
            return;
        }
        self.peer = Some(newcomer);
    }

    /// A peer that has gone, or does not say hello, keeps nobody out; what it had asked for is done first.
    fn make_room_for_another(&mut self) {
        let keeps_out = |peer: &Peer| peer.greeted && !peer.has_hung_up();
        let Some(peer) = self.peer.as_ref().filter(|peer| !keeps_out(peer)) else { return };
        // Whoever has hung up says nothing more; somebody else might go on for ever.
        let most = if peer.has_hung_up() { usize::MAX } else { REQUESTS_AT_ONCE };
        for _ in 0..most {
            if !self.hear_one() {
                break;
            }
        }
        if self.peer.as_ref().is_some_and(|peer| !keeps_out(peer)) {
            self.forget_peer();
        }
    }

    /// The brain said something, has room again, or is gone.
    pub(super) fn converse(&mut self, flags: EpollFlags) {
        if flags.contains(EpollFlags::EPOLLOUT)
            && let Some(peer) = &mut self.peer
        {
            peer.flush();
        }
        for _ in 0..REQUESTS_AT_ONCE {
            if !self.hear_one() {
                break;
            }
        }
    }

    /// Carries out one request; `false` when there is none.
    fn hear_one(&mut self) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        match peer.hear() {
            Said::Request(request, fd) => self.carry_out(request, fd.as_ref()),
            Said::Nonsense(detail) => self.refuse(detail),
            Said::Nothing => return false,
            Said::Gone => {
                self.forget_peer();
                return false;
            }
        }
        true
    }

    fn carry_out(&mut self, request: Request, fd: Option<&OwnedFd>) {
        if let Request::Hello { version } = request {
            return self.greet(version);
        }
        if self.peer.as_ref().is_none_or(|peer| !peer.greeted) {
            return self.refuse("the conversation has to begin with hello".to_owned());
        }
        match request {
            Request::Hello { .. } => {}
            Request::Spawn { worker, incarnation } => self.spawn(worker, incarnation, fd),
            Request::Signal { worker, incarnation, signal, scope } => self.signal(&worker, incarnation, signal, scope),
            Request::Noted { worker, incarnation } => self.table.noted(worker, incarnation),
            Request::RotateLog { worker } => self.rotate_log(worker),
            Request::Reload => self.reload(),
            Request::Shutdown if self.table.is_empty() => self.done = true,
            Request::Shutdown => self.refuse(format!("shutdown: {} processes live", self.table.len())),
        }
    }

    fn greet(&mut self, version: u32) {
        let Some(peer) = &mut self.peer else { return };
        if version != VERSION {
            let detail = format!("this keeper speaks version {VERSION}{OTHER_VERSION}{version}");
            peer.tell(&Report::Refused { detail });
            return self.forget_peer();
        }
        peer.greeted = true;
        let queue_types = self.parts.spawner.templates.types();
        let walls = walls::of(&self.parts.spawner.isolation, &self.parts.spawner.templates);
        peer.tell(&Report::Hello {
            version: VERSION,
            pid: Pid::this().as_raw(),
            queue_types,
            walls,
            rotates_logs: true,
        });
        for report in self.table.listing() {
            peer.tell(&report);
        }
        peer.tell(&Report::Listed);
        tracing::info!(brain = peer.pid.as_raw(), processes = self.table.len(), "supervisor connected");
    }

    fn spawn(&mut self, worker: WorkerName, incarnation: u64, credentials: Option<&OwnedFd>) {
        let outcome = if credentials.is_some_and(|credentials| !is_sealed(credentials)) {
            Err(failed("take over the credentials: what came is no sealed memory file".to_owned(), Errno::EINVAL))
        } else if self.stopping.is_some() {
            // No fault of the worker's, so nothing that is held against it: it is tried again, by then with the next keeper.
            Err(SpawnFailure::LeaseHeld { holder: "a keeper that is stopping".to_owned() })
        } else if let Some((_, process)) = self.table.of_worker(&worker) {
            let holder = format!("process {} of incarnation {}", process.pid, process.incarnation);
            Err(SpawnFailure::LeaseHeld { holder })
        } else {
            self.parts.spawner.spawn(&worker, incarnation, credentials.map(AsFd::as_fd))
        };
        let spawned = match outcome {
            Ok(spawned) => spawned,
            Err(failure) => {
                tracing::warn!(%worker, incarnation, ?failure, "not started");
                return self.report(&Report::SpawnFailed { worker, incarnation, failure });
            }
        };
        self.tidy_at = Some(Instant::now());
        let token = self.table.next_token();
        let watched = self.epoll.add(&spawned.pidfd, EpollEvent::new(EpollFlags::EPOLLIN, token.0));
        if let Err(errno) = watched {
            // Its end is still found by the sweep that every SIGCHLD brings about.
            tracing::error!(%worker, %errno, "process not watched");
        }
        let (pid, started_at, ready) = (spawned.pid.as_raw(), spawned.started_at, spawned.ready);
        tracing::debug!(%worker, incarnation, pid, "started");
        self.table.insert(token, worker.clone(), incarnation, spawned);
        self.report(&Report::Spawned { worker: worker.clone(), incarnation, pid, started_at });
        if ready {
            self.report(&Report::Ready { worker, incarnation });
        }
    }

    fn rotate_log(&mut self, worker: WorkerName) {
        let Some(queue) = self.parts.spawner.templates.get(&worker.queue_type) else {
            return self.refuse(format!("rotate the log of {worker}: there is no such queue type"));
        };
        self.parts.spawner.log_rotator.with(|rotations| rotations.ask(worker, queue));
    }

    fn signal(&mut self, worker: &WorkerName, incarnation: u64, number: i32, scope: Scope) {
        let Ok(signal) = Signal::try_from(number) else {
            return self.refuse(format!("signal {number} for {worker}: there is no such signal"));
        };
        let Some((token, process)) = self.table.of_worker(worker).filter(|(_, p)| p.incarnation == incarnation) else {
            return;
        };
        if !process.is_running() {
            // What it left behind is being killed already; another look does no harm.
            return self.sweep();
        }
        if signal == Signal::SIGKILL && matches!(scope, Scope::Tree) {
            self.kill_completely(token);
        }
        match scope {
            Scope::Group => self.signal_group(token, signal),
            Scope::Tree => {
                let reached = tree::signal(worker, &self.table, &self.parts.spawner.leases, signal);
                tracing::debug!(%worker, incarnation, %signal, reached, "family signalled");
            }
        }
    }

    /// Signals the process group of a process that has not been reaped, so that its number means nobody else.
    pub(super) fn signal_group(&self, token: Token, signal: Signal) {
        if let Some(process) = self.table.get(token).filter(|process| process.is_running())
            && let Err(errno) = killpg(process.pid, signal)
        {
            tracing::warn!(worker = %process.worker, %signal, %errno, "process group not signalled");
        }
    }

    /// Reads the command templates again; with a mistake in the configuration, the old ones stay.
    pub(super) fn reload(&mut self) {
        match Settings::load(&self.parts.config_path) {
            Ok(settings) => {
                if settings.runtime.directory != self.parts.runtime_directory {
                    tracing::warn!("runtime.directory has changed: that takes effect when the keeper is started again");
                }
                self.parts.spawner.isolation.replace(&settings, &self.parts.config_path);
                self.parts.spawner.templates.replace(settings.queues, &settings.telemetry);
                if let Some(peer) = self.peer.as_mut().filter(|peer| peer.greeted) {
                    let walls = walls::of(&self.parts.spawner.isolation, &self.parts.spawner.templates);
                    peer.tell(&Report::Walls { walls });
                }
                tracing::info!("command templates read again");
            }
            Err(error) => self.refuse(format!("reload: {error}")),
        }
    }

    fn refuse(&mut self, detail: String) {
        tracing::warn!(detail, "refused");
        if let Some(peer) = &mut self.peer {
            peer.tell(&Report::Refused { detail: brief(detail) });
        }
    }

    /// Looks after the connection once everything has been said for now.
    pub(super) fn watch_peer(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        if peer.is_stalled() {
            tracing::warn!(brain = peer.pid.as_raw(), "the supervisor does not read: leaving it");
            return self.forget_peer();
        }
        let wants = peer.wants_room();
        if wants != peer.watched_for_room {
            let flags = if wants { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
            match self.epoll.modify(&peer.socket, &mut EpollEvent::new(flags, PEER)) {
                Ok(()) => peer.watched_for_room = wants,
                Err(errno) => tracing::warn!(%errno, "connection not watched for room"),
            }
        }
    }

    fn forget_peer(&mut self) {
        if let Some(peer) = self.peer.take() {
            // Before it is closed: an event of a closed descriptor could otherwise still come.
            let _ = self.epoll.delete(&peer.socket);
            if peer.greeted {
                tracing::info!(
                    brain = peer.pid.as_raw(),
                    processes = self.table.len(),
                    "supervisor gone, workers go on"
                );
            }
        }
    }

    /// Lets the brain read the last exits.
    pub(super) fn part(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let until = Instant::now() + LAST_WORDS;
        while peer.wants_room() && Instant::now() < until {
            let timeout = PollTimeout::try_from(LAST_WORDS).unwrap_or(PollTimeout::ZERO);
            let mut room = [PollFd::new(peer.socket.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut room, timeout).is_err() {
                break;
            }
            peer.flush();
        }
    }
}
