//! What happened. An event never says what to do about it.

use std::time::Duration;

use etl_shared::WorkerName;

use super::{
    exit::{Exit, SpawnTrouble},
    state::{StopCause, Why},
};
use crate::clock::BootTime;

/// How long a worker may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From its start until it says that it is ready.
    pub start_timeout: Duration,
    /// From TERM until it has left.
    pub grace: Duration,
    /// It cannot say that it is ready: it counts as ready once its program runs.
    pub ready_on_exec: bool,
}

/// A process that was already there when the supervisor came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which of the worker's processes it is.
    pub incarnation: u64,
    /// Its pid.
    pub pid: i32,
    /// When it started.
    pub started_at: BootTime,
    /// Whether it has said that it is ready.
    pub ready: bool,
}

/// A fact. Those about a process carry its incarnation, so that late news about an earlier one changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The worker should run. Adds it where it is new.
    Want {
        /// Which worker.
        worker: WorkerName,
        /// Its limits in time.
        timing: Timing,
        /// What it cannot do without and is not there yet, in words for a person.
        blocked: Option<String>,
    },
    /// Its limits in time are others from the next step on.
    Retime {
        /// Which worker.
        worker: WorkerName,
        /// Its limits in time.
        timing: Timing,
    },
    /// The worker should not run, but be known. Adds it where it is new.
    Unwant {
        /// Which worker.
        worker: WorkerName,
        /// Why not.
        why: Why,
    },
    /// The worker should be gone.
    Remove {
        /// Which worker.
        worker: WorkerName,
        /// Why.
        why: Why,
    },
    /// An operator wants it to run now: whatever was held against it is forgotten.
    Revive {
        /// Which worker.
        worker: WorkerName,
    },
    /// Its process should be replaced.
    Replace {
        /// Which worker.
        worker: WorkerName,
        /// Why.
        cause: StopCause,
    },
    /// There is no work: it need not run.
    Rest {
        /// Which worker.
        worker: WorkerName,
    },
    /// There is work again.
    Wake {
        /// Which worker.
        worker: WorkerName,
    },
    /// Nobody wants to wait for its process any longer.
    Hurry {
        /// Which worker.
        worker: WorkerName,
    },
    /// What it cannot do without is missing.
    Blocked {
        /// Which worker.
        worker: WorkerName,
        /// What is missing, for a person.
        on: String,
    },
    /// What it cannot do without is there.
    Unblocked {
        /// Which worker.
        worker: WorkerName,
    },
    /// Broker or database answers again: workers that left because of them may try.
    DependencyUp,
    /// A process lives that nobody here started.
    Found(WorkerName, Found),
    /// The keeper started the process.
    Spawned {
        /// Which worker.
        worker: WorkerName,
        /// Which process.
        incarnation: u64,
        /// Its pid.
        pid: i32,
        /// When it started.
        started_at: BootTime,
    },
    /// The keeper could not start a process.
    SpawnFailed {
        /// Which worker.
        worker: WorkerName,
        /// Which process it would have been.
        incarnation: u64,
        /// Why not.
        trouble: SpawnTrouble,
    },
    /// The process says that it is ready.
    Ready {
        /// Which worker.
        worker: WorkerName,
        /// Which process.
        incarnation: u64,
    },
    /// The process is gone.
    Exited {
        /// Which worker.
        worker: WorkerName,
        /// Which process.
        incarnation: u64,
        /// How.
        exit: Exit,
    },
    /// A keeper answers, and every process that it has was said.
    KeeperUp,
    /// The keeper is gone, and with it every process.
    KeeperLost,
    /// Time has passed.
    Tick,
}
