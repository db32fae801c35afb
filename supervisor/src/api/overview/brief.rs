//! What a tenant's workers come to, in numbers.

use std::sync::Arc;

use etl_shared::{TenantId, api::WorkerState};

use crate::{
    history::Looks,
    runtime::{FleetView, WorkerView, view::QueueSample},
};

/// One tenant.
#[derive(Debug)]
pub(super) struct Brief<'a> {
    /// What deserves attention most.
    pub(super) state: WorkerState,
    /// A worker that stands there; `None`: there are none.
    pub(super) worker: Option<&'a Arc<WorkerView>>,
    pub(super) workers: u16,
    pub(super) running: u16,
    pub(super) messages_ready: Option<u32>,
    pub(super) messages_unacknowledged: Option<u32>,
    pub(super) throughput: Option<f32>,
    pub(super) memory: u64,
}

/// The higher, the more it deserves attention.
const fn urgency(state: WorkerState) -> u8 {
    match state {
        WorkerState::Fatal => 7,
        WorkerState::Backoff => 6,
        WorkerState::Waiting => 5,
        WorkerState::Stopping => 4,
        WorkerState::Starting => 3,
        WorkerState::Running => 2,
        WorkerState::Idle => 1,
        WorkerState::Stopped => 0,
    }
}

impl<'a> Brief<'a> {
    pub(super) fn of(view: &'a FleetView, tenant: TenantId, looks: &Looks) -> Self {
        let workers = view.workers_of(tenant);
        // Of several, the first one.
        let worker = workers.iter().rev().max_by_key(|worker| urgency(worker.state));
        let running = workers.iter().filter(|worker| worker.state == WorkerState::Running).count();
        let mut brief = Self {
            state: worker.map_or(WorkerState::Stopped, |worker| worker.state),
            worker,
            workers: u16::try_from(workers.len()).unwrap_or(u16::MAX),
            running: u16::try_from(running).unwrap_or(u16::MAX),
            messages_ready: None,
            messages_unacknowledged: None,
            throughput: None,
            memory: workers.iter().filter_map(|worker| looks.memory(worker)).sum(),
        };
        for throughput in workers.iter().filter_map(|worker| looks.throughput(worker)) {
            *brief.throughput.get_or_insert_default() += throughput;
        }
        for queue in queues(view, tenant).flatten() {
            *brief.messages_ready.get_or_insert_default() += queue.messages_ready;
            if let Some(unacknowledged) = queue.messages_unacknowledged {
                *brief.messages_unacknowledged.get_or_insert_default() += unacknowledged;
            }
        }
        brief
    }
}

/// A tenant's queues, of each type that there is, as far as the broker has told. Messages wait also where no worker does.
pub(super) fn queues(view: &FleetView, tenant: TenantId) -> impl Iterator<Item = Option<&QueueSample>> {
    view.rules.keys().map(move |queue_type| view.queues.get(&queue_type.queue_of(tenant).to_string()))
}

/// Every tenant that is wanted, and those that are gone but still have a worker to stop.
pub(super) fn tenants(view: &FleetView) -> Vec<TenantId> {
    let present = view.workers.iter().map(|worker| worker.name.tenant);
    let mut tenants: Vec<_> = view.tenants.keys().copied().chain(present).collect();
    tenants.sort_unstable();
    tenants.dedup();
    tenants
}
