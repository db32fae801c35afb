//! A budget for the database connections of all workers.

use etl_shared::api::{FleetStatus, WorkerState};
use system_tests::{Platform, Setup, Supervisor, fleet};

fn waits(status: &FleetStatus, tenant: i64) -> bool {
    fleet::worker(status, tenant)
        .is_some_and(|worker| worker.state == WorkerState::Waiting && worker.reason.contains("database connections"))
}

#[tokio::test]
async fn those_beyond_it_wait_until_a_tenant_is_gone() {
    let platform = Platform::with_tenants(&[1, 2, 3]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform).set("limits", "database_connections", "2")).await;
    supervisor.until("2 run, 1 waits", |status| fleet::running(status, &[1, 2]) && waits(status, 3)).await;
    platform.set_active(1, false).await;
    supervisor.until_running(&[2, 3]).await;
}

#[tokio::test]
async fn what_the_server_leaves_is_the_limit_where_that_is_asked_for() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform).set("limits", "database_connections", "\"auto\"")).await;
    let status = supervisor.until_running(&[1]).await;
    let sums = status.supervisor.budget.unwrap().database_connections;
    let question =
        "SELECT current_setting('max_connections')::int8, current_setting('superuser_reserved_connections')::int8";
    let row = platform.database.client().query_one(question, &[]).await.unwrap();
    let (most, reserved): (i64, i64) = (row.get(0), row.get(1));
    let left = u64::try_from(most - reserved).unwrap();
    assert!(sums.limit == sums.available && sums.limit.unwrap() < left && sums.limit.unwrap() + 50 > left, "{sums:?}");
    assert_eq!(sums.taken, 1);
    let doctor = supervisor.cli(&["doctor"]).await.stdout;
    assert!(doctor.contains(&format!("max_connections = {most} leaves {} for them", sums.limit.unwrap())), "{doctor}");
}
