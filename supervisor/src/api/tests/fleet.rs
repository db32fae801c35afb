//! A fleet that somebody made up, and somebody who takes orders for it.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use etl_shared::{
    TenantId, Verdict,
    api::{BudgetStatus, PartStatus, TenantList, WorkerState, WorkerStatus},
};
use tokio::sync::mpsc;

use crate::{
    clock::BootTime,
    runtime::{
        ControlError, FleetView, Handle, Selection, WorkerView,
        handle::Order,
        view::{ExitView, ProcessView, QueueSample, Sample},
    },
};

pub(crate) fn tenant(id: i64) -> TenantId {
    TenantId::try_from(id).unwrap()
}

/// So many tenants, a running worker each.
pub(crate) fn synthetic(tenants: i64) -> FleetView {
    let now = BootTime::now();
    let ids: Vec<_> = (1..=tenants).map(tenant).collect();
    let worker = |id: &TenantId| {
        let sample = Sample { at: now, resident_memory_bytes: 3_400_000, cpu_seconds: 1.25, messages: None };
        let started_at = BootTime(now.0.saturating_sub(5_000_000));
        let pid = i32::try_from(id.get()).unwrap() + 1000;
        Arc::new(WorkerView {
            name: format!("transform-{id}-1").parse().unwrap(),
            state: WorkerState::Running,
            reason: "ready".to_owned(),
            process: Some(ProcessView { pid, started_at, sample: Some(sample) }),
            incarnation: 2,
            restarts: 1,
            last_exit: Some(ExitView {
                verdict: Verdict::Exit(1),
                at: started_at,
                detail: Some("exit code 1".to_owned()),
            }),
        })
    };
    let ids_count = ids.len();
    let queue = QueueSample { messages_ready: 3, consumers: 1, at: now, ..QueueSample::default() };
    let ok = |detail: &str| PartStatus { ok: true, detail: detail.to_owned() };
    FleetView {
        accounts: None,
        workers: ids.iter().map(worker).collect(),
        tenants: Arc::new(ids.iter().map(|id| (*id, true)).collect()),
        queues: Arc::new(ids.iter().map(|id| (format!("transform_queue_tenant_{id}"), queue)).collect()),
        parts: BTreeMap::from([("broker", ok("connected")), ("database", ok("connected")), ("keeper", ok("pid 2"))]),
        keeper_pid: Some(2),
        walls: Arc::default(),
        names: Arc::default(),
        overrides: Arc::default(),
        rules: Arc::new(crate::runtime::overrides::Rules::from([(
            "transform".parse().unwrap(),
            (&crate::settings::Queue::default()).into(),
        )])),
        tenant_list: Arc::new(TenantList { tenants: ids, source: "database".to_owned(), refused: None }),
        budget: BudgetStatus { workers: ids_count, ..BudgetStatus::default() },
        tally: crate::history::Tally::default(),
        settled: true,
        last_event_id: 0,
        turned_at: now,
        version: 1,
    }
}

/// A worker without anything but name and state.
pub(crate) fn status_of(name: &str, state: WorkerState) -> WorkerStatus {
    let name: etl_shared::WorkerName = name.parse().unwrap();
    WorkerStatus {
        queue: name.queue().to_string(),
        name,
        state,
        reason: String::new(),
        pid: (state == WorkerState::Running).then_some(4121),
        incarnation: 1,
        started_at: None,
        uptime_seconds: None,
        resident_memory_bytes: None,
        cpu_seconds: None,
        sample_age_seconds: None,
        restarts: 0,
        last_exit: None,
        messages: None,
    }
}

/// A handle to the view, and whoever takes orders behind it: the way the fleet's owner answers, without a fleet.
pub(crate) fn handle(view: FleetView) -> (Handle, Arc<ArcSwap<FleetView>>) {
    let view = Arc::new(ArcSwap::from_pointee(view));
    let (orders, mut taken) = mpsc::channel(8);
    let fleet = Arc::clone(&view);
    std::thread::spawn(move || {
        while let Some(order) = taken.blocking_recv() {
            let fleet = fleet.load();
            match order {
                Order::Control { selection, answer, .. } => {
                    let _ = answer.send(match selection {
                        Selection::All => Ok(fleet.workers.len()),
                        Selection::Tenant(id) if !fleet.tenants.contains_key(&id) => {
                            Err(ControlError::UnknownTenant(id))
                        }
                        Selection::Tenant(id) => Ok(fleet.workers_of(id).len()),
                    });
                }
                Order::Forgive { answer, .. } => {
                    let _ = answer.send(Ok(false));
                }
                Order::Rotate { selection: Selection::Tenant(id), answer, .. } if !fleet.tenants.contains_key(&id) => {
                    let _ = answer.send(Err(ControlError::UnknownTenant(id)));
                }
                Order::Rotate { answer, .. } => {
                    let _ = answer.send(Err(ControlError::SharedCredentials));
                }
                Order::ConfirmTenants { answer, .. } => {
                    let _ = answer.send(Err(ControlError::NothingToConfirm));
                }
            }
        }
    });
    (Handle::new(orders, Arc::clone(&view)), view)
}
