//! A supervisor whose settings somebody changes.

use std::time::{Duration, SystemTime};

use etl_shared::api::{FleetStatus, Problem, SettingsDocument, WorkerState};
use etl_supervisor::clock::rfc3339;
use serde_json::{Value, json};
use system_tests::{
    Platform, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    fleet,
    http::Call,
};

pub(crate) const CONFIG: &str = "/api/v1/admin/workers/config";

/// Active tenants with their workers running. Nothing is read on a timer: what happens soon happens because somebody was notified.
pub(crate) async fn platform_with(tenants: &[i64]) -> (Platform, Supervisor, FleetStatus) {
    let platform = Platform::new().await;
    for tenant in tenants {
        platform.add_tenant(*tenant).await;
    }
    let supervisor = Supervisor::start(&setup(&platform)).await;
    let status = supervisor.until_running(tenants).await;
    (platform, supervisor, status)
}

pub(crate) fn setup(platform: &Platform) -> Setup {
    Setup::on(platform).set("database", "refresh", "\"1h\"")
}

/// The same installation, whose supervisor cannot reach its database.
pub(crate) fn without_database(platform: &Platform) -> Setup {
    setup(platform).set("database", "url", "\"postgres://nobody:nothing@127.0.0.1:1/nowhere\"")
}

pub(crate) fn document(seed: u64) -> Value {
    createmeta(seed, Shape::SMALL).document
}

/// Sets this for a tenant's transform workers, as somebody on the machine.
pub(crate) async fn set(supervisor: &Supervisor, tenant: i64, settings: Value) -> SettingsDocument {
    let call = Call::put(CONFIG, json!({"tenant_id": tenant, "queues": {"transform": settings}}));
    supervisor.socket(call).await.expect("the socket answers").expect_status(200).json()
}

pub(crate) async fn read(supervisor: &Supervisor, tenant: i64) -> SettingsDocument {
    let call = Call::get(&format!("{CONFIG}?tenant_id={tenant}"));
    supervisor.socket(call).await.expect("the socket answers").expect_status(200).json()
}

/// The refusal of a change.
pub(crate) async fn refused(supervisor: &Supervisor, token: &str, status: u16, settings: Value) -> Problem {
    let call = Call::put(CONFIG, json!({"queues": {"transform": settings}})).token(token);
    supervisor.tcp(call).await.expect_status(status).json()
}

/// In so long, as the API writes it.
pub(crate) fn within(time: Duration) -> String {
    rfc3339(SystemTime::now() + time)
}

/// How many of a tenant's workers run.
pub(crate) fn running(status: &FleetStatus, tenant: i64) -> usize {
    let prefix = format!("transform-{tenant}-");
    let workers = status.tenants.values().flat_map(|tenant| &tenant.workers);
    let of_it = workers.filter(|worker| worker.name.to_string().starts_with(&prefix));
    of_it.filter(|worker| worker.state == WorkerState::Running).count()
}

/// The tenant's first worker is paused and has no process.
pub(crate) fn paused(status: &FleetStatus, tenant: i64) -> bool {
    fleet::worker(status, tenant).is_some_and(|worker| {
        worker.state == WorkerState::Stopped && worker.pid.is_none() && worker.reason.starts_with("paused until ")
    })
}
