//! Bodies of the admin API, as the server writes them and the command line reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{TenantId, Verdict, WorkerName};

mod audit;
mod credentials;
mod dead_letters;
mod events;
mod jobs;
mod overview;
mod queues;
#[cfg(feature = "openapi")]
mod schema;
mod session;
mod settings;
mod tokens;

pub use audit::{AuditEntry, AuditPage, AuditResult};
pub use credentials::{CredentialsStatus, LastRotation, RotateRequest, RotationAccepted, TenantCredentials};
pub use dead_letters::{
    DeadLetter, DeadLetterDetail, DeadLetterPage, LetterFailure, LetterFilter, LetterSelection, LetterState,
    LettersSettled,
};
pub use events::{EventKind, EventPage, FleetEvent, HistoryPoint, TenantHistory};
pub use jobs::{JobAccepted, JobRequest};
pub use overview::{Overview, TenantRow, Totals};
pub use queues::{QueueList, QueueStatus};
pub use session::{LoginRequest, Session};
pub use settings::{ChangeSettings, EffectiveSettings, QueueSettings, SettingsAnswer, SettingsDocument, SettingsList};
pub use tokens::{CreateToken, CreatedToken, Role, TokenDescription};

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Have workers running; also takes them out of FATAL.
    Start,
    /// Have no workers running, until somebody starts them again; survives a restart of the supervisor.
    Stop,
    /// Replace the running processes.
    Restart,
}

/// `POST /api/v1/admin/workers/control` and `/action`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// What to do.
    pub action: Action,
}

/// `POST /api/v1/admin/workers/tenant/control`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TenantActionRequest {
    /// What to do.
    pub action: Action,
    /// With whose workers.
    pub tenant_id: TenantId,
}

/// The answer to an action: it is accepted, not yet done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionAccepted {
    /// Always true; a refusal is a problem body.
    pub accepted: bool,
    /// What will be done.
    pub action: Action,
    /// How many workers it concerns.
    pub workers: usize,
    /// Path of the status that shows how it goes.
    pub watch: String,
}

/// The eight states of a worker; the words of supervisord and three more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum WorkerState {
    /// No process, and none is wanted.
    Stopped,
    /// A process is being started and has not said that it is ready.
    Starting,
    /// A process is ready.
    Running,
    /// A process was asked to leave.
    Stopping,
    /// No process; the next start waits for its delay to pass.
    Backoff,
    /// No process, on purpose: there is no work.
    Idle,
    /// No process: something that it depends on is not available.
    Waiting,
    /// No process: given up after too many failures.
    Fatal,
}

impl WorkerState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Backoff,
        Self::Idle,
        Self::Waiting,
        Self::Fatal,
    ];

    /// The word, in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Backoff => "BACKOFF",
            Self::Idle => "IDLE",
            Self::Waiting => "WAITING",
            Self::Fatal => "FATAL",
        }
    }
}

/// How the last process of a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastExit {
    /// In one word.
    pub verdict: Verdict,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// In a sentence, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One worker. Process figures are the operating system's, `null` where there is no process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerStatus {
    /// Such as `transform-7-1`.
    pub name: WorkerName,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub state: WorkerState,
    /// Why it stands there, for a person.
    pub reason: String,
    /// The process.
    pub pid: Option<i32>,
    /// Which of the slot's processes this is.
    pub incarnation: u64,
    /// When the process started, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// For how many seconds it has been running.
    pub uptime_seconds: Option<u64>,
    /// Resident memory in bytes.
    pub resident_memory_bytes: Option<u64>,
    /// Processor time used, in seconds.
    pub cpu_seconds: Option<f64>,
    /// How many seconds ago memory and processor time were read.
    pub sample_age_seconds: Option<u64>,
    /// Starts after the first one since the supervisor first saw this worker.
    pub restarts: u64,
    /// How the process before this one ended.
    pub last_exit: Option<LastExit>,
    /// What the worker says of its messages.
    pub messages: Option<MessageCounts>,
}

/// What a worker reports of its messages since its process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageCounts {
    /// What it is doing: `starting idle transforming committing holding paused draining`.
    pub phase: String,
    /// Delivered and not settled.
    pub in_flight: u32,
    /// Done.
    pub done: u64,
    /// Dead-lettered.
    pub dead_lettered: u64,
    /// Held for another try.
    pub retried: u64,
}

/// One tenant: `GET /api/v1/admin/workers/tenant/{tenant_id}/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantStatus {
    /// Which one.
    pub tenant_id: TenantId,
    /// Whether at least one of its workers is RUNNING.
    pub running: bool,
    /// `up` or `down`: what was asked for.
    pub desired: String,
    /// Its workers.
    pub workers: Vec<WorkerStatus>,
    /// Its queues, where a broker is configured and has been asked.
    pub queues: Vec<QueueStatus>,
}

/// Everybody: `GET /api/v1/admin/workers/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetStatus {
    /// Whether at least one worker is RUNNING.
    pub running: bool,
    /// How many workers are in each state.
    pub states: BTreeMap<WorkerState, usize>,
    /// By tenant id.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, TenantStatus>))]
    pub tenants: BTreeMap<TenantId, TenantStatus>,
    /// What the supervisor itself has to say.
    pub supervisor: SupervisorStatus,
    /// `cursor` of the next page, where pages were asked for; `null`: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<TenantId>,
}

/// The supervisor's own condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupervisorStatus {
    /// Its version.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// When it started, RFC 3339 in UTC.
    pub started_at: String,
    /// The keeper's pid, while it answers.
    pub keeper_pid: Option<i32>,
    /// Messages that were published again since then, because raw rows waited for them and they were in no queue.
    #[serde(default)]
    pub republished_messages: u64,
    /// What all workers together take; only told to those who see all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetStatus>,
    /// What keeps workers apart on this machine, and what does not; for admins only.
    #[serde(default)]
    pub walls: Vec<Wall>,
    /// Every part with its condition, such as `"broker": {"ok": true, "detail": "connected"}`.
    pub parts: BTreeMap<String, PartStatus>,
}

/// What all workers together take, and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetStatus {
    /// How many workers run or may run at any time.
    pub workers: usize,
    /// How many wait until there is room for them.
    pub waiting: usize,
    /// Their soft memory limits, in bytes; available is the machine's memory.
    pub memory: Sum,
    /// Their database connections, one each; available is what the server leaves for them.
    pub database_connections: Sum,
}

/// A sum that may be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sum {
    /// What the workers take.
    pub taken: u64,
    /// What they may take; absent: there is no limit, or it is not known yet.
    pub limit: Option<u64>,
    /// What there is, limit or not; absent: nobody knows.
    pub available: Option<u64>,
}

/// One part that the supervisor depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartStatus {
    /// Whether it works.
    pub ok: bool,
    /// What is going on, for a person.
    pub detail: String,
}

/// Something that keeps workers apart, or limits them, on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Wall {
    /// Which: `users`, `privileges`, `filesystem`, `cgroups`, `memory`, `tasks`, …
    pub name: String,
    /// Whether it stands.
    pub up: bool,
    /// How it stands, or why it does not and what to do about it.
    pub detail: String,
}

/// The tenants as the supervisor knows them: `GET /api/v1/admin/tenants`, and the answer to `POST …/tenants/confirm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantList {
    /// Those that have workers.
    pub tenants: Vec<TenantId>,
    /// Where they come from: `configuration`, `database` or `last known`.
    pub source: String,
    /// A reading that was refused because more than half of the tenants were missing from it.
    pub refused: Option<Vec<TenantId>>,
}

/// An error, RFC 9457 (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`; [`Problem::code`] is the stable name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable name for programs, such as `tenant_unknown`.
    pub code: String,
    /// What went wrong and what to do, for a person.
    pub detail: String,
}
