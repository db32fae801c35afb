//! The program as operators use it, against an API with a made-up fleet behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use etl_shared::{
    TenantId,
    api::{BudgetStatus, FleetStatus, PartStatus, TenantList, WorkerState},
};
use etl_supervisor::{
    api::{ApiContext, Serving, serve},
    clock::BootTime,
    runtime::{FleetView, Handle, WorkerView, handle::Order, view::ProcessView},
    settings::Runtime,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A supervisor without workers to supervise: orders are accepted, and carried out by changing the view.
struct Supervisor {
    directory: TempDir,
    _serving: Serving,
}

fn tenant(id: i64) -> TenantId {
    TenantId::try_from(id).unwrap()
}

fn worker(name: &str, state: WorkerState, reason: &str) -> Arc<WorkerView> {
    let started_at = BootTime(BootTime::now().0.saturating_sub(10_000_000));
    let process = ProcessView { pid: 4121, started_at, sample: None };
    Arc::new(WorkerView {
        name: name.parse().unwrap(),
        state,
        reason: reason.to_owned(),
        process: (state == WorkerState::Running).then_some(process),
        incarnation: 1,
        restarts: 0,
        last_exit: None,
    })
}

fn view() -> FleetView {
    let tenants = vec![tenant(1), tenant(2)];
    FleetView {
        names: Arc::default(),
        overrides: Arc::default(),
        rules: Arc::default(),
        accounts: None,
        workers: [
            worker("transform-1-1", WorkerState::Running, "ready"),
            worker("transform-2-1", WorkerState::Backoff, "EXIT(1), next start in 4s"),
        ]
        .into(),
        tenants: Arc::new(tenants.iter().map(|id| (*id, true)).collect()),
        queues: Arc::default(),
        parts: BTreeMap::from([("keeper", PartStatus { ok: true, detail: "pid 2".to_owned() })]),
        keeper_pid: Some(2),
        walls: std::sync::Arc::default(),
        tenant_list: Arc::new(TenantList { tenants, source: "database".to_owned(), refused: Some(vec![tenant(2)]) }),
        budget: BudgetStatus::default(),
        tally: etl_supervisor::history::Tally::default(),
        settled: true,
        last_event_id: 0,
        version: 1,
        turned_at: BootTime::now(),
    }
}

impl Supervisor {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().to_owned();
        let config = format!(
            "tenants = [1, 2]\n[runtime]\ndirectory = \"{0}\"\nlog_directory = \"{0}\"\nstate_directory = \"{0}\"\n",
            at.display()
        );
        fs::write(at.join("config.toml"), config).unwrap();
        let (orders, mut taken) = mpsc::channel(1);
        let view = Arc::new(ArcSwap::from_pointee(view()));
        let fleet = Arc::clone(&view);
        std::thread::spawn(move || {
            while let Some(order) = taken.blocking_recv() {
                match order {
                    Order::Rotate { answer, .. } => {
                        let _ = answer.send(Err(etl_supervisor::runtime::ControlError::SharedCredentials));
                    }
                    Order::Control { answer, .. } => {
                        let mut next = FleetView::clone(&fleet.load());
                        next.workers = next
                            .workers
                            .iter()
                            .map(|old| worker(&old.name.to_string(), WorkerState::Stopped, "stopped by an operator"))
                            .collect();
                        fleet.store(Arc::new(next));
                        let _ = answer.send(Ok(1));
                    }
                    Order::Forgive { answer, .. } => {
                        let _ = answer.send(Ok(false));
                    }
                    Order::ConfirmTenants { answer, .. } => {
                        let mut list = TenantList::clone(&fleet.load().tenant_list);
                        list.tenants = list.refused.take().unwrap_or_default();
                        let _ = answer.send(Ok(list));
                    }
                }
            }
        });
        let context = ApiContext {
            handle: Handle::new(orders, view),
            runtime: Runtime { directory: at.clone(), log_directory: at.clone(), state_directory: at },
            listen: None,
            api: etl_supervisor::settings::Api::default(),
            auth: etl_supervisor::settings::Auth::default(),
            required_parts: vec!["keeper"],
            started_at: SystemTime::now(),
            broker: None,
            database: None,
            republished: std::sync::Arc::default(),
            spans: etl_supervisor::spans::Spans::default(),
            journal: etl_supervisor::history::Journal::default(),
            reload_tenants: tokio::sync::watch::channel(0).0,
            audit: etl_supervisor::audit::AuditLog::new(std::path::Path::new(""), None, None).0,
            look: None,
        };
        Self { _serving: serve(context).unwrap(), directory }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program().arg("--config").arg(self.directory.path().join("config.toml")).args(arguments).output().unwrap()
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etl-supervisor"));
    command.env_remove("ETL_SUPERVISOR_CONFIG");
    command
}

#[track_caller]
fn says(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    assert!(out.contains(stdout), "no {stdout:?} in {out:?}");
    assert!(err.contains(stderr), "no {stderr:?} in {err:?}");
}

#[test]
fn status_shows_the_workers_and_answers_like_a_service_script() {
    let supervisor = Supervisor::start();
    let all = supervisor.run(&["status"]);
    says(&all, 3, "transform-2-1                    BACKOFF   EXIT(1), next start in 4s\n", "");
    says(&all, 3, "transform-1-1                    RUNNING   pid 4121, uptime 0:00:1", "");
    says(&supervisor.run(&["status", "1"]), 0, "transform-1-1 ", "");
    says(&supervisor.run(&["status", "transform-*-1"]), 3, "transform-2-1 ", "");
    says(&supervisor.run(&["status", "3"]), 4, "", "No worker matches tenant 3");
    says(&supervisor.run(&["status", "1", "-o", "wide"]), 0, "NAME ", "");
    let json = supervisor.run(&["status", "1", "-o", "json"]);
    let fleet: FleetStatus = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(fleet.tenants.into_keys().collect::<Vec<_>>(), [tenant(1)]);
}

#[test]
fn without_a_supervisor_every_command_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    for (arguments, code) in [
        (&["status"] as &[_], 4),
        (&["status", "-o", "json"], 4),
        (&["stop", "all"], 1),
        (&["logs", "1"], 1),
        (&["token", "list"], 1),
    ] {
        let output = program().arg("--socket").arg(&socket).args(arguments).output().unwrap();
        says(&output, code, "", "etl-supervisor run");
        says(&output, code, "", socket.to_str().unwrap());
    }
}

#[test]
fn orders_are_accepted_and_can_be_waited_for() {
    let supervisor = Supervisor::start();
    says(&supervisor.run(&["start", "1"]), 0, "start accepted for 1 worker; see `etl-supervisor status 1`", "");
    says(&supervisor.run(&["stop", "all", "--wait"]), 0, "stop done", "");
    says(
        &supervisor.run(&["start", "1", "--wait", "--timeout", "1s"]),
        1,
        "",
        "not done after 1s: transform-1-1 is STOPPED",
    );
    says(&supervisor.run(&["stop", "seven"]), 2, "", "a tenant's number such as 7, or all");
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let supervisor = Supervisor::start();
    let made = supervisor.run(&["token", "create", "--name", "page", "--role", "viewer", "--tenant", "1"]);
    says(&made, 0, "etl_", "only time it is shown");
    let token = String::from_utf8(made.stdout).unwrap();
    let id = token.split('_').nth(1).unwrap();
    says(&supervisor.run(&["token", "list"]), 0, &format!("{id}  viewer    tenant 1"), "");
    says(&supervisor.run(&["token", "revoke", id]), 0, "revoked", "");
    says(&supervisor.run(&["token", "revoke", id]), 1, "", "token_unknown");
    says(&supervisor.run(&["token", "revoke", "../tenants"]), 1, "", "not a token's id");
    says(&supervisor.run(&["token", "create", "--name", "x", "--role", "operator"]), 1, "", "add tenant_id");
}

#[test]
fn logs_and_tenants_are_shown() {
    let supervisor = Supervisor::start();
    fs::write(supervisor.directory.path().join("transform-1-1.log"), "one\ntwo\n").unwrap();
    says(&supervisor.run(&["logs", "1", "-n", "1"]), 0, "two\n", "");
    says(&supervisor.run(&["logs", "9"]), 1, "", "tenant_unknown");
    says(&supervisor.run(&["tenants"]), 0, "1\n2\n", "etl-supervisor tenants confirm");
    says(&supervisor.run(&["tenants", "confirm"]), 0, "2\n", "1 tenants from");
}

#[test]
fn check_names_every_problem_and_a_broken_file_is_one() {
    let supervisor = Supervisor::start();
    let config = supervisor.directory.path().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}[queues.transform]\ncommand = [\"/bin/cat\"]\n")).unwrap();
    says(&supervisor.run(&["check"]), 0, "ok    queues.transform.command  /bin/cat", "0 failed");
    fs::write(&config, format!("{text}[queues.transform]\ncommand = [\"/no/cat\"]\nworking_directory = \"/no\"\n"))
        .unwrap();
    says(&supervisor.run(&["check"]), 1, "execute /no/cat: No such file", "2 failed");
    fs::write(&config, "tenants = [1]\n[ap]\n").unwrap();
    says(&supervisor.run(&["check"]), 1, "unknown key ap", "1 failed");
    says(&supervisor.run(&["stop", "1"]), 1, "", "unknown key ap");
}

#[test]
fn a_wrong_command_line_is_usage_not_failure() {
    for arguments in [&["frobnicate"] as &[_], &[], &["publish", "--tenant", "0"], &["status", "-o", "yaml"]] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    says(&program().arg("version").output().unwrap(), 0, "etl-supervisor 0.1.0", "");
    says(&program().arg("--help").output().unwrap(), 0, "Exit codes:", "");
}
