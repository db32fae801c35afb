//! Liveness and readiness.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use etl_shared::api::{PartStatus, WorkerState};
use hyper::Method;
use serde::Deserialize;

use super::{fleet::synthetic, server::Server};
use crate::{clock::BootTime, runtime::FleetView};

#[derive(Debug, Deserialize)]
struct Ready {
    ready: bool,
    parts: BTreeMap<String, bool>,
}

async fn ready(server: &Server, view: FleetView) -> (u16, Ready) {
    server.view.store(Arc::new(view));
    let answer = server.remote(None, Method::GET, "/readyz", "").await;
    (answer.status.as_u16(), answer.json())
}

fn with_part(name: &'static str, ok: bool) -> FleetView {
    let mut view = synthetic(1);
    view.parts.insert(name, PartStatus { ok, detail: "secret.example:5672".to_owned() });
    view
}

#[tokio::test]
async fn it_lives_while_the_control_loop_turns() {
    let server = Server::start(synthetic(1));
    assert_eq!(server.remote(None, Method::GET, "/livez", "").await.status, 200);
    let mut stuck = synthetic(1);
    let now = BootTime::now();
    stuck.turned_at = BootTime(now.0.saturating_sub(u64::try_from(Duration::from_mins(1).as_micros()).unwrap()));
    server.view.store(Arc::new(stuck));
    let answer = server.remote(None, Method::GET, "/livez", "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "control_loop_stuck"));
}

#[tokio::test]
async fn it_is_ready_when_everything_it_needs_is_there() {
    let server = Server::start(synthetic(1));
    let (status, body) = ready(&server, synthetic(1)).await;
    assert!(status == 200 && body.ready, "{body:?}");
    let names: Vec<_> = body.parts.keys().map(String::as_str).collect();
    assert_eq!(names, ["broker", "configuration", "database", "first_reconcile", "keeper"]);

    for part in ["broker", "database", "keeper"] {
        let (status, body) = ready(&server, with_part(part, false)).await;
        assert!(status == 503 && !body.ready && !body.parts[part], "{body:?}");
    }
    let mut without = synthetic(1);
    without.parts.remove("broker");
    assert_eq!(ready(&server, without).await.0, 503);
    let unsettled = FleetView { settled: false, ..synthetic(1) };
    let (status, body) = ready(&server, unsettled).await;
    assert!(status == 503 && !body.parts["first_reconcile"]);
}

#[tokio::test]
async fn neither_a_refused_list_nor_a_fatal_worker_makes_it_unready() {
    let server = Server::start(synthetic(1));
    let mut view = with_part("tenants", false);
    let mut worker = crate::runtime::WorkerView::clone(&view.workers[0]);
    worker.state = WorkerState::Fatal;
    view.workers = [Arc::new(worker)].into();
    assert_eq!(ready(&server, view).await.0, 200);
}

#[tokio::test]
async fn strangers_learn_no_detail() {
    let server = Server::start(with_part("broker", false));
    let answer = server.remote(None, Method::GET, "/readyz", "").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret.example"), "{answer:?}");
}
