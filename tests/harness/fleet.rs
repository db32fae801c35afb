//! Questions to a status, in the words of the suites.

use etl_shared::{
    TenantId,
    api::{FleetStatus, WorkerState, WorkerStatus},
};

/// The first worker of a tenant.
pub fn worker(status: &FleetStatus, tenant: i64) -> Option<&WorkerStatus> {
    status.tenants.get(&TenantId::try_from(tenant).ok()?)?.workers.first()
}

/// A worker by its name.
pub fn named<'a>(status: &'a FleetStatus, name: &str) -> Option<&'a WorkerStatus> {
    status.tenants.values().flat_map(|tenant| &tenant.workers).find(|worker| worker.name.to_string() == name)
}

/// The processes of the first workers of these tenants; fails the test where one has none.
#[track_caller]
pub fn pids(status: &FleetStatus, tenants: &[i64]) -> Vec<i32> {
    let of = |tenant: &i64| pid(status, *tenant).unwrap_or_else(|| panic!("no process:\n{}", summary(status)));
    tenants.iter().map(of).collect()
}

/// Where that worker stands.
pub fn state(status: &FleetStatus, tenant: i64) -> Option<WorkerState> {
    worker(status, tenant).map(|worker| worker.state)
}

/// Its process.
pub fn pid(status: &FleetStatus, tenant: i64) -> Option<i32> {
    worker(status, tenant)?.pid
}

/// Whether each of these tenants has a RUNNING worker.
pub fn running(status: &FleetStatus, tenants: &[i64]) -> bool {
    tenants.iter().all(|tenant| state(status, *tenant) == Some(WorkerState::Running))
}

/// The word for how the process before this one ended; empty where there was none.
pub fn last_verdict(status: &FleetStatus, tenant: i64) -> String {
    let exit = worker(status, tenant).and_then(|worker| worker.last_exit.as_ref());
    exit.map(|exit| exit.verdict.to_string()).unwrap_or_default()
}

/// Whether these parts of the supervisor have been seen and are well.
pub fn well(status: &FleetStatus, parts: &[&str]) -> bool {
    parts.iter().all(|name| status.supervisor.parts.get(*name).is_some_and(|part| part.ok))
}

/// A line for each worker and part: for failures.
pub fn summary(status: &FleetStatus) -> String {
    let mut lines = Vec::new();
    for (name, part) in &status.supervisor.parts {
        lines.push(format!("{name}: {} ({})", if part.ok { "ok" } else { "not ok" }, part.detail));
    }
    for tenant in status.tenants.values() {
        if tenant.workers.is_empty() {
            lines.push(format!("tenant {}: wanted {}, no worker", tenant.tenant_id, tenant.desired));
        }
        for worker in &tenant.workers {
            let exit = worker.last_exit.as_ref().map(|exit| format!(", before: {} {:?}", exit.verdict, exit.detail));
            lines.push(format!(
                "{} {} pid {:?} incarnation {} ({}; wanted {}){}",
                worker.name,
                worker.state.as_str(),
                worker.pid,
                worker.incarnation,
                worker.reason,
                tenant.desired,
                exit.unwrap_or_default()
            ));
        }
    }
    lines.join("\n")
}
