//! Signals to `etl-supervisor run`.

use std::time::Duration;

use etl_shared::api::WorkerState;
use nix::sys::signal::Signal;
use system_tests::{SOON, Setup, Supervisor, eventually, fleet, processes, scripted::Do, waiting::holds_for};

async fn nobody_is_left(supervisor: &Supervisor) {
    eventually("neither keeper nor worker is left", SOON, async || {
        let left = supervisor.processes();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", left.iter().map(|pid| processes::arguments(*pid)).collect::<Vec<_>>()))
        }
    })
    .await;
}

#[tokio::test]
async fn term_and_int_let_everybody_finish_and_leave_nobody() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let setup = Setup::scripted("[1, 2, 3]");
        let plan = [Do::SlowExit(Duration::from_millis(300))];
        let mut supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&plan)).await;
        let pids = fleet::pids(&supervisor.until_running(&[1, 2, 3]).await, &[1, 2, 3]);
        supervisor.signal(signal);
        let status = supervisor.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}: {status:?}\n{}", supervisor.log());
        for pid in pids {
            assert_eq!(supervisor.home.signals_of(pid), ["SIGTERM"], "{signal}: asked once");
            assert!(!processes::alive(pid));
        }
        nobody_is_left(&supervisor).await;
    }
}

#[tokio::test]
async fn a_second_term_waits_for_nobody() {
    let setup = Setup::scripted("[1, 2]").set("queues.transform", "grace", "\"1h\"");
    let mut supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&[Do::IgnoreTerm])).await;
    let pids = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    supervisor.signal(Signal::SIGTERM);
    eventually("the workers have been asked to leave", SOON, async || {
        let asked = pids.iter().all(|pid| supervisor.home.signals_of(*pid) == ["SIGTERM"]);
        if asked { Ok(()) } else { Err("not all".to_owned()) }
    })
    .await;
    supervisor.signal(Signal::SIGTERM);
    supervisor.ended().await;
    nobody_is_left(&supervisor).await;
}

#[tokio::test]
async fn quit_waits_for_nobody() {
    let setup = Setup::scripted("[1, 2]").set("queues.transform", "grace", "\"1h\"");
    let plan = [Do::IgnoreTerm, Do::SlowExit(Duration::from_hours(1))];
    let mut supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&plan)).await;
    supervisor.until_running(&[1, 2]).await;
    supervisor.signal(Signal::SIGQUIT);
    supervisor.ended().await;
    nobody_is_left(&supervisor).await;
}

#[tokio::test]
async fn hup_touches_only_what_changed() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2, 3]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2, 3]).await, &[1, 2, 3]);
    supervisor.configure(&Setup::scripted("[2, 3, 4]"));
    supervisor.signal(Signal::SIGHUP);
    let status = supervisor
        .until("tenant 4 has come and tenant 1 has gone", |status| {
            fleet::running(status, &[4]) && !fleet::running(status, &[1]) && !processes::alive(before[0])
        })
        .await;
    assert_eq!(fleet::pids(&status, &[2, 3]), before[1..]);
    assert_eq!(supervisor.home.births().len(), 4);
    for pid in &before[1..] {
        assert_eq!(supervisor.home.signals_of(*pid), Vec::<String>::new());
    }
}

#[tokio::test]
async fn hup_with_a_changed_command_restarts_that_kind_only() {
    let setup = Setup::scripted("[1]").set("queues.zother", "command", "[\"/bin/sleep\", \"3600\"]");
    let setup = setup.set("queues.zother", "ready", "\"exec\"");
    let supervisor = Supervisor::start(&setup).await;
    let status = supervisor
        .until("both kinds are RUNNING", |status| {
            fleet::running(status, &[1])
                && fleet::named(status, "zother-1-1").is_some_and(|worker| worker.pid.is_some())
        })
        .await;
    let (scripted, other) = (fleet::pids(&status, &[1])[0], fleet::named(&status, "zother-1-1").unwrap().pid.unwrap());
    supervisor.configure(&setup.set("queues.zother", "command", "[\"/bin/sleep\", \"7200\"]"));
    supervisor.signal(Signal::SIGHUP);
    let status = supervisor
        .until("the changed kind runs its new command", |status| {
            let pid = fleet::named(status, "zother-1-1").and_then(|worker| worker.pid);
            pid.is_some_and(|pid| processes::arguments(pid).last().is_some_and(|argument| argument == "7200"))
        })
        .await;
    assert!(!processes::alive(other));
    assert_eq!(fleet::pids(&status, &[1]), [scripted]);
}

#[tokio::test]
async fn hup_with_a_corrected_command_takes_its_workers_out_of_fatal() {
    let setup = Setup::scripted("[1]").set("queues.transform", "ready", "\"exec\"").set("restart", "max_restarts", "1");
    let supervisor = Supervisor::start(&setup.clone().set("queues.transform", "command", "[\"/bin/false\"]")).await;
    supervisor.until("it is given up", |status| fleet::state(status, 1) == Some(WorkerState::Fatal)).await;
    supervisor.configure(&setup.set("queues.transform", "command", "[\"/bin/sleep\", \"3600\"]"));
    supervisor.signal(Signal::SIGHUP);
    supervisor.until_running(&[1]).await;
}

#[tokio::test]
async fn a_stop_of_many_workers_takes_the_keeper_along() {
    let setup = Setup::scripted("\"1..150\"").set("queues.transform", "ready", "\"exec\"");
    let setup = setup.set("queues.transform", "command", "[\"/bin/sleep\", \"3600\"]");
    let mut supervisor = Supervisor::start(&setup).await;
    let everybody: Vec<i64> = (1..=150).collect();
    supervisor.until_running(&everybody).await;
    supervisor.signal(Signal::SIGTERM);
    supervisor.ended().await;
    nobody_is_left(&supervisor).await;
}

#[tokio::test]
async fn hup_with_a_broken_configuration_changes_nothing_and_says_so() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    supervisor.configure(&Setup::scripted("[1, 2]").set("restart", "max_restart", "1"));
    supervisor.signal(Signal::SIGHUP);
    eventually("the log says what is wrong", SOON, async || {
        let log = supervisor.log();
        if log.contains("restart.max_restarts") { Ok(()) } else { Err(log) }
    })
    .await;
    holds_for("everybody works on", Duration::from_millis(400), async || {
        let status = supervisor.status().await?;
        let same = [1, 2].map(|tenant| fleet::pid(&status, tenant)) == [Some(before[0]), Some(before[1])];
        if same { Ok(()) } else { Err(fleet::summary(&status)) }
    })
    .await;
}

#[tokio::test]
async fn hup_says_which_changed_sections_have_to_wait_for_a_restart_and_leaves_them() {
    let setup = Setup::scripted("[1]");
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    let elsewhere = setup.set("broker", "url", "\"amqp://a@127.0.0.1:1/b\"").set("reconcile", "after", "\"2h\"");
    supervisor.configure(&elsewhere);
    supervisor.signal(Signal::SIGHUP);
    eventually("both sections are named", SOON, async || {
        let log = supervisor.log();
        let named = |section| log.contains(&format!("\"section\":\"{section}\""));
        if named("broker") && named("reconcile") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(supervisor.status().await.is_ok(), "it is where it was");
}

#[tokio::test]
async fn usr1_and_usr2_reach_every_worker() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2, 3]")).await;
    let pids = fleet::pids(&supervisor.until_running(&[1, 2, 3]).await, &[1, 2, 3]);
    for (signal, expected) in [(Signal::SIGUSR1, vec!["SIGUSR1"]), (Signal::SIGUSR2, vec!["SIGUSR1", "SIGUSR2"])] {
        supervisor.signal(signal);
        eventually(format!("{signal} has reached everybody"), SOON, async || {
            let got: Vec<_> = pids.iter().map(|pid| supervisor.home.signals_of(*pid)).collect();
            if got.iter().all(|got| *got == expected) { Ok(()) } else { Err(format!("{got:?}")) }
        })
        .await;
    }
}
