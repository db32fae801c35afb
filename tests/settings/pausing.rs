//! Pauses: they last over everything until their time has come.

use std::time::Duration;

use serde_json::json;
use system_tests::fleet;

use super::scene::{document, paused, platform_with, set, setup, within, without_database};

#[tokio::test]
async fn a_pause_lasts_over_a_restart_without_database_and_ends_when_somebody_says_so() {
    let (platform, mut supervisor, before) = platform_with(&[1, 2]).await;
    let neighbour = fleet::pids(&before, &[2]);
    let answer = set(&supervisor, 1, json!({"paused_until": within(Duration::from_hours(1))})).await;
    let transform = "transform".parse().unwrap();
    assert!(answer.effective[&transform].paused);
    let status = supervisor.until("tenant 1 is paused", |status| paused(status, 1)).await;
    assert_eq!(fleet::last_verdict(&status, 1), "OPERATOR");
    let raw = platform.submit(1, &document(1)).await;

    supervisor.kill_brain();
    supervisor.configure(&without_database(&platform));
    supervisor.start_brain().await;
    let status =
        supervisor.until("tenant 1 is still paused", |status| paused(status, 1) && fleet::running(status, &[2])).await;
    assert_eq!(fleet::pids(&status, &[2]), neighbour);

    supervisor.kill_brain();
    supervisor.configure(&setup(&platform));
    supervisor.start_brain().await;
    let status = supervisor.until("the database is back", |status| fleet::well(status, &["database", "broker"])).await;
    assert!(paused(&status, 1), "{}", fleet::summary(&status));
    assert_eq!(platform.raw(raw).await.status, "pending", "the message waits");
    set(&supervisor, 1, json!({"paused_until": null})).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn a_pause_ends_by_itself_also_where_the_database_is_away_by_then() {
    let (platform, mut supervisor, before) = platform_with(&[1, 2]).await;
    let neighbour = fleet::pids(&before, &[2]);
    set(&supervisor, 1, json!({"paused_until": within(Duration::from_secs(4))})).await;
    supervisor.until("tenant 1 is paused", |status| paused(status, 1)).await;
    set(&supervisor, 2, json!({"memory_soft_bytes": 300_000_000})).await;
    supervisor.until_running(&[1, 2]).await;

    set(&supervisor, 1, json!({"paused_until": within(Duration::from_secs(5))})).await;
    supervisor.until("tenant 1 is paused again", |status| paused(status, 1)).await;
    supervisor.kill_brain();
    supervisor.configure(&without_database(&platform));
    supervisor.start_brain().await;
    supervisor.until("it is started when its time has come", |status| !paused(status, 1)).await;
    let status = supervisor.until_running(&[2]).await;
    assert_eq!(fleet::pids(&status, &[2]), neighbour);
}

#[tokio::test]
async fn a_paused_tenant_of_the_configuration_has_no_worker_before_the_database_has_been_read() {
    let (platform, mut supervisor, _) = platform_with(&[1, 2]).await;
    set(&supervisor, 1, json!({"paused_until": within(Duration::from_hours(1))})).await;
    supervisor.until("tenant 1 is paused", |status| paused(status, 1)).await;
    supervisor.kill_brain();
    let recorded = supervisor.directory().join("state/fleet.json");
    std::fs::remove_file(&recorded).expect("what was recorded can be lost");
    supervisor.configure(&setup(&platform).set("", "tenants", "[1, 2]"));
    let said = supervisor.log().len();
    supervisor.start_brain().await;
    supervisor.until("it knows", |status| paused(status, 1) && fleet::running(status, &[2])).await;
    let log = supervisor.log().split_off(said);
    let started = log.lines().any(|line| line.contains("transform-1-1") && line.contains("STARTING"));
    assert!(!started, "{log}");
}

#[tokio::test]
async fn who_is_stopped_stays_stopped_when_the_pause_ends() {
    let (_platform, supervisor, _) = platform_with(&[1]).await;
    set(&supervisor, 1, json!({"paused_until": within(Duration::from_secs(3))})).await;
    supervisor.until("tenant 1 is paused", |status| paused(status, 1)).await;
    supervisor.control("stop", Some(1)).await;
    let reason = |status: &_| fleet::worker(status, 1).map(|worker| worker.reason.clone());
    supervisor
        .until("the stop is what counts", |status| reason(status).as_deref() == Some("stopped by an operator"))
        .await;
    set(&supervisor, 1, json!({"paused_until": null})).await;
    supervisor.control("start", Some(1)).await;
    supervisor.until_running(&[1]).await;
}
