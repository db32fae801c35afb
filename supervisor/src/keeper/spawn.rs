//! Starts a worker's process: everything is opened and built first, then one launch.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::PathBuf,
    time::Duration,
};

use etl_shared::WorkerName;
use nix::{errno::Errno, unistd::Pid};

use super::{
    lease::{Attempt, Leases},
    log_file,
    program::errno_of,
    protocol::SpawnFailure,
    raw::{Launch, LaunchFailure, Launcher, Step},
    template::{Command, Templates, failed},
};
use crate::{
    clock::BootTime,
    settings::{Readiness, Runtime},
};

/// What all workers are started from.
pub(super) struct Spawner {
    pub(super) templates: Templates,
    pub(super) leases: Leases,
    launcher: Launcher,
    flight_directory: PathBuf,
    log_directory: PathBuf,
    /// `/dev/null`, also at the numbers that launched processes get their descriptors at: nothing else of ours may have them.
    null: Vec<File>,
    open_files: Option<(u64, u64)>,
    reset_oom_score: bool,
}

/// A process that runs its program.
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) started_at: BootTime,
    /// It has no way to say that it is ready.
    pub(super) ready: bool,
    pub(super) grace: Duration,
}

impl Spawner {
    /// `open_files`: the limits that workers get, where the keeper has changed its own.
    pub(super) fn new(runtime: &Runtime, templates: Templates, open_files: Option<(u64, u64)>) -> io::Result<Self> {
        let mut null = Vec::new();
        while null.len() < 4 {
            null.push(File::open("/dev/null")?);
        }
        let score = std::fs::read_to_string("/proc/self/oom_score_adj");
        Ok(Self {
            templates,
            leases: Leases::new(runtime.lease_directory()),
            launcher: Launcher::new(),
            flight_directory: runtime.flight_directory(),
            log_directory: runtime.log_directory.clone(),
            null,
            open_files,
            reset_oom_score: score.is_ok_and(|score| score.trim() != "0"),
        })
    }

    /// Starts the process, or says at which step it failed; then nothing of it is left.
    pub(super) fn spawn(
        &mut self,
        worker: &WorkerName,
        incarnation: u64,
        credentials: Option<BorrowedFd<'_>>,
    ) -> Result<Spawned, SpawnFailure> {
        let queue = self.templates.get(&worker.queue_type).ok_or(SpawnFailure::UnknownTemplate)?;
        let command = self.templates.command(queue, worker, incarnation, credentials.is_some())?;
        let step = |what: &'static str, path: PathBuf| {
            move |error: io::Error| failed(format!("{what} {}", path.display()), errno_of(&error))
        };
        let lease = match self.leases.take(worker).map_err(step("take the lease", self.leases.path(worker)))? {
            Attempt::Taken(lease) => lease,
            Attempt::Held(holder) => return Err(SpawnFailure::LeaseHeld { holder }),
        };
        let log = log_file::open(&self.log_directory, worker, queue.log_max_size)
            .map_err(step("open the log file", log_file::path(&self.log_directory, worker)))?;
        let flight_path = self.flight_directory.join(worker.to_string());
        // Emptied here: whoever wanted to know what the process before this one was doing has read it by now.
        let flight = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&flight_path);
        let flight = flight.map_err(step("create the flight record", flight_path))?;
        let null = self.null.last().ok_or_else(|| failed("open /dev/null".to_owned(), Errno::EBADF))?;
        let started_at = BootTime::now();
        let launch = Launch {
            program: &command.program,
            arguments: &command.arguments,
            environment: &command.environment,
            directory: &command.directory,
            input: null.as_fd(),
            output: log.as_fd(),
            kept: [Some(lease.as_fd()), credentials, Some(flight.as_fd())],
            open_files: self.open_files,
            reset_oom_score: self.reset_oom_score,
        };
        let (pid, pidfd) = self.launcher.launch(&launch).map_err(|failure| explain(failure, &command))?;
        if let Err(error) = Leases::sign(&lease, pid) {
            tracing::warn!(%worker, %error, "lease not signed");
        }
        let ready = queue.ready == Readiness::Exec;
        Ok(Spawned { pid, pidfd, started_at, ready, grace: queue.grace })
    }
}

/// A failed launch in words.
fn explain(LaunchFailure { step, errno }: LaunchFailure, command: &Command) -> SpawnFailure {
    let program = command.program.to_string_lossy();
    let step = match step {
        Step::Clone => "create a process".to_owned(),
        Step::Descriptors => "hand over lease, credentials and flight record".to_owned(),
        Step::Limits => "set the limit of open files".to_owned(),
        Step::Session => "begin a session".to_owned(),
        Step::Streams => "connect the standard streams".to_owned(),
        Step::Parent => "tie the process to the keeper's life".to_owned(),
        Step::Privileges => "give up new privileges".to_owned(),
        Step::Directory => format!("change to the directory {}", command.directory.to_string_lossy()),
        // The file itself was found before.
        Step::Execute if errno == Errno::ENOENT => {
            format!("execute {program} (the interpreter that it asks for does not exist)")
        }
        Step::Execute => format!("execute {program}"),
    };
    failed(step, errno)
}
