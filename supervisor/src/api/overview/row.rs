//! A tenant's line.

use etl_shared::{
    TenantId,
    api::{LastExit, TenantRow},
};

use super::{brief::Brief, live::Seen};
use crate::{clock::rfc3339, runtime::FleetView};

/// Looks that a sparkline shows.
const SPARKS: usize = 30;

/// As tables show it.
pub(super) fn row(view: &FleetView, tenant: TenantId, brief: &Brief<'_>, seen: &Seen) -> TenantRow {
    let workers = view.workers_of(tenant);
    let last_exit = workers.iter().filter_map(|worker| worker.last_exit.as_ref()).max_by_key(|exit| exit.at);
    let mut memory_history_kib = seen.points.memory(tenant, SPARKS - 1);
    memory_history_kib.push(u32::try_from(brief.memory / 1024).unwrap_or(u32::MAX));
    TenantRow {
        tenant_id: tenant,
        name: view.names.get(&tenant).cloned(),
        state: brief.state,
        desired: if view.tenants.get(&tenant) == Some(&true) { "up" } else { "down" }.to_owned(),
        paused_until: None,
        workers: brief.workers,
        running: brief.running,
        messages_ready: brief.messages_ready,
        messages_unacknowledged: brief.messages_unacknowledged,
        throughput: brief.throughput,
        resident_memory_bytes: brief.memory,
        memory_history_kib,
        restarts: workers.iter().map(|worker| worker.restarts).sum(),
        last_exit: last_exit.map(|exit| LastExit {
            verdict: exit.verdict.clone(),
            at: rfc3339(exit.at.on_wall_clock()),
            detail: exit.detail.clone(),
        }),
        reason: brief.worker.map(|worker| worker.reason.clone()).unwrap_or_default(),
    }
}
