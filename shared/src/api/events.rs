//! What has happened, for streams and histories.

use serde::{Deserialize, Serialize};

use super::WorkerState;
use crate::{TenantId, Verdict, WorkerName};

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// A worker stands elsewhere now.
    State,
    /// Somebody has given an order: start, stop, restart, rotate, …
    Order,
    /// Somebody has changed a tenant's settings.
    Settings,
    /// The list of tenants changed.
    Tenants,
    /// A part of the supervisor works, or works no longer.
    Part,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetEvent {
    /// Names it and grows with time, also over a restart of the supervisor: microseconds of the wall clock, made unique.
    pub id: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What it is about.
    pub kind: EventKind,
    /// Whose; `null`: nobody's in particular, and told only to those who see everybody.
    pub tenant_id: Option<TenantId>,
    /// Which worker.
    pub worker: Option<WorkerName>,
    /// Which of its processes.
    pub incarnation: Option<u64>,
    /// Where it stood.
    pub from: Option<WorkerState>,
    /// Where it stands.
    pub to: Option<WorkerState>,
    /// How the process ended, where one has.
    pub verdict: Option<Verdict>,
    /// Why, or what, in a sentence.
    pub reason: String,
    /// Who asked for it, where somebody did.
    pub by: Option<String>,
    /// The correlation id of the request that led to it.
    pub correlation_id: Option<String>,
}

/// `GET /api/v1/admin/workers/history`: the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPage {
    /// This page.
    pub events: Vec<FleetEvent>,
    /// `cursor` of the next page; `null`: this is the last one.
    pub next_cursor: Option<u64>,
}

/// What one tenant's workers used and did around one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryPoint {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Resident memory of all its workers, in bytes.
    pub resident_memory_bytes: u64,
    /// Messages done per second since the point before.
    pub throughput: f32,
    /// Messages ready in its queues; `null`: nobody knew.
    pub messages_ready: Option<u32>,
    /// Workers RUNNING.
    pub running: u16,
}

/// `GET /api/v1/admin/workers/tenant/{tenant_id}/history`: the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantHistory {
    /// Whose.
    pub tenant_id: TenantId,
    /// Seconds between two points.
    pub step_seconds: u32,
    /// The points.
    pub points: Vec<HistoryPoint>,
}
