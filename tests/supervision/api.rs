//! Who may do what over the API, and how it says no.

use etl_shared::api::{ActionAccepted, FleetStatus, Problem, Role, TenantStatus};
use serde_json::json;
use system_tests::{
    Setup, Supervisor, fleet,
    http::{Call, Reply},
    processes,
    supervisor::STATUS,
};

const ALL: &str = "/api/v1/admin/workers/control";
const ONE: &str = "/api/v1/admin/workers/tenant/control";
const OWN: &str = "/api/v1/admin/workers/action";

#[track_caller]
fn problem(reply: &Reply, status: u16) -> Problem {
    reply.expect_status(status);
    assert!(reply.content_type.starts_with("application/problem+json"), "{reply:?}");
    let problem: Problem = reply.json();
    assert_eq!((problem.status, problem.kind.as_str()), (status, "about:blank"), "{reply:?}");
    assert!(!problem.title.is_empty() && !problem.code.is_empty() && !problem.detail.is_empty(), "{reply:?}");
    problem
}

#[tokio::test]
async fn without_a_token_nothing_is_told_over_tcp() {
    let supervisor = Supervisor::start(&Setup::scripted("[1]")).await;
    for call in [Call::get(STATUS), Call::post(ALL, json!({"action": "stop"})), Call::get("/api/v1/admin/tokens")] {
        problem(&supervisor.tcp(call.clone()).await, 401);
        problem(&supervisor.tcp(call.clone().token("etl_nonsense")).await, 401);
        problem(&supervisor.tcp(call.basic("admin:admin")).await, 401);
    }
    let status = supervisor.until_running(&[1]).await;
    assert_eq!(supervisor.home.births().len(), 1, "{}", fleet::summary(&status));
}

#[tokio::test]
async fn health_is_told_to_everybody() {
    let supervisor = Supervisor::start(&Setup::scripted("[1]")).await;
    supervisor.until_running(&[1]).await;
    for path in ["/livez", "/readyz"] {
        supervisor.tcp(Call::get(path)).await.expect_status(200);
    }
}

#[tokio::test]
async fn an_admin_may_do_everything() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    let token = supervisor.token(Role::Admin, None).await;
    let status: FleetStatus = supervisor.tcp(Call::get(STATUS).token(&token)).await.json();
    assert_eq!(status.tenants.len(), 2);

    let reply = supervisor.tcp(Call::post(ALL, json!({"action": "restart"})).token(&token)).await;
    assert!(matches!(reply.status, 200 | 202), "{reply:?}");
    let accepted: ActionAccepted = reply.json();
    assert!(accepted.accepted && accepted.workers == 2, "{accepted:?}");
    supervisor.tcp(Call::get(&accepted.watch).token(&token)).await.expect_status(200);
    supervisor
        .until("both have been replaced", |status| {
            fleet::running(status, &[1, 2]) && before.iter().all(|pid| !processes::alive(*pid))
        })
        .await;
    let reply = supervisor.tcp(Call::post(ONE, json!({"action": "stop", "tenant_id": 99})).token(&token)).await;
    assert_eq!(problem(&reply, 404).code, "tenant_unknown");
}

#[tokio::test]
async fn an_operator_has_power_over_its_own_tenant_only() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    let token = supervisor.token(Role::Operator, Some(1)).await;

    // Whether the other tenant exists is none of its business: 99 does not.
    for tenant in [2, 99] {
        for action in ["start", "stop", "restart"] {
            let body = json!({"action": action, "tenant_id": tenant});
            problem(&supervisor.tcp(Call::post(ONE, body).token(&token)).await, 403);
        }
        let path = format!("/api/v1/admin/workers/tenant/{tenant}/status");
        problem(&supervisor.tcp(Call::get(&path).token(&token)).await, 403);
        let path = format!("/api/v1/admin/workers/logs?tenant_id={tenant}&lines=10");
        problem(&supervisor.tcp(Call::get(&path).token(&token)).await, 403);
    }
    problem(&supervisor.tcp(Call::post(ALL, json!({"action": "stop"})).token(&token)).await, 403);
    problem(&supervisor.tcp(Call::get("/api/v1/admin/tokens").token(&token)).await, 403);

    let seen: FleetStatus = supervisor.tcp(Call::get(STATUS).token(&token)).await.json();
    let tenants: Vec<i64> = seen.tenants.keys().map(|tenant| tenant.get()).collect();
    assert_eq!(tenants, [1], "the combined status shows what it may see");

    for (path, body) in [(OWN, json!({"action": "restart"})), (ONE, json!({"action": "restart", "tenant_id": 1}))] {
        let old = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
        let reply = supervisor.tcp(Call::post(path, body).token(&token)).await;
        assert!(matches!(reply.status, 200 | 202), "{reply:?}");
        supervisor
            .until("its own worker has been replaced", |status| {
                fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(old)
            })
            .await;
    }
    assert_eq!(fleet::pids(&supervisor.status().await.unwrap(), &[2]), before[1..]);
}

#[tokio::test]
async fn a_viewer_looks_and_touches_nothing() {
    let supervisor = Supervisor::start(&Setup::scripted("[1, 2]")).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    let token = supervisor.token(Role::Viewer, Some(1)).await;
    let reply = supervisor.tcp(Call::get("/api/v1/admin/workers/tenant/1/status").token(&token)).await;
    reply.expect_status(200);
    let own: TenantStatus = reply.json();
    assert_eq!((own.tenant_id.get(), own.running, own.workers.len()), (1, true, 1));
    for (path, body) in [
        (OWN, json!({"action": "stop"})),
        (ONE, json!({"action": "stop", "tenant_id": 1})),
        (ALL, json!({"action": "stop"})),
    ] {
        problem(&supervisor.tcp(Call::post(path, body).token(&token)).await, 403);
    }
    assert_eq!(fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]), before);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_a_problem() {
    let supervisor = Supervisor::start(&Setup::scripted("[1]")).await;
    supervisor.until_running(&[1]).await;
    let token = supervisor.token(Role::Admin, None).await;
    for (body, named) in [
        (json!({"action": "explode"}), "explode"),
        (json!({}), "action"),
        (json!({"action": "stop", "tenant": 1}), "tenant"),
    ] {
        let reply = supervisor.tcp(Call::post(ALL, body).token(&token)).await;
        assert!(matches!(reply.status, 400 | 422), "{reply:?}");
        let told = problem(&reply, reply.status);
        assert!(told.detail.contains(named), "{told:?}");
    }
    let reply = supervisor.tcp(Call::post(ONE, json!({"action": "stop", "tenant_id": 0})).token(&token)).await;
    assert!(matches!(reply.status, 400 | 422), "{reply:?}");
    problem(&reply, reply.status);
    problem(&supervisor.tcp(Call::get("/api/v1/admin/nothing").token(&token)).await, 404);
    problem(&supervisor.tcp(Call::get(ALL).token(&token)).await, 405);
    let huge = json!({"action": "x".repeat(10_000_000)});
    let reply = supervisor.tcp_result(Call::post(ALL, huge).token(&token)).await;
    assert!(reply.is_err() || reply.is_ok_and(|reply| (400..500).contains(&reply.status)), "a limit on bodies");
    supervisor.until_running(&[1]).await;
}

#[tokio::test]
async fn the_status_of_a_worker_is_what_the_system_says() {
    let setup = Setup::scripted("[1]").set("limits", "sample_every", "\"100ms\"");
    let supervisor = Supervisor::start(&setup).await;
    let status = supervisor
        .until("a RUNNING worker has been sampled", |status| {
            fleet::running(status, &[1])
                && fleet::worker(status, 1).is_some_and(|worker| worker.resident_memory_bytes.is_some())
        })
        .await;
    let worker = fleet::worker(&status, 1).unwrap();
    let pid = worker.pid.unwrap();
    assert!(processes::alive(pid));
    let arguments = processes::arguments(pid);
    assert!(arguments.iter().any(|argument| argument == "transform-1-1"), "{arguments:?}");
    assert_eq!(worker.queue, "transform_queue_tenant_1");
    assert!(worker.started_at.is_some() && worker.uptime_seconds.is_some_and(|uptime| uptime < 60), "{worker:?}");
    assert!(worker.resident_memory_bytes.is_some_and(|bytes| (100_000..100_000_000).contains(&bytes)), "{worker:?}");
    assert!(worker.cpu_seconds.is_some_and(|seconds| seconds < 10.0), "{worker:?}");
    assert_eq!((worker.restarts, worker.last_exit.as_ref()), (0, None));
    assert!(status.supervisor.keeper_pid.is_some_and(processes::alive));
    assert_eq!(status.supervisor.pid, u32::try_from(supervisor.brain_pid()).unwrap());
    assert_eq!(processes::parent(pid), status.supervisor.keeper_pid, "the keeper is the parent of every worker");
}
