//! The keeper: a small process that is the parent of every worker. One thread does everything, but for waiting until the disk has
//! what was moved from one log file to another: see `log_rotator`.
//!
//! It exists so that the rest of the supervisor can crash, be killed or be upgraded while the workers go on, and so that no
//! exit code is ever lost. It holds no policy and makes no network connection.
//!
//! What it promises:
//!
//! 1. A process is started only from a command template of the configuration, by the name of a queue type.
//! 2. Never two: a process is started only with the worker's lease in hand, and the lease goes with the process.
//! 3. An exit is told once the process has been reaped and nobody whom it left behind holds its lease; it is told again to
//!    every brain that connects until one has noted it.
//! 4. Whoever a process leaves behind when it ends is killed, as far as it can be recognised (see `tree`).
//! 5. A worker does not outlive the keeper, whatever the keeper dies of; whoever a worker started may, until the next keeper
//!    begins.
//! 6. No brain can make it wait: one that does not read is told later, or left and told everything again. Nor can a worker that
//!    writes more than the disk takes.
//!
//! To the keeper itself: TERM, INT or QUIT stops every worker, a second one at once; HUP reads the templates again.

use std::{
    fs, io,
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

use etl_shared::{hidden::hide_memory, settings::SettingsError};
use nix::{
    sys::{
        prctl::set_child_subreaper,
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
        stat::{Mode, umask},
    },
    unistd::chdir,
};

use self::{
    directories::OnlyKeeper,
    isolation::Isolation,
    notify::NotifySocket,
    server::{Parts, Server},
    spawn::Spawner,
    template::Templates,
};
use crate::settings::Settings;

pub mod client;
mod credentials;
mod detached;
mod directories;
mod filesystem;
mod groups;
mod identities;
mod isolation;
mod lease;
mod limits;
mod log_cut;
pub(crate) mod log_file;
pub(crate) mod log_rotation;
mod log_rotator;
mod notify;
mod packet;
mod peer;
mod privileges;
mod process_table;
pub mod program;
pub mod protocol;
mod raw;
mod reach;
mod server;
mod spawn;
mod template;
mod tree;
mod users;
mod walls;
mod workplace;

pub use client::{Client, ClientError, Hello};
pub use credentials::credentials_memfd;
pub use detached::{StartError, start_detached, start_detached_from};
pub use raw::give_up_capabilities;

/// The keeper cannot work.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A directory or file of its own cannot be made or used.
    #[error("cannot prepare {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others could take the place of its sockets and leases.
    #[error("{} cannot be used: {why}", path.display())]
    UnsafeDirectory {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another keeper works there.
    #[error("a keeper{} works in {} already", pid.map_or_else(String::new, |pid| format!(" (process {pid})")), directory.display())]
    AlreadyRunning {
        /// The runtime directory.
        directory: PathBuf,
        /// The other one's process, once it has written it down.
        pid: Option<i32>,
    },
    /// It was started in a process with several threads, where a worker would end with the thread that started it.
    #[error("the keeper was started in a process that has more than one thread")]
    Threads,
    /// The operating system refused something.
    #[error("cannot {what}")]
    Setup {
        /// What.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Runs the keeper until it is told to end. To be called in a process that has one thread and is used for nothing else: it
/// changes the umask, the working directory, the signal mask and the limits.
pub fn run(config_path: &Path) -> Result<(), KeeperError> {
    if fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(KeeperError::Threads);
    }
    let settings = Settings::load(config_path)?;
    let config_path = std::path::absolute(config_path).map_err(setup("find the configuration's directory"))?;
    umask(Mode::from_bits_truncate(0o027));
    directories::prepare(&settings.runtime)?;
    let _only = OnlyKeeper::claim(&settings.runtime)?;
    chdir("/").map_err(setup("change to the root directory"))?;

    // All of them, so that no handler can run while a process that is being started borrows our memory.
    SigSet::all().thread_block().map_err(setup("block signals"))?;
    raw::default_child_signal().map_err(setup("ask for the ends of processes"))?;
    let heard: SigSet =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&heard, flags).map_err(setup("hear signals"))?;
    set_child_subreaper(true).map_err(setup("become the parent of orphans"))?;

    // No core of it, and nobody of the same user may look into its memory.
    hide_memory().map_err(setup("hide our memory"))?;
    let _ = raise_open_files();
    let isolation = Isolation::new(&settings, &config_path);
    let left_over = isolation.users.kill_left_over();
    let templates = Templates::new(settings.queues, settings.runtime.notify_socket(), &settings.telemetry);
    let spawner = Spawner::new(&settings.runtime, templates, isolation).map_err(setup("open /dev/null"))?;
    let left_over = left_over + tree::kill_left_over_from_before(&spawner.leases);
    if left_over > 0 {
        tracing::warn!(processes = left_over, "killed whom workers of an earlier keeper had left behind");
    }
    let notify_path = settings.runtime.notify_socket();
    let notify = NotifySocket::bind(&notify_path).map_err(directory_error(&notify_path))?;
    let socket_path = settings.runtime.keeper_socket();
    let listener = listen_at(&socket_path).map_err(directory_error(&socket_path))?;

    let runtime_directory = settings.runtime.directory;
    let parts = Parts { config_path, runtime_directory, socket_path, listener, notify, signals, spawner };
    let server = Server::new(parts).map_err(setup("watch for events"))?;
    tracing::info!(pid = std::process::id(), "keeper ready");
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "service manager not told that we are ready");
    }
    server.serve()?;
    tracing::info!("keeper ends");
    Ok(())
}

fn setup<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> KeeperError {
    move |source| KeeperError::Setup { what, source: source.into() }
}

fn directory_error(path: &Path) -> impl Fn(io::Error) -> KeeperError + '_ {
    |source| KeeperError::Directory { path: path.to_owned(), source }
}

/// Every worker costs a descriptor here. The limits that were there before, for the workers; `None` where they have not changed.
pub(crate) fn raise_open_files() -> Option<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft >= hard {
        return None;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Some((soft, hard)),
        Err(errno) => {
            tracing::warn!(%errno, soft, hard, "limit of open files not raised");
            None
        }
    }
}

/// A socket that the owner and the group of the directory's user may speak to.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    directories::remove_stale(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    // The umask lets nobody else in before the mode is set.
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    listen(&socket, Backlog::new(16)?)?;
    Ok(socket.into())
}
