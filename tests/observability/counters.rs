//! Counters never go down, whatever becomes of the processes that counted.

use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually, fleet, processes,
};

use super::metrics::{Metrics, scrape};

const DONE: [(&str, &str); 2] = [("tenant", "1"), ("outcome", "done")];

async fn until(supervisor: &Supervisor, what: &str, condition: impl Fn(&Metrics) -> bool) -> Metrics {
    eventually(what.to_owned(), SOON, async || {
        let metrics = scrape(supervisor).await;
        if condition(&metrics) { Ok(metrics) } else { Err(format!("{metrics:?}")) }
    })
    .await
}

fn is(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() < 1e-9
}

async fn submit(platform: &Platform, seeds: std::ops::Range<u64>) {
    let mut rows = Vec::new();
    for seed in seeds {
        rows.push(platform.submit(1, &createmeta(seed, Shape::SMALL).document).await);
    }
    platform.completed(&rows).await;
}

#[tokio::test]
async fn what_a_killed_worker_has_done_stays_counted_and_the_next_one_adds_to_it() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    submit(&platform, 1..6).await;
    platform.submit(1, &json!({"projects": 7})).await;
    platform.dead_letter().await;
    let before = until(&supervisor, "six messages are counted", |metrics| {
        is(metrics.sum("etl_messages_processed_total", &DONE), 5.0)
            && is(metrics.sum("etl_dead_letters_total", &[("reason", "payload_shape")]), 1.0)
    })
    .await;
    assert!(is(before.sum("etl_message_duration_seconds_count", &[]), 6.0), "{before:?}");
    assert!(is(before.sum("etl_cold_start_seconds_count", &[]), 1.0), "{before:?}");
    assert!(is(before.sum("etl_worker_restarts_total", &[]), 0.0), "{before:?}");

    let old = fleet::pids(&supervisor.status().await.unwrap(), &[1])[0];
    processes::signal(old, Signal::SIGKILL);
    supervisor
        .until("another process has taken its place", |status| {
            fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(old)
        })
        .await;
    let after = scrape(&supervisor).await;
    for (name, labels) in [("etl_messages_processed_total", &DONE[..]), ("etl_message_duration_seconds_count", &[])] {
        assert!(after.sum(name, labels) >= before.sum(name, labels), "{name}: {after:?}");
    }
    assert!(after.sum("etl_worker_cpu_seconds_total", &[]) >= before.sum("etl_worker_cpu_seconds_total", &[]));
    assert!(is(after.sum("etl_worker_restarts_total", &[("reason", "CRASH(SIGKILL)")]), 1.0), "{after:?}");

    submit(&platform, 6..8).await;
    let last = until(&supervisor, "two more messages are counted", |metrics| {
        is(metrics.sum("etl_messages_processed_total", &DONE), 7.0)
    })
    .await;
    assert!(is(last.sum("etl_message_duration_seconds_count", &[]), 8.0), "{last:?}");
    assert!(is(last.sum("etl_dead_letters_total", &[("reason", "payload_shape")]), 1.0), "{last:?}");
}

#[tokio::test]
async fn a_new_supervisor_counts_from_zero_and_not_what_its_workers_had_done_before() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    submit(&platform, 1..4).await;
    until(&supervisor, "three messages are counted", |metrics| {
        is(metrics.sum("etl_messages_processed_total", &DONE), 3.0)
    })
    .await;
    let worker = fleet::pids(&supervisor.status().await.unwrap(), &[1])[0];
    supervisor.kill_brain();
    supervisor.start_brain().await;
    supervisor
        .until("the worker was adopted and looked at", |status| {
            fleet::pid(status, 1) == Some(worker)
                && fleet::worker(status, 1).is_some_and(|worker| worker.messages.is_some())
        })
        .await;
    until(&supervisor, "it has been sampled", |metrics| metrics.sum("etl_worker_resident_memory_bytes", &[]) > 0.0)
        .await;
    let adopted = scrape(&supervisor).await;
    assert!(is(adopted.sum("etl_messages_processed_total", &DONE), 0.0), "{adopted:?}");
    assert!(is(adopted.sum("etl_message_duration_seconds_count", &[]), 0.0), "{adopted:?}");
    submit(&platform, 4..6).await;
    let more = until(&supervisor, "two messages are counted", |metrics| {
        is(metrics.sum("etl_messages_processed_total", &DONE), 2.0)
    })
    .await;
    assert!(is(more.sum("etl_message_duration_seconds_count", &[]), 2.0), "{more:?}");
}
