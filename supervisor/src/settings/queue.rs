//! `[queues.<type>]`

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use etl_shared::settings::unit;
use serde::Deserialize;

const MIB: u64 = 1024 * 1024;

/// `[queues.<type>]`: how workers of one kind are run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// The program and its arguments; `{queue}`, `{tenant_id}`, `{worker}` and `{slot}` are replaced.
    pub command: Vec<String>,
    /// Workers of each tenant.
    pub workers: u16,
    /// The most that a tenant's operator may ask for, unless something else is set for the tenant.
    pub workers_max: u16,
    /// How a process says that it is ready.
    pub ready: Readiness,
    /// How long it may take until it is ready.
    #[serde(with = "unit::duration")]
    pub start_timeout: Duration,
    /// How long it may take to leave after TERM.
    #[serde(with = "unit::duration")]
    pub grace: Duration,
    /// How long a worker may be at work on the same message, or batch, before it counts as hung.
    #[serde(with = "unit::duration")]
    pub job_timeout: Duration,
    /// Variables added to the clean environment.
    pub environment: BTreeMap<String, String>,
    /// Working directory; absent: a directory of its own.
    pub working_directory: Option<PathBuf>,
    /// At a start, a log file larger than this, in bytes, is renamed to `.1`.
    #[serde(with = "unit::size")]
    pub log_max_size: u64,
    /// A worker that has more resident memory than this, in bytes, for several looks is replaced when it can be.
    #[serde(with = "unit::size")]
    pub memory_soft: u64,
    /// A worker never has more than this, in bytes: it is killed.
    #[serde(with = "unit::size")]
    pub memory_max: u64,
    /// Most processes and threads of a worker, its descendants included.
    pub tasks_max: u64,
    /// Its share of the processors against the others', 1 to 10000.
    pub cpu_weight: u64,
    /// Most files that a worker may have open.
    pub open_files: u64,
    /// What a worker may read beside the system's own directories and its program's.
    pub readable: Vec<PathBuf>,
    /// What a worker may write beside its own directory.
    pub writable: Vec<PathBuf>,
}

/// How a process says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// It sends `READY=1` to `$NOTIFY_SOCKET`.
    #[default]
    Notify,
    /// It cannot say: it counts as ready once it has been executed.
    Exec,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            command: ["transform-worker", "--queue", "{queue}"].map(str::to_owned).to_vec(),
            workers: 1,
            workers_max: 8,
            ready: Readiness::Notify,
            start_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            job_timeout: Duration::from_mins(15),
            environment: BTreeMap::new(),
            working_directory: None,
            log_max_size: 64 * MIB,
            memory_soft: 512 * MIB,
            memory_max: 1024 * MIB,
            tasks_max: 64,
            cpu_weight: 100,
            open_files: 1024,
            readable: Vec::new(),
            writable: Vec::new(),
        }
    }
}

impl Queue {
    /// `workers_max`, or `workers` where that is more.
    pub fn most_workers(&self) -> u16 {
        self.workers_max.max(self.workers)
    }

    /// Whether a process started by one of the two would be another than one started by the other. Limits in time, what the
    /// supervisor itself looks after, and numbers of workers make no difference to a process.
    pub fn differs_in_process(&self, other: &Self) -> bool {
        let process = |queue: &Self| Self {
            workers: 0,
            workers_max: 0,
            start_timeout: Duration::ZERO,
            grace: Duration::ZERO,
            job_timeout: Duration::ZERO,
            log_max_size: 0,
            memory_soft: 0,
            ..queue.clone()
        };
        process(self) != process(other)
    }
}
