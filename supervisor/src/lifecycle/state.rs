//! Where a worker stands, and where somebody wants it. The two are never mixed.

use std::time::{Duration, SystemTime};

use etl_shared::api::WorkerState;

use crate::clock::BootTime;

/// What is wanted of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nobody has said yet: a process that was found is left alone, none is started.
    Undecided,
    /// It should run.
    Up,
    /// It may rest until there is work.
    Resting,
    /// It should not run.
    Down(Why),
    /// It should not be here any longer.
    Gone(Why),
}

/// Why a worker is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// An operator said so.
    Operator,
    /// Somebody has paused it.
    Paused {
        /// Until then, on the wall clock: people have named the moment.
        until: SystemTime,
    },
    /// Its tenant is not active any longer, or its slot was taken away.
    NotListed,
    /// The supervisor is going down and takes its workers with it.
    Shutdown,
}

/// Why a process was told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// An operator stopped or restarted it.
    Operator,
    /// Its command template changed.
    Changed,
    /// Fewer workers are wanted, or none.
    ScaleDown,
    /// It is replaced in time, such as for its memory.
    Recycle,
    /// It did not become ready in its time.
    NeverReady,
    /// It makes no progress.
    Hung,
}

/// What a worker without process waits for. None of it is held against the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// Whatever its process named when it left with exit code 69, 75 or 77.
    Named,
    /// What the supervisor must provide first, such as its queue.
    Provision(String),
    /// A keeper.
    Keeper,
    /// The lease, which somebody else still holds.
    Lease(String),
}

/// Where a worker stands. Every state carries only what is true in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No process, and none is to be started.
    Stopped,
    /// Waits for its turn: only so many may start at once. Shown as STARTING.
    Queued,
    /// The keeper has been asked for a process. Shown as STARTING.
    Spawning {
        /// The process that it will be.
        incarnation: u64,
        /// It is to be replaced as soon as it is there, because it may be started in the old way.
        replace: Option<StopCause>,
        /// Nobody will wait for it to leave.
        hurry: bool,
    },
    /// The process runs but has not said that it is ready.
    Starting {
        /// The process.
        incarnation: u64,
        /// Its pid.
        pid: i32,
        /// When it started.
        started_at: BootTime,
        /// When it has to be ready.
        ready_by: BootTime,
        /// Until when it counts among those starting; `None` once it is only slow and no longer keeps others waiting.
        place_until: Option<BootTime>,
    },
    /// The process is ready.
    Running {
        /// The process.
        incarnation: u64,
        /// Its pid.
        pid: i32,
        /// When it started.
        started_at: BootTime,
        /// When it became ready.
        since: BootTime,
    },
    /// The process was told to leave.
    Stopping {
        /// The process.
        incarnation: u64,
        /// Its pid.
        pid: i32,
        /// When it started.
        started_at: BootTime,
        /// How long it had been ready until then; `None`: it never was.
        ran: Option<Duration>,
        /// Why it has to leave.
        cause: StopCause,
        /// When it will be killed, or killed again.
        kill_at: BootTime,
        /// Whether it has been killed.
        killed: bool,
    },
    /// Waits before the next start.
    Backoff {
        /// Until when.
        until: BootTime,
        /// How many failures in a row led here.
        attempt: u32,
    },
    /// Rests until there is work.
    Idle {
        /// Since when.
        since: BootTime,
    },
    /// Waits for something that it depends on.
    Waiting {
        /// For what.
        on: Dependency,
        /// When it is tried without having heard anything.
        retry_at: Option<BootTime>,
    },
    /// Given up.
    Fatal {
        /// Since when.
        since: BootTime,
        /// When it is tried once more.
        retry_at: BootTime,
    },
}

impl State {
    /// The word that users see.
    pub const fn shown(&self) -> WorkerState {
        match self {
            Self::Stopped => WorkerState::Stopped,
            Self::Queued | Self::Spawning { .. } | Self::Starting { .. } => WorkerState::Starting,
            Self::Running { .. } => WorkerState::Running,
            Self::Stopping { .. } => WorkerState::Stopping,
            Self::Backoff { .. } => WorkerState::Backoff,
            Self::Idle { .. } => WorkerState::Idle,
            Self::Waiting { .. } => WorkerState::Waiting,
            Self::Fatal { .. } => WorkerState::Fatal,
        }
    }

    /// The process: incarnation, pid and start.
    pub const fn process(&self) -> Option<(u64, i32, BootTime)> {
        match self {
            Self::Starting { incarnation, pid, started_at, .. }
            | Self::Running { incarnation, pid, started_at, .. }
            | Self::Stopping { incarnation, pid, started_at, .. } => Some((*incarnation, *pid, *started_at)),
            Self::Stopped
            | Self::Queued
            | Self::Spawning { .. }
            | Self::Backoff { .. }
            | Self::Idle { .. }
            | Self::Waiting { .. }
            | Self::Fatal { .. } => None,
        }
    }

    /// How long its process has been ready, not counting the time that it takes to leave; `None`: it never was.
    pub(super) const fn ready_for(&self, now: BootTime) -> Option<Duration> {
        match self {
            Self::Running { since, .. } => Some(now.since(*since)),
            Self::Stopping { ran, .. } => *ran,
            Self::Stopped
            | Self::Queued
            | Self::Spawning { .. }
            | Self::Starting { .. }
            | Self::Backoff { .. }
            | Self::Idle { .. }
            | Self::Waiting { .. }
            | Self::Fatal { .. } => None,
        }
    }

    /// The incarnation that lives or is about to.
    pub const fn incarnation(&self) -> Option<u64> {
        match self {
            Self::Spawning { incarnation, .. } => Some(*incarnation),
            _ => match self.process() {
                Some((incarnation, ..)) => Some(incarnation),
                None => None,
            },
        }
    }

    /// Whether it counts among those that are starting.
    pub(super) const fn holds_place(&self) -> bool {
        matches!(self, Self::Spawning { .. } | Self::Starting { place_until: Some(_), .. })
    }

    /// When something has to be done although nothing happened.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        match self {
            Self::Stopped | Self::Queued | Self::Spawning { .. } | Self::Running { .. } | Self::Idle { .. } => None,
            Self::Starting { ready_by, place_until, .. } => {
                Some(place_until.map_or(*ready_by, |until| until.min(*ready_by)))
            }
            Self::Stopping { kill_at, .. } => Some(*kill_at),
            Self::Backoff { until, .. } => Some(*until),
            Self::Waiting { retry_at, .. } => *retry_at,
            Self::Fatal { retry_at, .. } => Some(*retry_at),
        }
    }
}
