//! What operators type.

use std::{process::Command, time::Duration};

use etl_shared::api::WorkerState;
use system_tests::{
    SOON, Setup, Supervisor, binaries, eventually, fleet, processes, scripted::Do, supervisor::printed,
};
use tokio::time::timeout;

#[tokio::test]
async fn status_prints_a_line_a_worker_that_scripts_for_supervisord_can_read() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 12]")).await;
    let status = supervisor.until_running(&[1, 12]).await;
    let printed = supervisor.cli(&["status"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(!printed.stdout.contains('\u{1b}'), "no colour where nobody looks: {printed:?}");
    for tenant in [1, 12] {
        let name = format!("transform-{tenant}-1");
        let line = printed.stdout.lines().find(|line| line.starts_with(&name)).expect("a line for each worker");
        let words: Vec<&str> = line.split_whitespace().collect();
        let pid = format!("{},", fleet::pid(&status, tenant).unwrap());
        assert_eq!(words[..5], [name.as_str(), "RUNNING", "pid", &pid, "uptime"], "{line}");
        let parts: Vec<&str> = words[5].split(':').collect();
        assert!(parts.len() == 3 && parts[1].len() == 2 && parts[2].len() == 2, "uptime H:MM:SS: {line}");
        assert!(parts.iter().all(|part| part.parse::<u32>().is_ok()), "uptime H:MM:SS: {line}");
    }
    assert_eq!(printed.stdout.lines().count(), 2, "{printed:?}");
}

#[tokio::test]
async fn the_exit_code_of_status_says_whether_workers_run() {
    let mut supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    supervisor.until_running(&[1, 2]).await;
    supervisor.control("stop", Some(2)).await;
    supervisor.until("tenant 2 is STOPPED", |status| fleet::state(status, 2) == Some(WorkerState::Stopped)).await;

    for (arguments, code) in [
        (vec!["status"], 3),
        (vec!["status", "1"], 0),
        (vec!["status", "transform-1-*"], 0),
        (vec!["status", "2"], 3),
        (vec!["status", "99"], 4),
    ] {
        let printed = supervisor.cli(&arguments).await;
        assert_eq!(printed.code, code, "{arguments:?}: {printed:?}");
    }
    let printed = supervisor.cli(&["status", "2"]).await;
    assert!(printed.stdout.contains("STOPPED"), "{printed:?}");

    supervisor.kill_brain();
    let printed = supervisor.cli(&["status"]).await;
    assert_eq!(printed.code, 4, "nobody answers: {printed:?}");
    assert!(!printed.stderr.is_empty(), "and it says so");
}

#[tokio::test]
async fn a_worker_that_fails_is_not_running() {
    let setup = Setup::scripted("[1]").set("restart", "max_restarts", "0");
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&[Do::Exit(3)])).await;
    supervisor.until("tenant 1 is FATAL", |status| fleet::state(status, 1) == Some(WorkerState::Fatal)).await;
    let printed = supervisor.cli(&["status"]).await;
    assert_eq!(printed.code, 3, "{printed:?}");
    assert!(printed.stdout.contains("FATAL"), "{printed:?}");
}

#[tokio::test]
async fn status_as_json_is_the_apis_own() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let status = supervisor.until_running(&[1, 2]).await;
    let text = supervisor.cli_ok(&["status", "-o", "json"]).await;
    let printed: etl_shared::api::FleetStatus = serde_json::from_str(&text).expect("a FleetStatus");
    assert_eq!(fleet::pids(&printed, &[1, 2]), fleet::pids(&status, &[1, 2]));
    let wide = supervisor.cli_ok(&["status", "-o", "wide"]).await;
    assert!(wide.contains("transform-1-1"), "{wide}");
}

#[tokio::test]
async fn start_stop_and_restart_of_one_and_of_all() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let first = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);

    supervisor.cli_ok(&["stop", "1", "--wait"]).await;
    assert!(!processes::alive(first[0]) && processes::alive(first[1]));
    supervisor.cli_ok(&["start", "1", "--wait"]).await;
    let second = fleet::pids(&supervisor.status().await.unwrap(), &[1, 2]);
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1], first[1]);
    supervisor.cli_ok(&["restart", "all", "--wait"]).await;
    let third = fleet::pids(&supervisor.status().await.unwrap(), &[1, 2]);
    assert!(third.iter().all(|pid| !second.contains(pid)), "{second:?} → {third:?}");
    supervisor.cli_ok(&["stop", "all", "--wait"]).await;
    assert!(third.iter().all(|pid| !processes::alive(*pid)));

    let unknown = supervisor.cli(&["restart", "99"]).await;
    assert_ne!(unknown.code, 0);
    assert!(unknown.stderr.contains("99"), "{unknown:?}");
}

#[tokio::test]
async fn waiting_for_a_worker_that_does_not_come_up_fails() {
    let setup = Setup::scripted("[1]").set("restart", "max_restarts", "1");
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&[Do::Exit(3)])).await;
    supervisor.until("tenant 1 is FATAL", |status| fleet::state(status, 1) == Some(WorkerState::Fatal)).await;
    let printed = timeout(SOON, supervisor.cli(&["start", "1", "--wait"])).await;
    let printed = printed.expect("it does not wait any longer once the worker has been given up again");
    assert_ne!(printed.code, 0, "{printed:?}");
    let said = format!("{}{}", printed.stdout, printed.stderr);
    assert!(said.contains("FATAL") || said.contains("EXIT(3)"), "{said}");
}

#[tokio::test]
async fn logs_show_that_tenants_lines_only() {
    let setup = Setup::scripted("[1, 12]");
    let supervisor = Supervisor::start_prepared(&setup, |home| {
        home.plan(1, &[Do::Print("a line of the first".to_owned())]);
        home.plan(12, &[Do::Print("a line of the twelfth".to_owned())]);
    })
    .await;
    supervisor.until_running(&[1, 12]).await;
    for (tenant, own, foreign) in [("1", "first", "twelfth"), ("12", "twelfth", "first")] {
        let printed = supervisor.cli_ok(&["logs", tenant]).await;
        assert!(printed.contains(own) && !printed.contains(foreign), "logs {tenant}: {printed}");
    }
    assert_ne!(supervisor.cli(&["logs", "99"]).await.code, 0);
}

#[tokio::test]
async fn logs_can_be_followed_over_a_restart() {
    let setup = Setup::scripted("[1]");
    let plan = |text: &str| [Do::Print(text.to_owned())];
    let supervisor = Supervisor::start_prepared(&setup, |home| home.plan_all(&plan("before"))).await;
    supervisor.until_running(&[1]).await;
    let (arguments, file) = (["logs", "-f", "1"], supervisor.directory().join("followed"));
    let mut follower = Command::new(binaries::supervisor())
        .args(arguments)
        .arg("--config")
        .arg(supervisor.config())
        .stdout(std::fs::File::create(&file).unwrap())
        .spawn()
        .unwrap();
    let shows = async |text: &str| {
        eventually(format!("{text} is shown"), SOON, async || {
            let shown = std::fs::read_to_string(&file).unwrap_or_default();
            if shown.contains(text) { Ok(()) } else { Err(shown) }
        })
        .await;
    };
    shows("before").await;
    supervisor.home.plan_all(&plan("after"));
    supervisor.control("restart", Some(1)).await;
    shows("after").await;
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    supervisor.until_running(&[1, 2]).await;
    let made =
        supervisor.cli_ok(&["token", "create", "--name", "dashboard", "--role", "viewer", "--tenant", "1"]).await;
    let list = supervisor.cli_ok(&["token", "list"]).await;
    let line = list.lines().find(|line| line.contains("dashboard")).expect("it is in the list");
    let secret = made.split_whitespace().max_by_key(|word| word.len()).expect("the token is printed");
    assert!(!list.contains(secret), "the list never shows the secret");
    let status = system_tests::http::Call::get("/api/v1/admin/workers/tenant/1/status").token(secret);
    supervisor.tcp(status.clone()).await.expect_status(200);

    let id = line.split_whitespace().next().expect("the list begins with the id");
    supervisor.cli_ok(&["token", "revoke", id]).await;
    supervisor.tcp(status).await.expect_status(401);

    let tenantless = supervisor.cli(&["token", "create", "--name", "x", "--role", "operator"]).await;
    assert_ne!(tenantless.code, 0, "an operator needs a tenant: {tenantless:?}");
}

#[tokio::test]
async fn without_a_command_or_with_a_wrong_one_the_usage_is_shown() {
    for arguments in [vec![], vec!["strat"]] {
        let mut command = Command::new(binaries::supervisor());
        command.args(&arguments);
        let printed = printed(command).await;
        assert_eq!(printed.code, 2, "{arguments:?}: {printed:?}");
        assert!(printed.stderr.contains("Usage"), "{arguments:?}: {printed:?}");
    }
    let mut version = Command::new(binaries::supervisor());
    version.arg("version");
    assert!(printed(version).await.stdout.contains("etl-supervisor"));
}

#[tokio::test]
async fn a_status_of_many_workers_is_quick() {
    let supervisor = Supervisor::start(&Setup::scripted("\"1..60\"")).await;
    supervisor.until("everybody is RUNNING", |status| status.states.get(&WorkerState::Running) == Some(&60)).await;
    let began = std::time::Instant::now();
    for _ in 0..20 {
        supervisor.status().await.unwrap();
    }
    // Nowhere near a measurement: it only catches a status that asks every worker.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
