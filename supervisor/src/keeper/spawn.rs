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
    isolation::{Isolation, Prepared},
    lease::{Attempt, Leases},
    log_file,
    log_rotator::LogRotator,
    program::errno_of,
    protocol::SpawnFailure,
    raw::{Launch, LaunchFailure, Launcher, Step},
    template::{Command, Environment, Templates, failed},
};
use crate::{
    clock::BootTime,
    settings::{Readiness, Runtime},
    worker_log::current,
};

/// What all workers are started from.
pub(super) struct Spawner {
    pub(super) templates: Templates,
    pub(super) leases: Leases,
    launcher: Launcher,
    flight_directory: PathBuf,
    log_directory: PathBuf,
    pub(super) log_rotator: LogRotator,
    /// `/dev/null`, also at the numbers that launched processes get their descriptors at: nothing else of ours may have them.
    null: Vec<File>,
    pub(super) isolation: Isolation,
}

/// A process that runs its program.
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) started_at: BootTime,
    /// It has no way to say that it is ready.
    pub(super) ready: bool,
    pub(super) grace: Duration,
    /// The user that it is, where that is not ours.
    pub(super) user: Option<u32>,
}

impl Spawner {
    pub(super) fn new(runtime: &Runtime, templates: Templates, isolation: Isolation) -> io::Result<Self> {
        let mut null = Vec::new();
        while null.len() < 4 {
            null.push(File::open("/dev/null")?);
        }
        Ok(Self {
            templates,
            leases: Leases::new(runtime.lease_directory()),
            launcher: Launcher::new(),
            flight_directory: runtime.flight_directory(),
            log_directory: runtime.log_directory.clone(),
            log_rotator: LogRotator::new(runtime.log_directory.clone()),
            null,
            isolation,
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
        let program = self.templates.program(queue)?;
        let step = |what: &'static str, path: PathBuf| {
            move |error: io::Error| failed(format!("{what} {}", path.display()), errno_of(&error))
        };
        let lease = match self.leases.take(worker).map_err(step("take the lease", self.leases.path(worker)))? {
            Attempt::Taken(lease) => lease,
            Attempt::Held(holder) => return Err(SpawnFailure::LeaseHeld { holder }),
        };
        let log = self
            .log_rotator
            .with(|rotations| log_file::open(rotations, worker, queue))
            .map_err(step("open the log file", current(&self.log_directory, worker)))?;
        let flight_path = self.flight_directory.join(worker.to_string());
        // Emptied here: whoever wanted to know what the process before this one was doing has read it by now.
        let flight = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&flight_path);
        let flight = flight.map_err(step("create the flight record", flight_path))?;
        let Prepared { user, directory, group, ruleset, limits } = self.isolation.prepare(worker, queue, &program)?;
        let environment =
            Environment { incarnation, has_credentials: credentials.is_some(), own_directory: &directory, user };
        let command = self.templates.command(queue, worker, &program, &environment)?;
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
            limits: &limits,
            oom_score: self.isolation.oom_score(),
            group: group.as_ref().map(|(_, entrance)| entrance.as_fd()),
            user,
            ruleset: ruleset.as_ref().map(AsFd::as_fd),
        };
        let launched = self.launcher.launch(&launch);
        if launched.is_err()
            && let Some((leaf, _)) = &group
            && let Err(error) = leaf.remove()
        {
            tracing::warn!(%worker, %error, "control group not removed");
        }
        let (pid, pidfd) = launched.map_err(|failure| explain(failure, &command, user))?;
        if let Err(error) = Leases::sign(&lease, pid) {
            tracing::warn!(%worker, %error, "lease not signed");
        }
        let ready = queue.ready == Readiness::Exec;
        Ok(Spawned { pid, pidfd, started_at, ready, grace: queue.grace, user })
    }
}

/// A failed launch in words.
fn explain(LaunchFailure { step, errno }: LaunchFailure, command: &Command, user: Option<u32>) -> SpawnFailure {
    let program = command.program.to_string_lossy();
    let step = match step {
        Step::Clone => "create a process".to_owned(),
        Step::Descriptors => "hand over lease, credentials and flight record".to_owned(),
        Step::Group => "enter the control group".to_owned(),
        Step::OutOfMemory => "take a place in the order of the out-of-memory killer".to_owned(),
        Step::Limits => "set limits".to_owned(),
        Step::Session => "begin a session".to_owned(),
        Step::Streams => "connect the standard streams".to_owned(),
        Step::Deadline => "set a deadline for its start".to_owned(),
        Step::User => format!("become user {}", user.unwrap_or_default()),
        Step::Capabilities => "give up all capabilities".to_owned(),
        Step::Ruleset => "restrict the file system".to_owned(),
        Step::Parent => "tie the process to the keeper's life".to_owned(),
        Step::Privileges => "give up new privileges".to_owned(),
        Step::Directory => format!("change to the directory {}", command.directory.to_string_lossy()),
        // The file itself was found before.
        Step::Execute if errno == Errno::ENOENT => {
            format!("execute {program} (the interpreter that it asks for does not exist)")
        }
        Step::Execute => match user.filter(|_| errno == Errno::EACCES) {
            Some(user) => format!("execute {program} as user {user}"),
            None => format!("execute {program}"),
        },
    };
    failed(step, errno)
}
