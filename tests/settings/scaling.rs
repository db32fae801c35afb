//! More workers, and fewer, while messages flow.

use std::time::Duration;

use etl_shared::api::WorkerState;
use serde_json::json;
use system_tests::{fleet, processes};

use super::scene::{document, platform_with, read, running, set};

#[tokio::test]
async fn more_and_fewer_workers_lose_no_message_and_touch_nobody_else() {
    let (platform, supervisor, before) = platform_with(&[1, 2]).await;
    let old = fleet::pids(&before, &[1, 2]);
    let mut raws = Vec::new();
    for seed in 0..40 {
        raws.push(platform.submit(1, &document(seed)).await);
    }
    let answer = set(&supervisor, 1, json!({"workers": 3})).await;
    let transform = "transform".parse().unwrap();
    assert_eq!(answer.effective[&transform].workers, 3);
    for seed in 40..80 {
        raws.push(platform.submit(1, &document(seed)).await);
    }
    let status = supervisor.until("three workers run", |status| running(status, 1) == 3).await;
    let third = fleet::named(&status, "transform-1-3").and_then(|worker| worker.pid).expect("it runs");
    for seed in 80..120 {
        raws.push(platform.submit(1, &document(seed)).await);
    }
    set(&supervisor, 1, json!({"workers": null})).await;
    let status = supervisor
        .until("one is left", |status| running(status, 1) == 1 && fleet::named(status, "transform-1-2").is_none())
        .await;
    assert!(!processes::alive(third), "fewer means that the process is gone");
    assert_eq!(fleet::pids(&status, &[1, 2]), old, "the first worker and the neighbour have noticed nothing");
    assert!(supervisor.log().contains("SCALE_DOWN"), "they left politely");
    assert!(!supervisor.log().contains("SIGKILL"));
    platform.completed_within(&raws, Duration::from_mins(1)).await;
    let attempts: i64 = platform
        .database
        .client()
        .query_one("SELECT count(*) FROM raw_extraction_data WHERE attempts > 1", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(attempts, 0, "whoever leaves finishes what it has begun, or hands it back untouched");
}

#[tokio::test]
async fn a_change_in_sql_holds_at_once_and_is_noted() {
    let (platform, supervisor, before) = platform_with(&[1, 2]).await;
    let neighbour = fleet::pids(&before, &[2]);
    let client = platform.database.client();
    let insert = "INSERT INTO worker_settings (tenant_id, queue_type, workers) VALUES (1, 'transform', 2)";
    client.execute(insert, &[]).await.unwrap();
    supervisor.until("a second worker runs", |status| running(status, 1) == 2).await;
    let first = read(&supervisor, 1).await;
    let user: String = client.query_one("SELECT session_user::text", &[]).await.unwrap().get(0);
    assert_eq!((first.revision > 0, first.updated_by.as_deref()), (true, Some(user.as_str())), "{first:?}");

    // A column that nobody told about: the revision grows all the same.
    client.execute("UPDATE worker_settings SET workers = 0 WHERE tenant_id = 1", &[]).await.unwrap();
    let status = supervisor.until("no worker is left", |status| fleet::worker(status, 1).is_none()).await;
    assert_eq!(status.tenants.len(), 2, "the tenant is still there");
    assert!(read(&supervisor, 1).await.revision > first.revision);

    client.execute("DELETE FROM worker_settings", &[]).await.unwrap();
    let status = supervisor.until_running(&[1, 2]).await;
    assert_eq!(running(&status, 1), 1, "as the configuration says");
    assert_eq!(fleet::pids(&status, &[2]), neighbour);
}

/// Whoever read the settings before the row was taken away must not change them as if it were there.
#[tokio::test]
async fn a_row_that_is_taken_away_in_sql_is_a_change_of_the_tenants_settings() {
    let (platform, supervisor, _) = platform_with(&[1]).await;
    let client = platform.database.client();
    for queue_type in ["transform", "other"] {
        let insert = "INSERT INTO worker_settings (tenant_id, queue_type, workers) VALUES (1, $1, 2)";
        client.execute(insert, &[&queue_type]).await.unwrap();
    }
    supervisor.until("a second worker runs", |status| running(status, 1) == 2).await;
    let before = read(&supervisor, 1).await;
    // The older one of the two: the newest row stays as it is.
    client.execute("DELETE FROM worker_settings WHERE queue_type = 'transform'", &[]).await.unwrap();
    supervisor.until("one is left", |status| running(status, 1) == 1).await;
    let after = read(&supervisor, 1).await;
    assert!(after.revision > before.revision, "{before:?} {after:?}");
}

#[tokio::test]
async fn a_table_that_cannot_be_read_changes_nothing() {
    let (platform, supervisor, _) = platform_with(&[1, 2]).await;
    set(&supervisor, 1, json!({"workers": 2})).await;
    let before = supervisor.until("two workers run", |status| running(status, 1) == 2).await;
    platform.database.client().batch_execute("ALTER TABLE worker_settings RENAME TO elsewhere").await.unwrap();
    // Something else that is read with it arrives all the same.
    platform.add_tenant(3).await;
    let status = supervisor.until_running(&[1, 2, 3]).await;
    assert_eq!((running(&status, 1), running(&status, 3)), (2, 1));
    assert_eq!(fleet::pids(&status, &[1, 2]), fleet::pids(&before, &[1, 2]));
    assert!(status.tenants.values().flat_map(|tenant| &tenant.workers).all(|w| w.state == WorkerState::Running));
    assert!(supervisor.log().contains("the last known settings hold"));
}
