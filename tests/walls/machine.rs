//! On the machine: another worker's process and files, the supervisor, and privileges.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use etl_shared::api::{FleetStatus, WorkerState};
use serde_json::{Value, json};
use system_tests::{
    Platform, Setup, Supervisor, eventually, processes,
    refusals::{Attempt, all_refused_as_documented},
    stack::checkout,
    supervisor_setup::{HERE, quoted},
};

/// Far more than all attempts take on a busy machine.
const TRIED_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test]
async fn nothing_of_another_tenant_or_of_the_supervisor_is_in_reach() {
    assert!(nix::unistd::geteuid().is_root(), "user ids can only be given by root: run this suite as root");
    let platform = Platform::with_tenants(&[1, 2]).await;
    let orders = format!("{HERE}/home/orders.json");
    let probe = format!("[\"/usr/bin/python3\", \"{HERE}/home/probe.py\", \"{orders}\", \"{{tenant_id}}\"]");
    let setup = Setup::on(&platform)
        .set("queues.probe", "command", &probe)
        .set("queues.probe", "ready", "\"exec\"")
        .set("queues.probe", "readable", &format!("[{}]", quoted(format!("{HERE}/home"))));
    let mut supervisor = Supervisor::prepare(&setup);
    let home = supervisor.directory().join("home");
    fs::copy(checkout().join("tests/walls/probe.py"), home.join("probe.py")).expect("the probe can be copied");
    set_mode(supervisor.directory(), 0o711);
    set_mode(&home, 0o755);
    set_mode(&supervisor.config(), 0o600);
    let master_key = supervisor.directory().join("master.key");
    fs::write(&master_key, "k".repeat(64)).expect("a master key");
    set_mode(&master_key, 0o600);
    let setuid_id = setuid_copy_of_id(&home);

    supervisor.start_brain().await;
    let status = supervisor
        .until("workers of both kinds run", |status| status.states.get(&WorkerState::Running) == Some(&4))
        .await;
    let victim = pid_of(&status, "transform-2-1");
    let before = processes::arguments(victim);
    let at = |name: &str| supervisor.directory().join(name).display().to_string();
    let orders = json!({
        "attacker": 1,
        "victim": victim,
        "victim_uid": uid_of(victim),
        "victim_worker": "transform-2-1",
        "keeper": status.supervisor.keeper_pid,
        "brain": supervisor.brain_pid(),
        "run": at("run"), "log": at("log"), "state": at("state"),
        "config": at("config.toml"), "master_key": at("master.key"),
        "setuid_id": setuid_id,
    });
    // Written aside and renamed: the probe reads it as soon as it is there.
    fs::write(home.join("orders"), orders.to_string()).expect("the orders can be written");
    set_mode(&home.join("orders"), 0o644);
    fs::rename(home.join("orders"), home.join("orders.json")).expect("the orders can be given");

    let log = supervisor.directory().join("log/probe-1-1.log");
    let attempts = eventually("the probe has tried everything", TRIED_WITHIN, async || {
        let printed = fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let lines: Vec<Value> = printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.iter().any(|line| line["attempt"] == "end") { Ok(lines) } else { Err(printed) }
    })
    .await;
    let attempts: Vec<Attempt> = attempts.iter().filter(|line| line["attempt"] != "end").map(told).collect();
    assert_eq!(processes::arguments(victim), before, "the other worker is as it was");
    all_refused_as_documented("on the machine", &attempts);
}

fn told(line: &Value) -> Attempt {
    let (what, outcome) = (line["attempt"].as_str().unwrap_or_default(), line["outcome"].as_str().unwrap_or_default());
    if line["refused"] == json!(true) { Attempt::refused(what, outcome) } else { Attempt::succeeded(what, outcome) }
}

fn pid_of(status: &FleetStatus, worker: &str) -> i32 {
    let workers = status.tenants.values().flat_map(|tenant| &tenant.workers);
    workers.clone().find(|one| one.name.to_string() == worker).and_then(|one| one.pid).expect("it runs")
}

fn uid_of(pid: i32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("its user");
    line.split_whitespace().next().and_then(|uid| uid.parse().ok()).expect("a number")
}

/// `id` with the bit that would make everybody root; where the file system ignores the bit, the attempt proves nothing.
fn setuid_copy_of_id(home: &Path) -> String {
    let copy = home.join("id");
    fs::copy("/usr/bin/id", &copy).expect("a copy of id");
    set_mode(&copy, 0o4755);
    assert_eq!(fs::metadata(&copy).expect("the copy").mode() & 0o4000, 0o4000);
    copy.display().to_string()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
