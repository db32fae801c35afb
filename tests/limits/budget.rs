//! A budget for the memory of all workers.

use etl_shared::api::{BudgetStatus, FleetStatus, WorkerState};
use nix::sys::signal::Signal;
use system_tests::{Setup, Supervisor, fleet};

fn setup(budget: &str) -> Setup {
    Setup::scripted("[1, 2, 3, 4]").set("limits", "memory_budget", budget)
}

fn waits(status: &FleetStatus, tenant: i64) -> bool {
    let worker = fleet::worker(status, tenant);
    worker.is_some_and(|worker| worker.state == WorkerState::Waiting && worker.reason.contains("limits.memory_budget"))
        || worker
            .is_some_and(|worker| worker.state == WorkerState::Waiting && worker.reason.contains("others came first"))
}

/// These run, and those wait for room.
async fn until(supervisor: &Supervisor, run: &[i64], wait: &[i64]) -> FleetStatus {
    let what = format!("{run:?} run and {wait:?} wait for room");
    supervisor
        .until(what, |status| fleet::running(status, run) && wait.iter().all(|tenant| waits(status, *tenant)))
        .await
}

fn budget(status: &FleetStatus) -> BudgetStatus {
    status.supervisor.budget.expect("an admin is told")
}

#[tokio::test]
async fn those_beyond_it_wait_and_freed_room_goes_to_the_next() {
    // Two workers with the default of 512 MiB each.
    let mut supervisor = Supervisor::start(&setup("\"1GiB\"")).await;
    let status = until(&supervisor, &[1, 2], &[3, 4]).await;
    let (sums, reason) = (budget(&status), &fleet::worker(&status, 3).unwrap().reason);
    assert!(reason.starts_with("memory budget: 2 workers with 1.0 GiB"), "{reason}");
    assert!(reason.ends_with("raise limits.memory_budget or lower queues.transform.memory_soft"), "{reason}");
    assert_eq!((sums.workers, sums.waiting, sums.memory.taken, sums.memory.limit), (2, 2, 1 << 30, Some(1 << 30)));
    assert!(sums.memory.available.unwrap() > 1 << 28);
    let wide = supervisor.cli(&["status", "-o", "wide"]).await.stdout;
    assert!(wide.contains("2 workers: soft memory limits 1.0 GiB (limit 1.0 GiB"), "{wide}");

    let printed = supervisor.cli(&["start", "3"]).await;
    assert!(
        printed.code == 0 && printed.stderr.contains("transform-3-1 waits: memory budget: 2 workers"),
        "{printed:?}"
    );

    supervisor.control("stop", Some(1)).await;
    until(&supervisor, &[2, 3], &[4]).await;
    supervisor.control("start", Some(1)).await;
    let before = fleet::pids(&until(&supervisor, &[2, 3], &[4, 1]).await, &[2, 3]);
    supervisor.control("stop", Some(2)).await;
    until(&supervisor, &[3, 4], &[1]).await;

    // Whoever runs is found, and those come first.
    supervisor.kill_brain();
    supervisor.start_brain().await;
    let status = until(&supervisor, &[3, 4], &[1]).await;
    assert_eq!(fleet::pids(&status, &[3])[0], before[1]);
    assert_eq!(supervisor.home.births().len(), 4);

    supervisor.configure(&setup("\"off\""));
    supervisor.signal(Signal::SIGHUP);
    let status = until(&supervisor, &[1, 3, 4], &[]).await;
    assert_eq!((budget(&status).workers, budget(&status).memory.limit), (3, None), "counted, limit or not");
    supervisor.configure(&setup("\"512MiB\""));
    supervisor.signal(Signal::SIGHUP);
    supervisor.until("the limit is lower", |status| budget(status).memory.limit == Some(512 << 20)).await;
    supervisor.control("restart", Some(4)).await;
    until(&supervisor, &[1, 3, 4], &[]).await;
}

#[tokio::test]
async fn what_the_machine_has_is_the_limit_where_that_is_asked_for() {
    let setup = Setup::scripted("[1, 2]").set("limits", "memory_budget", "\"auto\"");
    let setup =
        setup.set("queues.transform", "memory_soft", "\"1TiB\"").set("queues.transform", "memory_max", "\"1TiB\"");
    let supervisor = Supervisor::start(&setup).await;
    let status = until(&supervisor, &[], &[1, 2]).await;
    assert_eq!(budget(&status).memory.limit, budget(&status).memory.available);
    let doctor = supervisor.cli(&["doctor"]).await;
    assert!(doctor.code != 0 && doctor.stdout.contains("not one worker of queues.transform has room"), "{doctor:?}");
}
