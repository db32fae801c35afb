//! What a table of tenants shows: a line each, as short as it can be, because there are thousands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LastExit, WorkerState};
use crate::TenantId;

/// One tenant in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantRow {
    /// Which.
    pub tenant_id: TenantId,
    /// What people call it, where the tenant query says so.
    pub name: Option<String>,
    /// Where its workers stand; where they differ, what deserves attention most: FATAL, BACKOFF, WAITING, STOPPING, STARTING,
    /// RUNNING, IDLE, STOPPED.
    pub state: WorkerState,
    /// `up` or `down`: what was asked for.
    pub desired: String,
    /// Until when it is paused, RFC 3339; `null`: it is not.
    pub paused_until: Option<String>,
    /// Workers there should be.
    pub workers: u16,
    /// Of them RUNNING.
    pub running: u16,
    /// Messages ready in its queues; `null`: nobody knows.
    pub messages_ready: Option<u32>,
    /// Messages delivered and not acknowledged; `null`: nobody knows.
    pub messages_unacknowledged: Option<u32>,
    /// Messages done per second between the last two looks; `null`: not known yet.
    pub throughput: Option<f32>,
    /// Resident memory of all its workers, in bytes.
    pub resident_memory_bytes: u64,
    /// The same at earlier looks, in KiB, the oldest first, for a sparkline.
    pub memory_history_kib: Vec<u32>,
    /// Restarts of all its workers since the supervisor first saw them.
    pub restarts: u64,
    /// How the process that ended last ended.
    pub last_exit: Option<LastExit>,
    /// Why it stands where it stands.
    pub reason: String,
}

/// Sums over all that match.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Tenants.
    pub tenants: usize,
    /// Workers.
    pub workers: usize,
    /// Tenants by [`TenantRow::state`].
    pub states: BTreeMap<WorkerState, usize>,
    /// Messages ready.
    pub messages_ready: u64,
    /// Messages done per second.
    pub throughput: f32,
    /// Resident memory in bytes.
    pub resident_memory_bytes: u64,
}

/// `GET /api/v1/admin/workers/overview`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// The id of the last event that is in it: a stream that resumes behind it misses nothing.
    pub last_event_id: u64,
    /// Sums over all that match, not only over this page.
    pub totals: Totals,
    /// This page, in the order of their tenants.
    pub tenants: Vec<TenantRow>,
    /// `cursor` of the next page; `null`: this is the last one.
    pub next_cursor: Option<TenantId>,
}
