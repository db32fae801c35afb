//! The table of tenants.

use std::sync::Arc;

use etl_shared::api::{EventKind, EventPage, Overview, Role, TenantHistory, WorkerState};
use hyper::Method;

use super::{
    fleet::{synthetic, tenant},
    server::Server,
};
use crate::{
    history::Happening,
    runtime::{FleetView, WorkerView, view::QueueSample},
};

const OVERVIEW: &str = "/api/v1/admin/workers/overview";

/// Tenant 3 has failed and a second worker; tenant 4 is called Acme.
fn scene() -> FleetView {
    let mut view = synthetic(12);
    let mut workers = view.workers.to_vec();
    let second = WorkerView { name: "transform-3-2".parse().unwrap(), ..WorkerView::clone(&workers[2]) };
    let failed =
        WorkerView { state: WorkerState::Backoff, reason: "failed".to_owned(), ..WorkerView::clone(&workers[2]) };
    workers[2] = Arc::new(failed);
    workers.insert(3, Arc::new(second));
    view.workers = workers.into();
    view.names = Arc::new([(tenant(4), "Acme".to_owned())].into());
    let mut queues = view.queues.as_ref().clone();
    let queue = QueueSample { messages_ready: 70, messages_unacknowledged: Some(5), ..QueueSample::default() };
    queues.insert("transform_queue_tenant_4".to_owned(), queue);
    view.queues = Arc::new(queues);
    view.last_event_id = 17;
    view
}

async fn read(server: &Server, parameters: &str) -> Overview {
    server.local(Method::GET, &format!("{OVERVIEW}?{parameters}"), "").await.json()
}

fn ids(overview: &Overview) -> Vec<i64> {
    overview.tenants.iter().map(|row| row.tenant_id.get()).collect()
}

#[tokio::test]
async fn a_line_says_what_deserves_attention_and_sums_up_the_rest() {
    let server = Server::start(scene());
    let overview = read(&server, "").await;
    assert_eq!((overview.last_event_id, overview.next_cursor), (17, None));
    assert_eq!((overview.totals.tenants, overview.totals.workers), (12, 13));
    assert_eq!(overview.totals.states, [(WorkerState::Running, 11), (WorkerState::Backoff, 1)].into());
    assert_eq!(overview.totals.messages_ready, 11 * 3 + 70);
    assert_eq!(overview.totals.resident_memory_bytes, 13 * 3_400_000);
    let failed = &overview.tenants[2];
    assert_eq!((failed.state, failed.reason.as_str()), (WorkerState::Backoff, "failed"));
    assert_eq!((failed.workers, failed.running, failed.restarts), (2, 1, 2));
    assert_eq!(failed.memory_history_kib.last(), Some(&(6_800_000 / 1024)));
    let named = &overview.tenants[3];
    assert_eq!(named.name.as_deref(), Some("Acme"));
    assert_eq!((named.messages_ready, named.messages_unacknowledged), (Some(70), Some(5)));
    assert_eq!(named.desired, "up");
}

#[tokio::test]
async fn messages_of_a_tenant_without_workers_are_counted() {
    let mut view = scene();
    view.workers = view.workers.iter().filter(|worker| worker.name.tenant != tenant(4)).cloned().collect();
    let server = Server::start(view);
    let overview = read(&server, "").await;
    let idle = &overview.tenants[3];
    assert_eq!((idle.tenant_id, idle.workers, idle.state), (tenant(4), 0, WorkerState::Stopped));
    assert_eq!((idle.messages_ready, idle.messages_unacknowledged), (Some(70), Some(5)));
    assert_eq!(overview.totals.messages_ready, 11 * 3 + 70);
}

#[tokio::test]
async fn pages_and_filters_find_what_is_looked_for_and_sums_are_over_all_of_it() {
    let server = Server::start(scene());
    assert_eq!(ids(&read(&server, "search=aCM").await), [4]);
    assert_eq!(ids(&read(&server, "search=1").await), [1, 10, 11, 12]);
    assert_eq!(ids(&read(&server, "state=BACKOFF").await), [3]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&server, &format!("search=1&limit=3{cursor}")).await;
        assert_eq!(page.totals.tenants, 4);
        seen.extend(ids(&page));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [1, 10, 11, 12]);
    for wrong in ["limit=0", "limit=5001", "state=UPSET", "colour=red"] {
        let answer = server.local(Method::GET, &format!("{OVERVIEW}?{wrong}"), "").await;
        assert_eq!(answer.code(), "invalid_parameter", "{wrong}");
    }
}

#[tokio::test]
async fn a_tenants_user_has_one_line() {
    let server = Server::start(scene());
    let viewer = server.token(Role::Viewer, Some(4)).await.token;
    let overview: Overview = server.remote(Some(&viewer), Method::GET, OVERVIEW, "").await.json();
    assert_eq!((ids(&overview), overview.totals.tenants), (vec![4], 1));
}

#[tokio::test]
async fn a_tenant_has_a_point_from_the_beginning() {
    let server = Server::start(scene());
    let path = "/api/v1/admin/workers/tenant/4/history";
    let history: TenantHistory = server.local(Method::GET, path, "").await.json();
    assert_eq!((history.tenant_id, history.step_seconds), (tenant(4), 60));
    let point = history.points.last().unwrap();
    assert_eq!((point.messages_ready, point.running), (Some(70), 1));
    assert_eq!(point.resident_memory_bytes, 3_400_000 / 1024 * 1024);
}

#[tokio::test]
async fn the_history_of_a_supervisor_without_database_is_what_it_remembers() {
    let server = Server::start(synthetic(2));
    for number in 0..5 {
        let event = Happening::new(EventKind::State, number.to_string());
        let (worker, verdict) = ("transform-1-1".parse().ok(), (number == 3).then_some(etl_shared::Verdict::Oom));
        server.journal.record(Happening { tenant: Some(tenant(1)), worker, verdict, ..event });
    }
    let read = async |parameters: &str| {
        let path = format!("/api/v1/admin/workers/history?{parameters}");
        let page: EventPage = server.local(Method::GET, &path, "").await.json();
        let words: Vec<_> = page.events.into_iter().map(|event| event.reason).collect();
        (words.concat(), page.next_cursor)
    };
    let (words, cursor) = read("limit=2").await;
    assert_eq!(words, "43");
    let (words, cursor) = read(&format!("limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!(words, "21");
    assert_eq!(read(&format!("limit=2&cursor={}", cursor.unwrap())).await, ("0".to_owned(), None));
    assert_eq!(read("verdict=OOM").await.0, "3");
    assert_eq!(read("worker=transform-2-1").await.0, "");
    assert_eq!(read("worker=transform-1-1&since=2026-01-01T00:00:00Z").await.0, "43210");
    assert_eq!(read("until=2026-01-01T00:00:00Z").await.0, "");
    for wrong in ["limit=501", "since=yesterday", "verdict=sad", "worker=x"] {
        let answer = server.local(Method::GET, &format!("/api/v1/admin/workers/history?{wrong}"), "").await;
        assert_eq!(answer.code(), "invalid_parameter", "{wrong}");
    }
}
