//! Start, stop and restart, also when they come at an awkward moment.

use std::time::Duration;

use etl_shared::api::{FleetStatus, WorkerState};
use system_tests::{Setup, Supervisor, fleet, processes, scripted::Do, waiting::holds_for};

fn is(tenant: i64, wanted: WorkerState) -> impl Fn(&FleetStatus) -> bool {
    move |status| fleet::state(status, tenant) == Some(wanted)
}

#[tokio::test]
async fn starting_what_runs_changes_nothing() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    for _ in 0..3 {
        supervisor.control("start", Some(1)).await;
        supervisor.control("start", None).await;
    }
    holds_for("nobody is started a second time", Duration::from_millis(500), async || {
        let births = supervisor.home.births();
        if births.len() == 2 { Ok(()) } else { Err(format!("{births:?}")) }
    })
    .await;
    let status = supervisor.status().await.unwrap();
    assert_eq!(fleet::pids(&status, &[1, 2]), before);
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_start() {
    let setup = Setup::scripted("[1, 2]");
    let plan = [Do::ReadyAfter(Duration::from_hours(1))];
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan(1, &plan)).await;
    let status = supervisor
        .until("tenant 1 is STARTING", |status| is(1, WorkerState::Starting)(status) && fleet::pid(status, 1).is_some())
        .await;
    let pid = fleet::pids(&status, &[1])[0];

    supervisor.control("stop", Some(1)).await;
    let status = supervisor.until("tenant 1 is STOPPED", is(1, WorkerState::Stopped)).await;
    assert!(!processes::alive(pid));
    assert_eq!(fleet::last_verdict(&status, 1), "OPERATOR");
    supervisor.until_running(&[2]).await;
    holds_for("it stays stopped", Duration::from_millis(500), async || {
        let births = supervisor.home.born_of(1);
        if births.len() == 1 { Ok(()) } else { Err(format!("{births:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_start_in_the_middle_of_a_stop_waits_for_the_old_process() {
    let setup = Setup::scripted("[1]");
    let plan = [Do::SlowExit(Duration::from_millis(800))];
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&plan)).await;
    let old = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];

    supervisor.control("stop", Some(1)).await;
    supervisor.until("tenant 1 is STOPPING", is(1, WorkerState::Stopping)).await;
    supervisor.control("start", Some(1)).await;
    let status = supervisor
        .until("there is a new process", |status| {
            let two = processes::alive(old) && supervisor.home.born_of(1).len() > 1;
            assert!(!two, "the old process still lives, and a second one was started");
            fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(old)
        })
        .await;
    assert_eq!(supervisor.home.born_of(1), [old, fleet::pids(&status, &[1])[0]]);
}

#[tokio::test]
async fn a_restart_replaces_the_process_of_one_tenant() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    supervisor.control("restart", Some(1)).await;
    let status = supervisor
        .until("tenant 1 has another process", |status| {
            fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(before[0])
        })
        .await;
    assert!(!processes::alive(before[0]));
    assert_eq!(fleet::last_verdict(&status, 1), "OPERATOR");
    assert_eq!(fleet::pids(&status, &[2]), before[1..]);
}

#[tokio::test]
async fn a_restart_of_everybody_replaces_every_process() {
    let supervisor = Supervisor::start(&Setup::scripted("\"1..5\"")).await;
    let tenants = [1, 2, 3, 4, 5];
    let before = fleet::pids(&supervisor.until_running(&tenants).await, &tenants);
    supervisor.control("restart", None).await;
    supervisor
        .until("everybody has another process", |status| {
            fleet::running(status, &tenants)
                && tenants.iter().zip(&before).all(|(tenant, old)| fleet::pid(status, *tenant) != Some(*old))
        })
        .await;
    assert!(before.iter().all(|pid| !processes::alive(*pid)));
    assert_eq!(supervisor.home.births().len(), 10);
}

#[tokio::test]
async fn a_stop_and_a_start_of_everybody() {
    let supervisor = Supervisor::start(&Setup::scripted("\"1..3\"")).await;
    let tenants = [1, 2, 3];
    supervisor.until_running(&tenants).await;
    supervisor.control("stop", None).await;
    let status = supervisor
        .until("everybody is STOPPED", |status| {
            tenants.iter().all(|tenant| fleet::state(status, *tenant) == Some(WorkerState::Stopped))
        })
        .await;
    assert!(!status.running);
    assert!(supervisor.home.births().iter().all(|birth| !processes::alive(birth.pid)));
    supervisor.control("start", None).await;
    supervisor.until_running(&tenants).await;
}

#[tokio::test]
async fn a_stopped_tenant_stays_stopped_when_everything_is_started_anew() {
    let mut supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    supervisor.until_running(&[1, 2]).await;
    supervisor.control("stop", Some(1)).await;
    supervisor.until("tenant 1 is STOPPED", is(1, WorkerState::Stopped)).await;
    supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    supervisor.ended().await;

    supervisor.start_brain().await;
    let status = supervisor.until_running(&[2]).await;
    assert_eq!(fleet::state(&status, 1), Some(WorkerState::Stopped));
    assert_eq!(supervisor.home.born_of(1).len(), 1);
}

#[tokio::test]
async fn several_workers_of_a_tenant_are_processes_of_their_own() {
    let setup = Setup::scripted("[1]").set("queues.transform", "workers", "3");
    let supervisor = Supervisor::start(&setup).await;
    let status = supervisor
        .until("three workers are RUNNING", |status| status.states.get(&WorkerState::Running) == Some(&3))
        .await;
    let mut pids: Vec<i32> = ["transform-1-1", "transform-1-2", "transform-1-3"]
        .iter()
        .filter_map(|name| fleet::named(&status, name)?.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 3);
}
