//! Who has the newest answer already, and who asks for pages.

use std::sync::Arc;

use arc_swap::ArcSwap;
use etl_shared::api::{FleetStatus, Role};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;

use super::{
    fleet::{synthetic, tenant},
    server::{Answer, Server, whole},
};
use crate::{
    clock::BootTime,
    runtime::{FleetView, view::QueueSample},
};

const FLEET: &str = "/api/v1/admin/workers/status";
const TENANT: &str = "/api/v1/admin/workers/tenant/2/status";

async fn get(server: &Server, token: Option<&str>, path: &str, tag: Option<&str>) -> Answer {
    let (mut sender, connection) = http1::handshake(TokioIo::new(server.tcp().await)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(Method::GET).uri(path).header(header::HOST, "localhost");
    if let Some(tag) = tag {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    whole(sender.send_request(request.body(String::new()).unwrap()).await.unwrap()).await
}

fn tag(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.headers[header::ETAG].to_str().unwrap().to_owned()
}

fn change(view: &ArcSwap<FleetView>, change: impl FnOnce(&mut FleetView)) {
    let mut changed = FleetView::clone(&view.load());
    change(&mut changed);
    view.store(Arc::new(changed));
}

#[tokio::test]
async fn whoever_has_the_newest_answer_is_not_sent_it_again() {
    let server = Server::start(synthetic(3));
    let admin = server.token(Role::Admin, None).await.token;
    // What stands for their process, this test's own, uses more and more memory.
    change(&server.view, |view| {
        view.workers = view.workers.iter().map(|worker| Arc::new(without_process(worker))).collect();
    });
    for path in [FLEET, TENANT, "/api/v1/admin/tenants", "/api/v1/admin/tokens", "/api/v1/admin/credentials"] {
        let first = get(&server, Some(&admin), path, None).await;
        let again = get(&server, Some(&admin), path, Some(&tag(&first))).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}: {again:?}");
        assert_eq!(again.headers[header::ETAG], first.headers[header::ETAG], "{path}");
        assert_eq!(again.headers[header::CACHE_CONTROL], "private, no-cache", "{path}");
        let other = get(&server, Some(&admin), path, Some("W/\"other\"")).await;
        assert!(other.status == StatusCode::OK && !other.body.is_empty(), "{path}: {other:?}");
    }
}

#[tokio::test]
async fn time_alone_changes_no_tag_and_every_change_does() {
    let server = Server::start(synthetic(3));
    let admin = server.token(Role::Admin, None).await.token;
    let tags = async || {
        (tag(&get(&server, Some(&admin), FLEET, None).await), tag(&get(&server, Some(&admin), TENANT, None).await))
    };
    // The workers are made up, and what stands for their process uses more and more memory.
    change(&server.view, |view| {
        view.workers = view.workers.iter().map(|worker| Arc::new(without_process(worker))).collect();
    });
    let (fleet, one) = tags().await;
    change(&server.view, |view| {
        view.turned_at = BootTime::now();
        let looked_at_again = view.queues.iter().map(|(name, sample)| {
            (name.clone(), QueueSample { at: BootTime(sample.at.0.saturating_sub(9_000_000)), ..*sample })
        });
        view.queues = Arc::new(looked_at_again.collect());
    });
    assert_eq!(tags().await, (fleet.clone(), one.clone()));
    change(&server.view, |view| {
        view.version += 1;
        let queues = Arc::make_mut(&mut view.queues);
        queues.get_mut("transform_queue_tenant_2").unwrap().messages_ready += 1;
    });
    let (new_fleet, new_one) = tags().await;
    assert!(new_fleet != fleet && new_one != one, "{new_fleet} {new_one}");
}

fn without_process(worker: &crate::runtime::WorkerView) -> crate::runtime::WorkerView {
    crate::runtime::WorkerView { process: None, ..worker.clone() }
}

#[tokio::test]
async fn a_tag_of_the_admins_answer_is_none_of_a_tenants() {
    let server = Server::start(synthetic(3));
    let admin = server.token(Role::Admin, None).await.token;
    let viewer = server.token(Role::Viewer, Some(2)).await.token;
    let everybody = tag(&get(&server, Some(&admin), FLEET, None).await);
    assert_eq!(get(&server, Some(&viewer), FLEET, Some(&everybody)).await.status, StatusCode::OK);
    assert_eq!(get(&server, None, FLEET, Some(&everybody)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn pages_are_followed_by_their_cursor() {
    let server = Server::start(synthetic(5));
    let admin = server.token(Role::Admin, None).await.token;
    let page = async |query: &str| -> FleetStatus {
        get(&server, Some(&admin), &format!("{FLEET}?{query}"), None).await.json()
    };
    let first = page("limit=3&state=RUNNING,FATAL").await;
    assert_eq!(first.tenants.keys().copied().collect::<Vec<_>>(), [tenant(1), tenant(2), tenant(3)]);
    let second = page(&format!("limit=3&cursor={}", first.next_cursor.unwrap())).await;
    assert_eq!((second.tenants.len(), second.next_cursor), (2, None));
    let whole = get(&server, Some(&admin), FLEET, None).await;
    assert!(!String::from_utf8_lossy(&whole.body).contains("next_cursor"));
}
