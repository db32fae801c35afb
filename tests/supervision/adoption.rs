//! Brain and keeper that are killed, and a second supervisor on the same directory: never a worker too many, never a
//! worker lost.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::api::WorkerState;
use nix::sys::signal::Signal;
use system_tests::{SOON, Setup, Supervisor, eventually, fleet, processes, scripted::Do, waiting::holds_for};
use tokio::time::timeout;

/// For each worker, how many of the processes that were ever started for it are alive.
fn alive_each(supervisor: &Supervisor) -> BTreeMap<String, usize> {
    let mut alive = BTreeMap::new();
    for birth in supervisor.home.births() {
        *alive.entry(birth.worker).or_default() += usize::from(processes::alive(birth.pid));
    }
    alive
}

#[tokio::test]
async fn a_killed_brain_finds_its_workers_again() {
    let mut supervisor = Supervisor::start(&Setup::scripted("\"1..5\"")).await;
    let tenants = [1, 2, 3, 4, 5];
    let before = fleet::pids(&supervisor.until_running(&tenants).await, &tenants);
    for _ in 0..3 {
        supervisor.kill_brain();
        assert!(before.iter().all(|pid| processes::alive(*pid)), "workers do not need the brain");
        supervisor.start_brain().await;
        let status = supervisor.until_running(&tenants).await;
        assert_eq!(fleet::pids(&status, &tenants), before);
    }
    assert_eq!(supervisor.home.births().len(), 5, "nobody was started twice");

    // They are as much under control as before.
    supervisor.control("restart", Some(1)).await;
    supervisor
        .until("an adopted worker can be restarted", |status| {
            fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(before[0])
        })
        .await;
    assert!(!processes::alive(before[0]));
}

#[tokio::test]
async fn a_brain_that_is_killed_while_workers_are_starting() {
    let setup = Setup::scripted("\"1..8\"");
    let plan = [Do::ReadyAfter(Duration::from_millis(700))];
    let mut supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&plan)).await;
    supervisor.until("some worker is STARTING", |_| !supervisor.home.births().is_empty()).await;
    supervisor.kill_brain();
    supervisor.start_brain().await;
    supervisor.until_running(&[1, 2, 3, 4, 5, 6, 7, 8]).await;
    assert!(alive_each(&supervisor).values().all(|alive| *alive == 1), "{:?}", alive_each(&supervisor));
    assert_eq!(supervisor.home.births().len(), 8, "{:?}", supervisor.home.births());
}

#[tokio::test]
async fn how_a_worker_died_is_known_although_no_brain_was_there() {
    let mut supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    supervisor.kill_brain();
    processes::signal(before[0], Signal::SIGABRT);
    eventually(
        "the worker is dead",
        SOON,
        async || {
            if processes::alive(before[0]) { Err("alive".to_owned()) } else { Ok(()) }
        },
    )
    .await;
    supervisor.start_brain().await;
    let status = supervisor.until_running(&[1, 2]).await;
    assert_eq!(fleet::last_verdict(&status, 1), "CRASH(SIGABRT)");
    assert_eq!(fleet::pids(&status, &[2]), before[1..]);
    assert_eq!(supervisor.home.born_of(1).len(), 2);
}

#[tokio::test]
async fn workers_go_with_a_killed_keeper_and_come_back_once() {
    let supervisor = Supervisor::start(&Setup::scripted("\"1..4\"")).await;
    let tenants = [1, 2, 3, 4];
    let before = fleet::pids(&supervisor.until_running(&tenants).await, &tenants);
    let keeper = supervisor.kill_keeper().await;
    eventually("the keeper's workers are gone with it", SOON, async || {
        let left: Vec<i32> = before.iter().copied().filter(|pid| processes::alive(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("alive: {left:?}")) }
    })
    .await;
    let status = supervisor
        .until("there is another keeper, and everybody runs again", |status| {
            fleet::running(status, &tenants)
                && status.supervisor.keeper_pid.is_some_and(|pid| pid != keeper)
                && tenants.iter().zip(&before).all(|(tenant, old)| fleet::pid(status, *tenant) != Some(*old))
        })
        .await;
    assert_eq!(fleet::last_verdict(&status, 1), "LOST");
    assert!(alive_each(&supervisor).values().all(|alive| *alive == 1), "{:?}", alive_each(&supervisor));
    assert_eq!(supervisor.home.births().len(), 8, "{:?}", supervisor.home.births());
}

#[tokio::test]
async fn brain_and_keeper_killed_together_leave_nobody_and_nothing_is_doubled_at_the_next_start() {
    let setup = Setup::scripted("\"1..4\"");
    let mut supervisor = Supervisor::start(&setup).await;
    let tenants = [1, 2, 3, 4];
    let before = fleet::pids(&supervisor.until_running(&tenants).await, &tenants);
    let keeper = supervisor.status().await.unwrap().supervisor.keeper_pid.expect("there is a keeper");
    supervisor.kill_brain();
    processes::signal(keeper, Signal::SIGKILL);
    eventually("nobody is left", SOON, async || {
        let left = supervisor.processes();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;

    supervisor.start_brain().await;
    let status = supervisor.until_running(&tenants).await;
    assert!(fleet::pids(&status, &tenants).iter().all(|pid| !before.contains(pid)));
    assert!(alive_each(&supervisor).values().all(|alive| *alive == 1), "{:?}", alive_each(&supervisor));
    assert_eq!(supervisor.home.births().len(), 8);
}

#[tokio::test]
async fn a_second_supervisor_is_refused_and_told_who_holds_the_directory() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    let second = timeout(SOON, supervisor.cli(&["run"])).await.expect("a second supervisor leaves by itself");
    assert_ne!(second.code, 0, "{second:?}");
    let said = format!("{}{}", second.stdout, second.stderr);
    assert!(said.contains(&supervisor.brain_pid().to_string()), "it does not name the holder: {said}");
    holds_for("the first one goes on", Duration::from_millis(400), async || {
        let status = supervisor.status().await?;
        let pids = [1, 2].map(|tenant| fleet::pid(&status, tenant));
        if pids == [Some(before[0]), Some(before[1])] { Ok(()) } else { Err(fleet::summary(&status)) }
    })
    .await;
    assert_eq!(supervisor.home.births().len(), 2);
}

#[tokio::test]
async fn a_brain_that_was_stopped_with_detach_leaves_its_workers_alone() {
    let mut supervisor = Supervisor::prepare(&Setup::scripted("[1, 2]")).with_arguments(&["--detach"]);
    supervisor.start_brain().await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    supervisor.signal(Signal::SIGTERM);
    let status = supervisor.ended().await;
    assert_eq!(status.code(), Some(0), "{status:?}");
    assert!(before.iter().all(|pid| processes::alive(*pid)), "workers do not need the brain");

    supervisor.start_brain().await;
    let status = supervisor.until_running(&[1, 2]).await;
    assert_eq!(fleet::pids(&status, &[1, 2]), before);
    assert_eq!(supervisor.home.births().len(), 2);
}

#[tokio::test]
async fn a_tenant_that_left_the_configuration_while_the_brain_was_away_loses_its_worker() {
    let mut supervisor = Supervisor::start(&Setup::scripted("[1, 2, 3]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2, 3]).await, &[1, 2, 3]);
    supervisor.kill_brain();
    supervisor.configure(&Setup::scripted("[2, 3]"));
    supervisor.start_brain().await;
    let status = supervisor
        .until("tenant 1 has no process", |status| {
            !matches!(fleet::state(status, 1), Some(WorkerState::Running | WorkerState::Stopping))
                && fleet::running(status, &[2, 3])
                && !processes::alive(before[0])
        })
        .await;
    assert_eq!(fleet::pids(&status, &[2, 3]), before[1..]);
}
