//! Status and control as a client sees them.

use std::{fs::File, os::fd::OwnedFd};

use etl_shared::{
    api::{ActionAccepted, FleetStatus, Role, TenantStatus, WorkerState},
    flight::{FlightRecord, FlightRecorder, Phase},
};
use hyper::{Method, StatusCode};

use super::{
    fleet::{synthetic, tenant},
    server::Server,
};

fn note(server: &Server, worker: &str, incarnation: u64) {
    let file = File::create(server.runtime.flight_directory().join(worker)).unwrap();
    let record =
        FlightRecord { incarnation, phase: Phase::Transforming, done: 12, in_flight: 3, ..FlightRecord::default() };
    FlightRecorder::over(Some(OwnedFd::from(file))).write(&record);
}

#[tokio::test]
async fn one_tenants_status_has_what_its_workers_say_of_themselves() {
    let server = Server::start(synthetic(3));
    note(&server, "transform-2-1", 2);
    let answer = server.local(Method::GET, "/api/v1/admin/workers/tenant/2/status", "").await;
    let status: TenantStatus = answer.json();
    assert!(status.running);
    assert_eq!((status.tenant_id, status.desired.as_str()), (tenant(2), "up"));
    assert_eq!(status.queues[0].name, "transform_queue_tenant_2");
    let worker = &status.workers[0];
    assert_eq!((worker.state, worker.pid, worker.incarnation), (WorkerState::Running, Some(1002), 2));
    assert!((5..60).contains(&worker.uptime_seconds.unwrap()), "{worker:?}");
    assert!(worker.started_at.as_ref().is_some_and(|at| at.ends_with('Z')), "{worker:?}");
    assert_eq!(worker.last_exit.as_ref().unwrap().verdict.to_string(), "EXIT(1)");
    let messages = worker.messages.as_ref().unwrap();
    assert_eq!((messages.phase.as_str(), messages.done, messages.in_flight), ("transforming", 12, 3));
}

#[tokio::test]
async fn the_record_of_an_earlier_process_is_not_shown_as_this_ones() {
    let server = Server::start(synthetic(1));
    note(&server, "transform-1-1", 1);
    let status: TenantStatus = server.local(Method::GET, "/api/v1/admin/workers/tenant/1/status", "").await.json();
    assert_eq!(status.workers[0].messages, None);
}

#[tokio::test]
async fn a_tenants_user_sees_its_own_tenant_in_the_combined_status() {
    let server = Server::start(synthetic(3));
    let viewer = server.token(Role::Viewer, Some(2)).await.token;
    let path = "/api/v1/admin/workers/status";
    let status: FleetStatus = server.remote(Some(&viewer), Method::GET, path, "").await.json();
    assert_eq!(status.tenants.into_keys().collect::<Vec<_>>(), [tenant(2)]);
    let status: FleetStatus = server.local(Method::GET, path, "").await.json();
    assert_eq!(status.tenants.len(), 3);
}

#[tokio::test]
async fn an_accepted_order_says_where_to_watch_it() {
    let server = Server::start(synthetic(3));
    let operator = server.token(Role::Operator, Some(2)).await.token;
    for (answer, workers, watch) in [
        (
            server.local(Method::POST, "/api/v1/admin/workers/control", r#"{"action":"restart"}"#).await,
            3,
            "workers/status",
        ),
        (
            server.remote(Some(&operator), Method::POST, "/api/v1/admin/workers/action", r#"{"action":"stop"}"#).await,
            1,
            "workers/tenant/2/status",
        ),
    ] {
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        let accepted: ActionAccepted = answer.json();
        assert_eq!((accepted.accepted, accepted.workers), (true, workers));
        assert_eq!(accepted.watch, format!("/api/v1/admin/{watch}"));
    }
}
