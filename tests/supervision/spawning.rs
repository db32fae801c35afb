//! Programs that cannot be started, and processes that do not behave once they are.

use std::{fs, os::unix::fs::PermissionsExt};

use etl_shared::api::WorkerState;
use nix::sys::signal::Signal;
use system_tests::{
    SOON, Setup, Supervisor, binaries, eventually, fleet, processes,
    scripted::Do,
    supervisor_setup::{HERE, scripted_command},
};

/// Beside the scripted workers, a second kind whose program lies at `HERE/program`.
fn with_a_second_kind() -> Setup {
    let second = scripted_command(HERE.as_ref()).replace(&binaries::scripted_worker().display().to_string(), PROGRAM);
    Setup::scripted("[1, 2]").set("queues.unbuilt", "command", &second).set("restart", "max_restarts", "100000")
}

const PROGRAM: &str = "@HERE@/program";

async fn fails_to_spawn_until(supervisor: &Supervisor, repair: impl FnOnce()) {
    let running = supervisor.until_running(&[1, 2]).await;
    let neighbours = fleet::pids(&running, &[1, 2]);
    let status = supervisor
        .until("both of the other kind have SPAWN_FAILED and are tried again", |status| {
            ["unbuilt-1-1", "unbuilt-2-1"].iter().all(|name| {
                fleet::named(status, name).is_some_and(|worker| {
                    let verdict = worker.last_exit.as_ref().map(|exit| exit.verdict.to_string());
                    verdict.as_deref() == Some("SPAWN_FAILED") && worker.incarnation >= 2
                })
            })
        })
        .await;
    let worker = fleet::named(&status, "unbuilt-1-1").expect("just seen");
    let exit = worker.last_exit.as_ref().expect("just seen");
    let told = format!("{} {:?}", worker.reason, exit.detail);
    assert!(told.contains("program"), "it does not say which program: {told}");
    assert_eq!(worker.pid, None);

    repair();
    let status = supervisor
        .until("they come up by themselves", |status| {
            ["unbuilt-1-1", "unbuilt-2-1"]
                .iter()
                .all(|name| fleet::named(status, name).is_some_and(|worker| worker.state == WorkerState::Running))
        })
        .await;
    assert_eq!(fleet::pids(&status, &[1, 2]), neighbours, "their neighbours have not noticed anything");
}

#[tokio::test]
async fn a_program_that_is_missing_at_first() {
    let supervisor = Supervisor::start(&with_a_second_kind()).await;
    fails_to_spawn_until(&supervisor, || {
        let (place, unfinished) = (supervisor.directory().join("program"), supervisor.directory().join("copying"));
        fs::copy(binaries::scripted_worker(), &unfinished).unwrap();
        fs::rename(unfinished, place).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_not_executable_at_first() {
    let mut supervisor = Supervisor::prepare(&with_a_second_kind());
    let program = supervisor.directory().join("program");
    fs::copy(binaries::scripted_worker(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    supervisor.start_brain().await;
    fails_to_spawn_until(&supervisor, || {
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_was_suspended_still_leaves_in_good_order() {
    let setup = Setup::scripted("[1]").set("queues.transform", "grace", "\"1h\"");
    let supervisor = Supervisor::start(&setup).await;
    let pid = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
    processes::signal(pid, Signal::SIGSTOP);

    supervisor.control("stop", Some(1)).await;
    supervisor.until("tenant 1 is STOPPED", |status| fleet::state(status, 1) == Some(WorkerState::Stopped)).await;
    assert_eq!(supervisor.home.signals_of(pid), ["SIGTERM"], "it was woken, and heard it");
}

#[tokio::test]
async fn a_worker_that_ignores_term_is_killed_after_its_grace_period() {
    let setup = Setup::scripted("[1, 2]").set("queues.transform", "grace", "\"300ms\"");
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan(1, &[Do::IgnoreTerm])).await;
    let status = supervisor.until_running(&[1, 2]).await;
    let [stubborn, neighbour] = fleet::pids(&status, &[1, 2])[..] else { unreachable!() };

    supervisor.control("stop", Some(1)).await;
    let status =
        supervisor.until("tenant 1 is STOPPED", |status| fleet::state(status, 1) == Some(WorkerState::Stopped)).await;
    assert!(!processes::alive(stubborn));
    assert_eq!(supervisor.home.signals_of(stubborn), ["SIGTERM"], "it was asked before it was killed");
    assert_eq!(fleet::last_verdict(&status, 1), "OPERATOR", "a stop is a stop, however it ended");
    assert_eq!(fleet::pid(&status, 2), Some(neighbour));
}

#[tokio::test]
async fn descendants_in_sessions_of_their_own_do_not_outlive_a_stop() {
    let setup = Setup::scripted("[1]");
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&[Do::Descendants(3)])).await;
    supervisor.until_running(&[1]).await;
    let descendants = supervisor.home.descendants();
    assert_eq!(descendants.len(), 3);
    assert!(descendants.iter().all(|pid| processes::alive(*pid)), "they live as long as nobody stops them");

    supervisor.control("stop", Some(1)).await;
    supervisor.until("tenant 1 is STOPPED", |status| fleet::state(status, 1) == Some(WorkerState::Stopped)).await;
    assert_gone(&descendants).await;
}

#[tokio::test]
async fn descendants_of_a_crashed_worker_are_gone_when_its_successor_runs() {
    let setup = Setup::scripted("[1]");
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&[Do::Descendants(2)])).await;
    let first = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
    let descendants = supervisor.home.descendants();
    supervisor.home.plan_all(&[]);

    processes::signal(first, nix::sys::signal::Signal::SIGKILL);
    supervisor
        .until("there is a successor", |status| fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(first))
        .await;
    assert_gone(&descendants).await;
}

async fn assert_gone(pids: &[i32]) {
    eventually("no descendant is left", SOON, async || {
        let left: Vec<i32> = pids.iter().copied().filter(|pid| processes::alive(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("alive: {left:?}")) }
    })
    .await;
}
