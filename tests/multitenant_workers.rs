//! The promise to the first users, readable from top to bottom: every tenant has its own queue and its own worker process,
//! and nobody's trouble or orders reach anybody else's.

use std::time::Duration;

use etl_shared::api::{FleetStatus, Role, TenantStatus, WorkerState};
use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually, fleet,
    http::Call,
    platform::{Counts, queue_of},
    processes,
    waiting::holds_for,
};

const ONE: Counts = Counts { projects: 1, wits: 1, projects_wits: 1, custom_fields: 2 };

/// Active tenants in the database and a supervisor that has all of their workers running. No queue is made beforehand.
async fn platform_with(tenants: &[i64]) -> (Platform, Supervisor, FleetStatus) {
    let platform = Platform::new().await;
    for tenant in tenants {
        platform.add_tenant(*tenant).await;
    }
    // Readings on a timer are switched off in effect: what happens soon happens because somebody was notified.
    let setup = Setup::on(&platform).set("database", "refresh", "\"1h\"").set("limits", "sample_every", "\"200ms\"");
    let supervisor = Supervisor::start(&setup).await;
    let status = supervisor.until_running(tenants).await;
    (platform, supervisor, status)
}

fn document(seed: u64) -> serde_json::Value {
    createmeta(seed, Shape::SMALL).document
}

#[tokio::test]
async fn a_queue_is_created_for_each_tenant() {
    let (platform, _supervisor, _) = platform_with(&[1, 2, 3]).await;
    let mut queues = platform.broker.queues().await;
    queues.retain(|queue| queue.starts_with("transform_queue"));
    queues.sort();
    assert_eq!(queues, [queue_of(1), queue_of(2), queue_of(3)]);
    let queue = platform.broker.describe(&queue_of(1)).await.expect("the queue is there");
    assert_eq!((&queue["durable"], &queue["type"]), (&json!(true), &json!("quorum")), "{queue}");
    assert_eq!(queue["arguments"]["x-message-ttl"], json!(null), "no message may expire: {queue}");
}

#[tokio::test]
async fn a_worker_process_starts_for_each_tenant() {
    let (_platform, _supervisor, status) = platform_with(&[1, 2, 3]).await;
    for tenant in [1, 2, 3] {
        let pid = fleet::pid(&status, tenant).expect("a RUNNING worker has a process");
        let arguments = processes::arguments(pid);
        assert!(arguments[0].ends_with("transform-worker"), "{arguments:?}");
        assert_eq!(arguments[1..], ["--queue".to_owned(), queue_of(tenant)]);
        let all = arguments.join(" ");
        assert!(!all.contains("amqp:") && !all.contains("postgres:"), "no address or secret in the arguments: {all}");
    }
    let mut pids = fleet::pids(&status, &[1, 2, 3]);
    pids.dedup();
    assert_eq!(pids.len(), 3);
}

#[tokio::test]
async fn a_tenants_messages_are_processed_by_its_own_worker_only() {
    let (platform, supervisor, _) = platform_with(&[1, 2]).await;
    supervisor.control("stop", Some(2)).await;
    supervisor.until("tenant 2 is STOPPED", |status| fleet::state(status, 2) == Some(WorkerState::Stopped)).await;

    let first = platform.submit(1, &document(1)).await;
    let second = platform.submit(2, &document(2)).await;
    platform.completed(&[first]).await;
    assert_eq!(platform.raw(second).await.status, "pending", "nobody else takes the message of tenant 2");
    assert_eq!(platform.broker.depth(&queue_of(2)).await.map(|depth| depth.ready), Some(1));
    assert_eq!((platform.counts(1).await, platform.counts(2).await), (ONE, Counts::default()));

    supervisor.control("start", Some(2)).await;
    platform.completed(&[second]).await;
    assert_eq!((platform.counts(1).await, platform.counts(2).await), (ONE, ONE));
}

#[tokio::test]
async fn start_stop_and_restart_act_on_one_tenant() {
    let (_platform, supervisor, before) = platform_with(&[1, 2]).await;
    let [first, neighbour] = fleet::pids(&before, &[1, 2])[..] else { unreachable!() };

    supervisor.control("stop", Some(1)).await;
    let status =
        supervisor.until("tenant 1 is STOPPED", |status| fleet::state(status, 1) == Some(WorkerState::Stopped)).await;
    assert!(!processes::alive(first), "stopped means that the process is gone");
    assert_eq!(fleet::last_verdict(&status, 1), "OPERATOR");

    supervisor.control("start", Some(1)).await;
    let second = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
    supervisor.control("restart", Some(1)).await;
    let status = supervisor
        .until("tenant 1 has another process", |status| {
            fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(second)
        })
        .await;
    assert!(!processes::alive(second));
    assert_eq!(fleet::pid(&status, 2), Some(neighbour), "tenant 2 has noticed nothing of all this");
}

#[tokio::test]
async fn start_stop_and_restart_act_on_all() {
    let (_platform, supervisor, before) = platform_with(&[1, 2, 3]).await;
    let tenants = [1, 2, 3];
    let first = fleet::pids(&before, &tenants);

    supervisor.control("restart", None).await;
    let status = supervisor
        .until("everybody has another process", |status| {
            fleet::running(status, &tenants) && first.iter().all(|pid| !processes::alive(*pid))
        })
        .await;
    let second = fleet::pids(&status, &tenants);

    supervisor.control("stop", None).await;
    let status = supervisor
        .until("everybody is STOPPED", |status| {
            tenants.iter().all(|tenant| fleet::state(status, *tenant) == Some(WorkerState::Stopped))
        })
        .await;
    assert!(!status.running && second.iter().all(|pid| !processes::alive(*pid)));

    supervisor.control("start", None).await;
    assert!(supervisor.until_running(&tenants).await.running);
}

#[tokio::test]
async fn status_tells_the_truth_for_one_tenant_and_for_all() {
    let (platform, supervisor, status) = platform_with(&[1, 2]).await;
    for tenant in [1, 2] {
        let worker = fleet::worker(&status, tenant).expect("each tenant has a worker");
        let pid = worker.pid.expect("a RUNNING worker has a process");
        assert!(processes::alive(pid));
        assert_eq!(processes::parent(pid), status.supervisor.keeper_pid);
        assert_eq!(worker.queue, queue_of(tenant));
        assert_eq!(worker.name.to_string(), format!("transform-{tenant}-1"));
    }
    assert!(status.running && status.states.get(&WorkerState::Running) == Some(&2), "{:?}", status.states);
    let one = Call::get("/api/v1/admin/workers/tenant/1/status");
    let one: TenantStatus = supervisor.socket(one).await.unwrap().json();
    assert_eq!((one.tenant_id.get(), one.running, one.desired.as_str()), (1, true, "up"));
    assert_eq!(one.workers[0].pid, fleet::pid(&status, 1));

    // What the worker says of its messages, and what the broker says of its queue.
    let raw = platform.submit(1, &document(1)).await;
    platform.completed(&[raw]).await;
    supervisor
        .until("the message is counted for tenant 1 and for nobody else", |status| {
            let done = |tenant| fleet::worker(status, tenant).and_then(|worker| Some(worker.messages.as_ref()?.done));
            (done(1), done(2)) == (Some(1), Some(0))
        })
        .await;
    supervisor
        .until("the queue of tenant 1 is reported with its consumer", |status| {
            let tenant = status.tenants.values().find(|tenant| tenant.tenant_id.get() == 1);
            tenant.is_some_and(|tenant| {
                tenant.queues.iter().any(|queue| queue.name == queue_of(1) && queue.consumers == 1)
            })
        })
        .await;

    // A process that dies behind everybody's back is not called running.
    let dead = fleet::pids(&status, &[1])[0];
    processes::signal(dead, Signal::SIGKILL);
    let status = supervisor
        .until("the dead process is reported and replaced", |status| {
            fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(dead)
        })
        .await;
    assert_eq!(fleet::last_verdict(&status, 1), "CRASH(SIGKILL)");
    assert_eq!(fleet::worker(&status, 1).map(|worker| worker.restarts), Some(1));
}

#[tokio::test]
async fn a_tenant_added_to_the_database_has_its_worker_at_once() {
    let (platform, supervisor, before) = platform_with(&[1]).await;
    platform.add_tenant(7).await;
    let status = supervisor
        .until_within("tenant 7 has a process", Duration::from_secs(5), |status| fleet::pid(status, 7).is_some())
        .await;
    assert_eq!(fleet::pid(&status, 1), fleet::pid(&before, 1));
    supervisor.until_running(&[7]).await;
    let raw = platform.submit(7, &document(1)).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn a_deactivated_tenant_loses_its_worker_and_keeps_its_messages() {
    let (platform, supervisor, before) = platform_with(&[1, 2, 3]).await;
    let pids = fleet::pids(&before, &[1, 2, 3]);
    platform.set_active(2, false).await;
    let status = supervisor
        .until_within("tenant 2 has no process", Duration::from_secs(5), |status| {
            fleet::pid(status, 2).is_none() && !processes::alive(pids[1])
        })
        .await;
    assert_eq!(fleet::pids(&status, &[1, 3]), [pids[0], pids[2]]);
    let raw = platform.submit(2, &document(1)).await;

    platform.set_active(2, true).await;
    supervisor.until_running(&[1, 2, 3]).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn a_fresh_database_starts_clean() {
    let platform = Platform::with_empty_database().await;
    let setup = Setup::on(&platform).set("database", "migrate", "false").set("database", "refresh", "\"500ms\"");
    let supervisor = Supervisor::start(&setup).await;
    let status = supervisor
        .until("it is up and says that there are no tables", |status| {
            status.supervisor.parts.values().any(|part| !part.ok && part.detail.contains("tenants"))
        })
        .await;
    assert!(status.tenants.is_empty() && !status.running);
    supervisor.tcp(Call::get("/livez")).await.expect_status(200);

    // Somebody brings the schema, and then the first tenant.
    supervisor.cli_ok(&["migrate"]).await;
    supervisor.until("it says that all is well", |status| fleet::well(status, &["database", "tenants"])).await;
    platform.add_tenant(1).await;
    supervisor.until_running(&[1]).await;
    let raw = platform.submit(1, &document(1)).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn an_empty_database_gets_its_schema_from_the_supervisor() {
    let platform = Platform::with_empty_database().await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor
        .until("the schema is there and all is well", |status| fleet::well(status, &["database", "tenants"]))
        .await;
    platform.add_tenant(5).await;
    supervisor.until_running(&[5]).await;
}

#[tokio::test]
async fn an_operators_stop_survives_a_restart_of_the_supervisor() {
    let (platform, mut supervisor, _) = platform_with(&[1, 2]).await;
    supervisor.control("stop", Some(1)).await;
    supervisor.until("tenant 1 is STOPPED", |status| fleet::state(status, 1) == Some(WorkerState::Stopped)).await;
    supervisor.signal(Signal::SIGTERM);
    supervisor.ended().await;
    let raw = platform.submit(1, &document(1)).await;

    supervisor.start_brain().await;
    supervisor.until_running(&[2]).await;
    holds_for("tenant 1 stays stopped", Duration::from_millis(500), async || {
        let status = supervisor.status().await?;
        let stopped = fleet::state(&status, 1) == Some(WorkerState::Stopped);
        if stopped { Ok(()) } else { Err(fleet::summary(&status)) }
    })
    .await;
    assert_eq!(platform.raw(raw).await.status, "pending");

    supervisor.control("start", Some(1)).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn the_operator_of_one_tenant_cannot_touch_another() {
    let (_platform, supervisor, before) = platform_with(&[1, 2]).await;
    let token = supervisor.token(Role::Operator, Some(1)).await;
    let control = "/api/v1/admin/workers/tenant/control";
    for action in ["start", "stop", "restart"] {
        let call = Call::post(control, json!({"action": action, "tenant_id": 2})).token(&token);
        supervisor.tcp(call).await.expect_status(403);
    }
    supervisor.tcp(Call::get("/api/v1/admin/workers/tenant/2/status").token(&token)).await.expect_status(403);
    let everybody = Call::post("/api/v1/admin/workers/control", json!({"action": "stop"})).token(&token);
    supervisor.tcp(everybody).await.expect_status(403);

    let own = Call::post(control, json!({"action": "restart", "tenant_id": 1})).token(&token);
    let reply = supervisor.tcp(own).await;
    assert!(matches!(reply.status, 200 | 202), "{reply:?}");
    let status = supervisor
        .until("its own worker has been replaced", |status| {
            fleet::running(status, &[1]) && fleet::pid(status, 1) != fleet::pid(&before, 1)
        })
        .await;
    assert_eq!(fleet::pid(&status, 2), fleet::pid(&before, 2));
}

#[tokio::test]
async fn one_tenants_crashing_worker_does_not_slow_down_another() {
    let (platform, supervisor, before) = platform_with(&[1, 2]).await;
    let neighbour = fleet::pid(&before, 2);
    let mut raws = Vec::new();
    for seed in 1..=5 {
        if let Some(pid) = fleet::pid(&supervisor.status().await.unwrap(), 1) {
            processes::signal(pid, Signal::SIGKILL);
        }
        raws.push(platform.submit(2, &document(seed)).await);
    }
    platform.completed(&raws).await;
    assert_eq!(fleet::pid(&supervisor.status().await.unwrap(), 2), neighbour);
}

#[tokio::test]
async fn a_message_published_by_the_command_is_confirmed_and_processed() {
    let (platform, supervisor, _) = platform_with(&[1]).await;
    let raw = platform.add_raw(1, "jira_custom_fields", &document(1)).await;
    let raw_text = raw.to_string();
    let arguments =
        ["publish", "--tenant", "1", "--integration", "10", "--raw-data-id", &raw_text, "--type", "jira_custom_fields"];
    supervisor.cli_ok(&arguments).await;
    platform.completed(&[raw]).await;

    let nowhere =
        ["publish", "--tenant", "99", "--integration", "10", "--raw-data-id", "1", "--type", "jira_custom_fields"];
    let printed = supervisor.cli(&nowhere).await;
    assert_ne!(printed.code, 0);
    assert!(printed.stderr.contains("transform_queue_tenant_99"), "{printed:?}");
}

#[tokio::test]
async fn secrets_stand_neither_in_arguments_nor_environment_nor_logs() {
    let (platform, supervisor, status) = platform_with(&[1]).await;
    let url = platform.broker.url();
    let password = url.split(['@', '/']).nth(2).and_then(|user| user.split(':').nth(1)).expect("a password");
    assert!(password.len() > 8, "the stack has real passwords");
    let pid = fleet::pids(&status, &[1])[0];
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains(password), "in the worker's environment");
    eventually("the worker has logged something", SOON, async || {
        let log = supervisor.cli_ok(&["logs", "1"]).await;
        assert!(!log.contains(password), "in the worker's log");
        if log.is_empty() { Err("nothing".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(!supervisor.log().contains(password), "in the supervisor's log");
    for directory in ["run", "state"] {
        for entry in std::fs::read_dir(supervisor.directory().join(directory)).unwrap().flatten() {
            let content = std::fs::read(entry.path()).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains(password), "in {}", entry.path().display());
        }
    }
}
