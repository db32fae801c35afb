//! Workers that fail: how often they are tried, when they are given up, and that their neighbours never notice.

use std::time::Duration;

use etl_shared::api::{FleetStatus, WorkerState};
use nix::sys::signal::Signal;
use system_tests::{Setup, Supervisor, fleet, processes, scripted::Do, waiting::holds_for};

/// Tenant 1 misbehaves, tenants 2 and 3 do not; two restarts are allowed.
fn setup() -> Setup {
    Setup::scripted("[1, 2, 3]").set("restart", "max_restarts", "2").set("queues.transform", "start_timeout", "\"5s\"")
}

async fn with_plan(setup: &Setup, plan: &[Do]) -> Supervisor {
    Supervisor::start_prepared(setup, |home| home.plan(1, plan)).await
}

fn is(wanted: WorkerState) -> impl Fn(&FleetStatus) -> bool {
    move |status| fleet::state(status, 1) == Some(wanted)
}

/// Tenant 1 becomes FATAL with this verdict after exactly the permitted number of starts; the neighbours keep their
/// processes; an operator's start revives it.
async fn is_given_up(supervisor: &Supervisor, verdict: &str) {
    let neighbours = fleet::pids(&supervisor.until_running(&[2, 3]).await, &[2, 3]);
    let status = supervisor.until("tenant 1 is FATAL", is(WorkerState::Fatal)).await;
    assert_eq!(fleet::last_verdict(&status, 1), verdict);
    assert_eq!(fleet::pid(&status, 1), None);
    assert_eq!(supervisor.home.born_of(1).len(), 3, "one start and two restarts");
    holds_for("FATAL means that nobody tries again", Duration::from_millis(600), async || {
        match supervisor.home.born_of(1).len() {
            3 => Ok(()),
            more => Err(format!("{more} starts")),
        }
    })
    .await;

    supervisor.home.plan(1, &[]);
    supervisor.control("start", Some(1)).await;
    let status = supervisor.until_running(&[1, 2, 3]).await;
    assert_eq!(fleet::pids(&status, &[2, 3]), neighbours);
    assert_eq!(supervisor.home.births().len(), 6, "nobody else was started again");
}

#[tokio::test]
async fn a_worker_that_leaves_at_once_for_ever() {
    let supervisor = with_plan(&setup(), &[Do::Exit(3)]).await;
    is_given_up(&supervisor, "EXIT(3)").await;
}

#[tokio::test]
async fn a_worker_that_crashes_at_once_for_ever() {
    let supervisor = with_plan(&setup(), &[Do::Die(11)]).await;
    is_given_up(&supervisor, "CRASH(SIGSEGV)").await;
}

#[tokio::test]
async fn a_worker_that_never_becomes_ready() {
    let setup = setup().set("queues.transform", "start_timeout", "\"400ms\"");
    let supervisor = with_plan(&setup, &[Do::NeverReady]).await;
    is_given_up(&supervisor, "HUNG").await;
}

#[tokio::test]
async fn a_worker_that_never_becomes_ready_and_ignores_term() {
    let setup =
        setup().set("queues.transform", "start_timeout", "\"400ms\"").set("queues.transform", "grace", "\"200ms\"");
    let supervisor = with_plan(&setup, &[Do::NeverReady, Do::IgnoreTerm]).await;
    is_given_up(&supervisor, "HUNG").await;
}

#[tokio::test]
async fn between_two_starts_a_failing_worker_is_in_backoff() {
    let setup = setup().set("restart", "backoff_initial", "\"60s\"").set("restart", "backoff_max", "\"60s\"").set(
        "restart",
        "max_restarts",
        "5",
    );
    let supervisor = with_plan(&setup, &[Do::Exit(3)]).await;
    // The delay is any part of a minute; what is certain is that this state is passed through.
    let status = supervisor.until("tenant 1 is in BACKOFF", is(WorkerState::Backoff)).await;
    assert_eq!(fleet::last_verdict(&status, 1), "EXIT(3)");
    assert!(supervisor.home.born_of(1).len() >= 2, "the first restart comes at once");
    supervisor.control("stop", Some(1)).await;
    supervisor.until("a stop ends the BACKOFF", is(WorkerState::Stopped)).await;
}

#[tokio::test]
async fn the_first_restart_comes_at_once() {
    let setup = setup().set("restart", "backoff_initial", "\"60s\"").set("restart", "backoff_max", "\"60s\"");
    let supervisor = with_plan(&setup, &[]).await;
    let first = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
    processes::signal(first, Signal::SIGKILL);
    let status = supervisor
        .until("there is a successor", |status| fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(first))
        .await;
    assert_eq!(fleet::last_verdict(&status, 1), "CRASH(SIGKILL)");
    assert_eq!(fleet::worker(&status, 1).unwrap().restarts, 1);
}

#[tokio::test]
async fn a_fatal_worker_is_tried_once_more_after_a_while() {
    let setup = setup().set("restart", "fatal_retry", "\"700ms\"");
    let supervisor = with_plan(&setup, &[Do::Exit(3)]).await;
    supervisor.until("tenant 1 is FATAL", is(WorkerState::Fatal)).await;
    supervisor.home.plan(1, &[]);
    supervisor.until_running(&[1]).await;
}

#[tokio::test]
async fn a_wrong_configuration_is_not_tried_a_second_time() {
    let supervisor = with_plan(&setup(), &[Do::Exit(78)]).await;
    let status = supervisor.until("tenant 1 is FATAL", is(WorkerState::Fatal)).await;
    assert_eq!(fleet::last_verdict(&status, 1), "EXIT(78)");
    assert_eq!(supervisor.home.born_of(1).len(), 1);
    supervisor.until_running(&[2, 3]).await;
}

/// A worker that leaves with this code is tried again although not a single restart is allowed.
async fn spends_no_budget(code: u8) {
    let setup = setup().set("restart", "max_restarts", "0");
    let supervisor = with_plan(&setup, &[Do::Exit(code)]).await;
    supervisor
        .until("tenant 1 is WAITING for what it depends on", |status| {
            is(WorkerState::Waiting)(status) && fleet::last_verdict(status, 1) == "DEPENDENCY"
        })
        .await;
    supervisor.home.plan(1, &[]);
    supervisor
        .until("it is tried again by itself", |status| {
            assert_ne!(fleet::state(status, 1), Some(WorkerState::Fatal));
            fleet::running(status, &[1, 2, 3])
        })
        .await;
}

#[tokio::test]
async fn a_missing_dependency_spends_no_budget() {
    spends_no_budget(69).await;
}

#[tokio::test]
async fn a_worker_that_asks_to_be_tried_later_spends_no_budget() {
    spends_no_budget(75).await;
}

#[tokio::test]
async fn a_worker_that_leaves_by_itself_is_started_again() {
    let supervisor = with_plan(&setup(), &[Do::ExitAfter(Duration::from_millis(100), 0)]).await;
    supervisor.until("tenant 1 has DRAINED", |status| fleet::last_verdict(status, 1) == "DRAINED").await;
    supervisor.home.plan(1, &[]);
    supervisor.until("there is a successor", |_| supervisor.home.born_of(1).len() >= 2).await;
    supervisor.until_running(&[1]).await;
}

#[tokio::test]
async fn failures_are_forgotten_after_a_time_of_health() {
    let setup = setup().set("restart", "reset_after", "\"200ms\"").set("restart", "window", "\"1h\"");
    let supervisor = with_plan(&setup, &[]).await;
    let mut pid = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
    // More deaths than the budget allows in an hour, but each one after a healthy run.
    for death in 1..=5 {
        let begun = std::time::Instant::now();
        holds_for("a healthy run", Duration::from_millis(300), async || Ok(())).await;
        assert!(begun.elapsed() >= Duration::from_millis(300));
        processes::signal(pid, Signal::SIGKILL);
        let status = supervisor
            .until(format!("there is a successor after death {death}"), |status| {
                fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(pid)
            })
            .await;
        pid = fleet::pids(&status, &[1])[0];
    }
}
