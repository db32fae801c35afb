//! A worker that somebody starts by hand for some work and no more.

use serde_json::json;
use system_tests::{
    Platform,
    broker::Depth,
    createmeta::{Shape, createmeta},
    platform::{Counts, KIND, queue_of},
    worker::WorkerRun,
};

const ONE: Counts = Counts { projects: 1, wits: 1, projects_wits: 1, custom_fields: 2 };

#[tokio::test]
async fn max_messages_does_so_many_and_leaves_the_rest() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut raws = Vec::new();
    for seed in 1..=5 {
        raws.push(platform.submit(1, &createmeta(seed, Shape::SMALL).document).await);
    }
    let run = WorkerRun::on(&platform).arguments(&["--queue", &queue_of(1), "--max-messages", "3"]);
    let mut worker = run.start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    platform.broker.has(&queue_of(1), Depth { ready: 2, consumers: 0 }).await;
    platform.completed(&raws[..3]).await;
    for left in &raws[3..] {
        assert_eq!(platform.raw(*left).await.status, "pending");
    }
}

#[tokio::test]
async fn once_leaves_after_what_was_there() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let mut worker = WorkerRun::on(&platform).arguments(&["--queue", &queue_of(1), "--once"]).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    assert_eq!(platform.raw(raw).await.status, "completed");
    platform.broker.settled(&queue_of(1)).await;
}

#[tokio::test]
async fn one_raw_row_needs_no_broker() {
    let platform = Platform::with_tenants(&[1]).await;
    let chosen = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let other = platform.add_raw(1, KIND, &createmeta(2, Shape::SMALL).document).await;
    let run = WorkerRun::on(&platform).broker(None);
    let mut worker = run.arguments(&["--queue", &queue_of(1), "--raw-data-id", &chosen.to_string()]).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    assert_eq!(platform.raw(chosen).await.status, "completed");
    assert_eq!(platform.raw(other).await.status, "pending");
    assert_eq!(platform.counts(1).await, ONE);
}

#[tokio::test]
async fn a_dry_run_of_one_raw_row_prints_its_rows_and_changes_nothing() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let run = WorkerRun::on(&platform).broker(None);
    let arguments = ["--queue", &queue_of(1), "--raw-data-id", &raw.to_string(), "--dry-run"];
    let mut worker = run.arguments(&arguments).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    let output = worker.output();
    for expected in ["projects", "wits", "custom_fields", "P1N0"] {
        assert!(output.contains(expected), "{expected} is not in what was printed: {output}");
    }
    assert_eq!(platform.raw(raw).await.status, "pending");
    assert_eq!(platform.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_on_a_queue_leaves_the_message_where_it_is() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let mut worker = WorkerRun::on(&platform).arguments(&["--queue", &queue_of(1), "--once", "--dry-run"]).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    assert!(worker.output().contains("P1N0"), "{}", worker.output());
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    assert_eq!(platform.raw(raw).await.status, "pending");
    assert_eq!(platform.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_row_that_fails_by_hand_is_told_with_an_exit_code() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &json!({"projects": 7})).await;
    let run = WorkerRun::on(&platform).broker(None);
    let mut worker = run.arguments(&["--queue", &queue_of(1), "--raw-data-id", &raw.to_string()]).start();
    let status = worker.wait().await;
    assert_ne!(status.code(), Some(0), "{}", worker.log());
    assert_eq!(platform.raw(raw).await.status, "failed");
}

#[tokio::test]
async fn without_an_address_it_says_what_is_missing() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut worker = WorkerRun::on(&platform).broker(None).arguments(&["--queue", &queue_of(1)]).start();
    let status = worker.wait().await;
    assert!(matches!(status.code(), Some(64 | 69 | 78)), "{status:?}");
    assert!(worker.log().contains("AMQP_URL"), "{}", worker.log());
}
