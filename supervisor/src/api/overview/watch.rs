//! The one task that looks at everybody: once a minute for the history, and once a second while somebody watches.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use etl_shared::{
    TenantId,
    api::{TenantRow, WorkerState},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    super::Api,
    brief::{self, Brief},
    live::{Rows, Seen},
    row::row,
};
use crate::{
    history::{Point, STEP},
    runtime::{FleetView, WorkerView},
};

/// Between two comparisons while somebody watches.
const ROUND: Duration = Duration::from_secs(1);
/// Rounds in which everybody RUNNING is looked at once while somebody watches.
const ROUNDS_PER_SWEEP: usize = 10;
/// Processes that are looked at in a round where there are not more: what few workers do is seen at once.
const LOOKS_AT_LEAST: usize = 20;

/// What was told last.
#[derive(Default)]
struct Told {
    view: Option<Arc<FleetView>>,
    rows: HashMap<TenantId, u64>,
    /// How far the sweep has come.
    looked_through: usize,
}

/// Until the server stops.
pub(in crate::api) async fn watch(api: Arc<Api>) {
    let mut told = Told::default();
    let mut minute = 0;
    loop {
        let view = api.context.handle.view();
        let this_minute = seconds() / STEP.as_secs();
        let is_new_minute = this_minute != minute;
        if is_new_minute {
            minute = this_minute;
            note(&mut api.live.seen(), &view, minute);
        }
        if api.live.rows.receiver_count() > 0 {
            let looked = look_at_some(&api, &view, &mut told.looked_through);
            let rows = changes(&mut told, &api.live.seen(), &view, |tenant| is_new_minute || looked.contains(&tenant));
            if !rows.is_empty() {
                let _ = api.live.rows.send(Arc::new(Rows::new(&rows)));
            }
            sleep(ROUND).await;
        } else {
            told = Told::default();
            // Rows that were wanted and are no longer leave a wish behind, which costs one turn.
            let next = Instant::now() + Duration::from_secs(STEP.as_secs() - seconds() % STEP.as_secs());
            tokio::select! {
                () = sleep_until(next) => {}
                () = api.live.wanted.notified() => {}
            }
        }
    }
}

/// A point for every tenant, and nothing more of those that are gone.
fn note(seen: &mut Seen, view: &FleetView, minute: u64) {
    seen.take_in(view);
    let names: HashSet<_> = view.workers.iter().map(|worker| &worker.name).collect();
    seen.looks.retain(|worker| names.contains(worker));
    let tenants: HashSet<_> = brief::tenants(view).into_iter().collect();
    seen.points.retain(|tenant| tenants.contains(&tenant));
    for tenant in tenants {
        let brief = Brief::of(view, tenant, &seen.looks);
        let point = Point {
            memory_kib: u32::try_from(brief.memory / 1024).unwrap_or(u32::MAX),
            throughput: brief.throughput.unwrap_or_default(),
            messages_ready: brief.messages_ready,
            running: brief.running,
        };
        seen.points.note(tenant, minute, point);
    }
}

/// Looks at the next few RUNNING workers, going round; whose they are.
fn look_at_some(api: &Api, view: &FleetView, looked_through: &mut usize) -> HashSet<TenantId> {
    let mut looked = HashSet::new();
    let Some(look) = api.context.look else { return looked };
    let flights = api.context.runtime.flight_directory();
    let is_running = |worker: &&Arc<WorkerView>| worker.state == WorkerState::Running;
    let running: Vec<_> = view.workers.iter().filter(is_running).collect();
    let due = running.len().div_ceil(ROUNDS_PER_SWEEP).max(LOOKS_AT_LEAST).min(running.len());
    let start = if *looked_through < running.len() { *looked_through } else { 0 };
    let mut seen = api.live.seen();
    for worker in running.iter().cycle().skip(start).take(due) {
        let Some(process) = worker.process else { continue };
        if let Some(sample) = look(&flights, &worker.name, worker.incarnation, process.pid) {
            seen.looks.note(worker, Some(sample));
            looked.insert(worker.name.tenant);
        }
    }
    *looked_through = start + due;
    looked
}

/// The rows that differ from those told last. The first time, nothing is told: whoever watches loads the overview after that.
fn changes(
    told: &mut Told,
    seen: &Seen,
    view: &Arc<FleetView>,
    is_looked_at: impl Fn(TenantId) -> bool,
) -> Vec<(TenantId, Vec<u8>)> {
    let before = told.view.replace(Arc::clone(view));
    let mut rows = Vec::new();
    let tenants = brief::tenants(view);
    told.rows.retain(|tenant, _| tenants.binary_search(tenant).is_ok());
    for tenant in tenants {
        if before.as_ref().is_some_and(|before| !is_looked_at(tenant) && is_same(before, view, tenant)) {
            continue;
        }
        let row = row(view, tenant, &Brief::of(view, tenant, &seen.looks), seen);
        let json = serde_json::to_vec(&row).unwrap_or_default();
        let print = print(row);
        if told.rows.insert(tenant, print) != Some(print) && before.is_some() {
            rows.push((tenant, json));
        }
    }
    rows
}

/// Whether the views show the same of a tenant. Workers that did not change are the same in memory.
fn is_same(before: &FleetView, now: &FleetView, tenant: TenantId) -> bool {
    let (old, new) = (before.workers_of(tenant), now.workers_of(tenant));
    let same_queues = || Arc::ptr_eq(&before.queues, &now.queues) || depths(before, tenant).eq(depths(now, tenant));
    old.len() == new.len()
        && old.iter().zip(new).all(|(old, new)| Arc::ptr_eq(old, new))
        && before.tenants.get(&tenant) == now.tenants.get(&tenant)
        && (Arc::ptr_eq(&before.names, &now.names) || before.names.get(&tenant) == now.names.get(&tenant))
        && (Arc::ptr_eq(&before.overrides, &now.overrides)
            || before.overrides.0.get(&tenant) == now.overrides.0.get(&tenant))
        && same_queues()
}

fn depths(view: &FleetView, tenant: TenantId) -> impl Iterator<Item = Option<(u32, Option<u32>)>> {
    let queues = brief::queues(view, tenant);
    queues.map(|queue| queue.map(|queue| (queue.messages_ready, queue.messages_unacknowledged)))
}

/// What identifies a row. The time of the last exit is counted back from now each time and wavers; another exit shows elsewhere too.
fn print(mut row: TenantRow) -> u64 {
    if let Some(exit) = &mut row.last_exit {
        exit.at.clear();
    }
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(&row).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        api::tests::fleet::{synthetic, tenant},
        runtime::overrides::{Override, Overrides, TenantOverrides},
    };

    fn paused(view: &Arc<FleetView>, seconds: u64) -> Arc<FleetView> {
        let until = Some(SystemTime::now() + Duration::from_secs(seconds));
        let set = TenantOverrides {
            queues: [("transform".parse().unwrap(), Override { paused_until: until, ..Override::default() })].into(),
            revision: 1,
            updated_at: SystemTime::UNIX_EPOCH,
            updated_by: "somebody".to_owned(),
        };
        let overrides = Arc::new(Overrides([(tenant(2), set)].into()));
        Arc::new(FleetView { overrides, ..FleetView::clone(view) })
    }

    #[test]
    fn a_pause_that_changes_no_worker_is_told_at_once_and_to_its_tenant_only() {
        let mut told = Told::default();
        let seen = Seen::default();
        let view = Arc::new(synthetic(3));
        let mut tenants = |view: &Arc<FleetView>| -> Vec<TenantId> {
            changes(&mut told, &seen, view, |_| false).into_iter().map(|(tenant, _)| tenant).collect()
        };
        assert!(tenants(&view).is_empty(), "the first time");
        assert!(tenants(&view).is_empty(), "nothing has changed");
        let first = paused(&view, 600);
        assert_eq!(tenants(&first), [tenant(2)]);
        assert_eq!(tenants(&paused(&view, 1200)), [tenant(2)], "a longer one");
    }

    #[test]
    fn a_queue_that_grows_is_told_where_nobody_works_as_well() {
        let mut told = Told::default();
        let seen = Seen::default();
        let mut view = synthetic(3);
        view.workers = view.workers.iter().filter(|worker| worker.name.tenant != tenant(2)).cloned().collect();
        let mut queues = BTreeMap::clone(&view.queues);
        queues.get_mut("transform_queue_tenant_2").unwrap().messages_ready += 1;
        let grown = Arc::new(FleetView { queues: Arc::new(queues), ..FleetView::clone(&view) });
        assert!(changes(&mut told, &seen, &Arc::new(view), |_| false).is_empty(), "the first time");
        let rows = changes(&mut told, &seen, &grown, |_| false);
        assert_eq!(rows.into_iter().map(|(tenant, _)| tenant).collect::<Vec<_>>(), [tenant(2)]);
    }
}
