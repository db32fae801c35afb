//! `/metrics`, and the id that every request has.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use etl_shared::{Verdict, api::Role, trace::is_correlation_id};
use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;

use super::{
    fleet::{synthetic, tenant},
    server::{Answer, Server, whole},
};
use crate::{
    history::tally::Look,
    runtime::overrides::{Override, Overrides, QueueRules, Rules, TenantOverrides, without_end},
};

/// What every user of the neighbouring tools may expect, and what the dashboard and the alerts are made of.
const NAMES: [&str; 33] = [
    "etl_build_info",
    "etl_cold_start_seconds_bucket",
    "etl_cold_start_seconds_count",
    "etl_cold_start_seconds_sum",
    "etl_dead_letters_total",
    "etl_message_duration_seconds_bucket",
    "etl_message_duration_seconds_count",
    "etl_message_duration_seconds_sum",
    "etl_messages_processed_total",
    "etl_messages_republished_total",
    "etl_queue_consumers",
    "etl_queue_messages_ready",
    "etl_queue_messages_unacknowledged",
    "etl_queue_sample_age_seconds",
    "etl_scale_decisions_total",
    "etl_supervisor_api_request_duration_seconds_bucket",
    "etl_supervisor_api_request_duration_seconds_count",
    "etl_supervisor_api_request_duration_seconds_sum",
    "etl_supervisor_api_requests_total",
    "etl_supervisor_cpu_seconds_total",
    "etl_supervisor_keeper_up",
    "etl_supervisor_part_up",
    "etl_supervisor_resident_memory_bytes",
    "etl_supervisor_settled",
    "etl_supervisor_tenants",
    "etl_supervisor_uptime_seconds",
    "etl_supervisor_view_age_seconds",
    "etl_worker_cpu_seconds_total",
    "etl_worker_memory_limit_bytes",
    "etl_worker_resident_memory_bytes",
    "etl_worker_restarts_total",
    "etl_worker_state",
    "etl_workers",
];

async fn scrape(server: &Server) -> String {
    let answer = server.remote(None, Method::GET, "/metrics", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// A fleet of which everything that can be counted has been counted once.
fn busy(tenants: i64) -> crate::runtime::FleetView {
    let mut view = synthetic(tenants);
    for queue in std::sync::Arc::make_mut(&mut view.queues).values_mut() {
        queue.messages_unacknowledged = Some(2);
    }
    let limits = view.workers.iter().map(|worker| (worker.name.queue_type.clone(), 64 << 20));
    view.tally.set_memory_limits(limits.collect());
    for worker in view.workers.iter() {
        let mut counters = etl_shared::flight::counters::Counters { incarnation: 2, ..Default::default() };
        counters.took(7, Duration::from_millis(3));
        counters.given_up("poison");
        let look = Look { cpu_seconds: 0.5, messages: Some([7, 1, 0]), counters: Some(Box::new(counters)) };
        view.tally.looked(&worker.name, 2, look);
        view.tally.became_ready(&worker.name, Duration::from_millis(20));
        view.tally.restarted(&worker.name, &Verdict::Exit(1));
    }
    view.tally.scaled("up", "none");
    view
}

/// Nobody is to be woken because somebody paused a tenant, or because a worker is being replaced.
#[tokio::test]
async fn desired_are_those_of_tenants_that_are_not_paused_whoever_stands_in() {
    let mut view = synthetic(2);
    let rules = QueueRules { workers: 2, workers_max: 8, memory_soft: 1 << 26, memory_max: 1 << 27 };
    view.rules = Rules::from([("transform".parse().unwrap(), rules)]).into();
    let paused = Override { paused_until: Some(without_end()), ..Override::default() };
    let set = TenantOverrides { queues: [("transform".parse().unwrap(), paused)].into(), ..TenantOverrides::default() };
    view.overrides = Overrides([(tenant(1), set)].into()).into();
    let text = scrape(&Server::start(view)).await;
    for line in [r#"etl_workers{tenant="1",kind="desired"} 0"#, r#"etl_workers{tenant="2",kind="desired"} 2"#] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn the_metrics_have_the_names_that_people_know_and_values_of_the_fleet() {
    let server = Server::start(busy(3));
    let text = scrape(&server).await;
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let names: BTreeSet<&str> = lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), NAMES);
    assert!(text.ends_with("# EOF\n"));
    for line in [
        r#"etl_worker_state{tenant="2",queue_type="transform",state="RUNNING"} 1"#,
        r#"etl_workers{tenant="3",kind="ready"} 1"#,
        r#"etl_worker_resident_memory_bytes{tenant="1",queue_type="transform"} 3400000"#,
        r#"etl_worker_memory_limit_bytes{tenant="1",queue_type="transform"} 67108864"#,
        r#"etl_worker_restarts_total{tenant="1",queue_type="transform",reason="EXIT"} 1"#,
        r#"etl_messages_processed_total{tenant="1",queue_type="transform",outcome="done"} 7"#,
        r#"etl_message_duration_seconds_bucket{le="0.005",queue_type="transform"} 21"#,
        r#"etl_message_duration_seconds_bucket{le="0.002",queue_type="transform"} 0"#,
        r#"etl_message_duration_seconds_bucket{le="+Inf",queue_type="transform"} 21"#,
        r#"etl_dead_letters_total{reason="poison"} 3"#,
        // A rise from nothing to the first one would be none.
        r#"etl_dead_letters_total{reason="malformed_message"} 0"#,
        r#"etl_dead_letters_total{reason="delivery_limit"} 0"#,
        r#"etl_dead_letters_total{reason="other"} 0"#,
        r#"etl_queue_messages_ready{tenant="1",queue_type="transform"} 3"#,
        r#"etl_supervisor_part_up{part="database"} 1"#,
    ] {
        assert!(lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_thousand_workers_are_written_down_fast_and_nobody_else_waits_for_it() {
    let server = Server::start(busy(1_000));
    scrape(&server).await;
    let began = Instant::now();
    let text = scrape(&server).await;
    let took = began.elapsed();
    let lines = text.lines().count();
    println!("1,000 workers: {} KB, {lines} lines, {took:?} in this build", text.len() / 1024);
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(text.len() < 2 << 20, "{}", text.len());
}

#[tokio::test]
async fn the_metrics_are_an_admins_where_the_configuration_says_so() {
    let server =
        Server::start_with(synthetic(1), |context| context.api.metrics = crate::settings::MetricsAccess::Admin);
    let answer = server.remote(None, Method::GET, "/metrics", "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "token_required"));
    for (role, tenant, status) in [(Role::Admin, None, 200), (Role::Operator, Some(1), 403)] {
        let token = server.token(role, tenant).await.token;
        let answer = server.remote(Some(&token), Method::GET, "/metrics", "").await;
        assert_eq!(answer.status.as_u16(), status, "{role:?}");
    }
    assert_eq!(server.local(Method::GET, "/metrics", "").await.status, 200);
}

async fn asked_with_id(server: &Server, id: &str) -> Answer {
    let (mut sender, connection) = http1::handshake(TokioIo::new(server.tcp().await)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().uri("/nowhere").header(header::HOST, "localhost").header("X-Request-Id", id);
    whole(sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap()).await
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = Server::start(synthetic(1));
    let id = |answer: &Answer| answer.headers["x-request-id"].to_str().unwrap().to_owned();
    let (one, two) = (
        id(&server.remote(None, Method::GET, "/livez", "").await),
        id(&server.remote(None, Method::GET, "/api/v1/admin/workers/status", "").await),
    );
    assert!(is_correlation_id(&one) && is_correlation_id(&two) && one != two, "{one} {two}");
    assert_eq!(id(&asked_with_id(&server, "order-7.A_b").await), "order-7.A_b");
    let made_up = id(&asked_with_id(&server, "two words").await);
    assert!(is_correlation_id(&made_up), "{made_up}");
}

#[tokio::test]
async fn requests_are_counted_by_how_they_were_answered() {
    let server = Server::start(synthetic(1));
    server.remote(None, Method::GET, "/livez", "").await;
    server.remote(None, Method::GET, "/nowhere", "").await;
    let text = scrape(&server).await;
    for line in [
        r#"etl_supervisor_api_requests_total{status="2xx"} 1"#,
        r#"etl_supervisor_api_requests_total{status="4xx"} 1"#,
        "etl_supervisor_api_request_duration_seconds_count 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

/// Words of a text that begin like one of our metrics.
fn named_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("etl_")).collect()
}

#[test]
fn dashboard_alerts_and_document_name_metrics_that_there_are() {
    let documents = [
        ("dashboard", include_str!("../../../../docs/observability/grafana-dashboard.json")),
        ("alerts", include_str!("../../../../docs/observability/alerts.yml")),
    ];
    for (document, text) in documents {
        let unknown: Vec<_> = named_in(text).into_iter().filter(|name| !NAMES.contains(name)).collect();
        assert!(unknown.is_empty(), "{document}: {unknown:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(documents[0].1).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 10));
    // The document has a row for every family, with the name that a histogram's parts have in common.
    let rows = include_str!("../../../../docs/observability.md").lines().filter(|line| line.starts_with("| `etl_"));
    let described: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let family = |name: &&'static str| {
        ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
    };
    let families: BTreeSet<&str> = NAMES.iter().map(family).collect();
    assert_eq!(described, families);
}
