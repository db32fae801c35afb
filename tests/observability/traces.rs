//! One trace, from a request to the worker's part of it, as a collector gets it.

use system_tests::{Platform, SOON, Setup, Supervisor, eventually, http::Call, supervisor_setup::quoted};

use super::{
    collector::{Arrived, Collector},
    following::{PARENT, TRACE, letter, replay},
};

async fn arrived(collector: &Collector, names: &[&str]) -> Vec<Arrived> {
    eventually(format!("spans of {names:?} have arrived"), SOON, async || {
        let spans = collector.spans();
        let found = names.iter().map(|name| spans.iter().find(|span| span.name == *name).cloned());
        found.collect::<Option<Vec<_>>>().ok_or_else(|| format!("{spans:?}"))
    })
    .await
}

#[tokio::test]
async fn a_request_what_it_publishes_and_the_workers_part_are_one_trace() {
    let platform = Platform::with_tenants(&[1]).await;
    let collector = Collector::start().await;
    let setup = Setup::on(&platform).set("telemetry", "otlp_endpoint", &quoted(&collector.endpoint));
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    let (letter, row) = letter(&platform, &serde_json::json!({})).await;
    replay(&supervisor, letter, "traced").await;
    let names = ["POST /api/v1/admin/dead-letters/replay", "replay dead letters", "transform jira_custom_fields"];
    let spans = arrived(&collector, &names).await;
    let [request, published, worked] = spans.as_slice() else { panic!("{spans:?}") };
    for span in &spans {
        assert_eq!(span.trace, TRACE, "{span:?}");
        assert!(span.times.0 > 0 && span.times.0 <= span.times.1, "{span:?}");
    }
    assert_eq!(request.parent, PARENT.split('-').nth(2).unwrap(), "{request:?}");
    assert_eq!((&published.parent, &worked.parent), (&request.span, &published.span), "{spans:?}");
    assert_eq!((request.service.as_str(), worked.service.as_str()), ("etl-supervisor", "transform-worker"));
    for (name, value) in [
        ("etl.worker", "transform-1-1"),
        ("etl.correlation_id", "traced"),
        ("etl.outcome", "payload_shape"),
        ("etl.raw_data_id", &row.to_string()),
    ] {
        assert!(worked.attributes.contains(&(name.to_owned(), value.to_owned())), "{name}: {worked:?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_traces_and_nothing_else() {
    let platform = Platform::with_tenants(&[1]).await;
    let setup = Setup::on(&platform).set("telemetry", "otlp_endpoint", "\"http://127.0.0.1:1\"");
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    supervisor.tcp(Call::get("/livez")).await.expect_status(200);
    eventually("the loss is told", SOON, async || {
        let log = supervisor.log();
        if log.contains("traces are lost") { Ok(()) } else { Err(log) }
    })
    .await;
    let row = platform.submit(1, &serde_json::json!({"projects": 7})).await;
    assert_eq!(platform.ended(row).await.status, "failed");
}
