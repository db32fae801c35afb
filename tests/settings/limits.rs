//! How far an operator may go, and that nobody overwrites what they have not seen.

use etl_shared::api::{Role, SettingsDocument};
use serde_json::json;
use system_tests::{Platform, Supervisor, fleet, http::Call};

use super::scene::{CONFIG, document, platform_with, read, refused, running, set};

#[tokio::test]
async fn an_operator_changes_its_own_tenant_within_the_limits_that_an_admin_sets() {
    let (_platform, supervisor, _) = platform_with(&[1, 2]).await;
    let operator = supervisor.token(Role::Operator, Some(1)).await;
    let viewer = supervisor.token(Role::Viewer, Some(1)).await;
    let two = json!({"queues": {"transform": {"workers": 2}}});
    supervisor.tcp(Call::put(CONFIG, two.clone()).token(&operator)).await.expect_status(200);
    supervisor.until("a second worker runs", |status| running(status, 1) == 2).await;

    let problem = refused(&supervisor, &operator, 409, json!({"workers": 9})).await;
    assert!(problem.code == "workers_over_limit" && problem.detail.contains("at most 8"), "{problem:?}");
    let problem = refused(&supervisor, &operator, 403, json!({"workers": 2, "workers_max": 9})).await;
    assert_eq!(problem.code, "role_too_low");
    assert_eq!(refused(&supervisor, &viewer, 403, json!({"workers": 1})).await.code, "role_too_low");
    let problem = refused(&supervisor, &operator, 400, json!({"paused_until": "2001-01-01T00:00:00Z"})).await;
    assert_eq!(problem.code, "in_the_past");
    let foreign = json!({"tenant_id": 2, "queues": {}});
    let reply = supervisor.tcp(Call::put(CONFIG, foreign).token(&operator)).await;
    reply.expect_status(403);

    // An admin lowers what it may ask for; what is set may stay, and more may not come.
    set(&supervisor, 1, json!({"workers": 2, "workers_max": 1})).await;
    let same = json!({"queues": {"transform": {"workers": 2, "workers_max": 1}}});
    supervisor.tcp(Call::put(CONFIG, same).token(&operator)).await.expect_status(200);
    let problem = refused(&supervisor, &operator, 409, json!({"workers": 3, "workers_max": 1})).await;
    assert!(problem.detail.contains("at most 1"), "{problem:?}");
    let status = supervisor.status().await.unwrap();
    assert_eq!((running(&status, 1), running(&status, 2)), (2, 1), "{}", fleet::summary(&status));
}

#[tokio::test]
async fn who_has_read_an_older_state_changes_nothing() {
    let (platform, supervisor, _) = platform_with(&[1]).await;
    let change =
        |workers: u16| Call::put(CONFIG, json!({"tenant_id": 1, "queues": {"transform": {"workers": workers}}}));
    let never = read(&supervisor, 1).await;
    assert_eq!((never.revision, never.updated_at, never.updated_by), (0, None, None));
    let first: SettingsDocument =
        supervisor.socket(change(2).header("if-match", "\"0\"")).await.unwrap().expect_status(200).json();
    for stale in ["\"0\"", "\"1\""] {
        let reply = supervisor.socket(change(3).header("if-match", stale)).await.unwrap();
        assert!(reply.expect_status(412).body.contains("settings_changed"), "{reply:?}");
    }
    // By hand, behind everybody's back.
    let update = "UPDATE worker_settings SET memory_soft = 300000000";
    platform.database.client().execute(update, &[]).await.unwrap();
    let seen = format!("\"{}\"", first.revision);
    supervisor.socket(change(3).header("if-match", &seen)).await.unwrap().expect_status(412);
    assert_eq!(read(&supervisor, 1).await.queues[&"transform".parse().unwrap()].workers, Some(2));
    let raw = platform.submit(1, &document(1)).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn a_change_in_sql_that_is_under_way_is_not_overwritten_by_who_has_not_seen_it() {
    let (platform, supervisor, _) = platform_with(&[1]).await;
    let seen = set(&supervisor, 1, json!({"workers": 1})).await.revision;
    let update = "UPDATE worker_settings SET memory_soft = 300000000 WHERE tenant_id = 1";
    overtaken_by(&platform, &supervisor, update, seen).await;
}

#[tokio::test]
async fn and_neither_is_the_first_one() {
    let (platform, supervisor, _) = platform_with(&[1]).await;
    let insert = "INSERT INTO worker_settings (tenant_id, queue_type, memory_soft) VALUES (1, 'transform', 300000000)";
    overtaken_by(&platform, &supervisor, insert, 0).await;
}

/// Somebody changes tenant 1's settings by hand, and commits that while somebody who has read this revision changes them too.
async fn overtaken_by(platform: &Platform, supervisor: &Supervisor, change: &str, revision: i64) {
    let by_hand = platform.database.connect().await;
    by_hand.batch_execute(&format!("BEGIN; {change}")).await.expect("a change by hand");
    let body = json!({"tenant_id": 1, "queues": {"transform": {"workers": 2}}});
    let call = Call::put(CONFIG, body).header("if-match", &format!("\"{revision}\""));
    let commit = async {
        platform.someone_waits_for_a_lock().await;
        by_hand.batch_execute("COMMIT").await.expect("its commit");
    };
    let (reply, ()) = tokio::join!(supervisor.socket(call), commit);
    assert!(reply.expect("an answer").expect_status(412).body.contains("settings_changed"));
    let stored = "SELECT memory_soft FROM worker_settings WHERE tenant_id = 1";
    let stored = platform.database.client().query_one(stored, &[]).await.expect("the row");
    assert_eq!(stored.get::<_, Option<i64>>(0), Some(300_000_000));
}
