//! `etl-supervisor dead-letters` as an operator types it.

use etl_shared::api::DeadLetterPage;
use serde_json::json;
use system_tests::{Platform, platform::queue_of};

use super::{
    letters::{ids, letter, open},
    replay::without_workers,
};

#[tokio::test]
async fn an_operator_lists_shows_replays_and_discards() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let supervisor = without_workers(&platform).await;
    for number in 0..3 {
        letter(&platform, 1, &json!({"number": number})).await;
    }
    letter(&platform, 2, &json!({})).await;
    let ids = ids(&platform).await;

    let listed = supervisor.cli_ok(&["dead-letters", "list"]).await;
    assert_eq!(listed.lines().count(), 4, "{listed}");
    let first = listed.lines().next().unwrap_or_default();
    for part in [&ids[3].to_string(), "tenant 2", "transform_failed", "jira_custom_fields", "made by a test"] {
        assert!(first.contains(part), "{part} in {first}");
    }
    let one = supervisor.cli_ok(&["dead-letters", "list", "--tenant", "1", "--limit", "2", "-o", "json"]).await;
    let one: DeadLetterPage = serde_json::from_str(&one).expect("the API's own words");
    assert_eq!((one.letters.len(), one.next_cursor), (2, Some(ids[1])));
    let shown = supervisor.cli_ok(&["dead-letters", "show", &ids[0].to_string()]).await;
    assert!(shown.contains("header     job: \"j-1\"") && shown.contains("\"raw_data_id\""), "{shown}");

    let dry = supervisor.cli_ok(&["dead-letters", "replay", "--since", "1h", "--dry-run"]).await;
    assert_eq!(dry, "tenant 1  transform_failed  3\ntenant 2  transform_failed  1\n4 would be replayed\n");
    assert_eq!(open(&platform).await, 4, "a dry run does nothing");

    let done = supervisor.cli_ok(&["dead-letters", "replay", "--tenant", "1", "--limit", "2"]).await;
    assert_eq!(done, "replayed 2 letters\n");
    let done = supervisor.cli_ok(&["dead-letters", "replay", &ids[1].to_string(), &ids[2].to_string()]).await;
    assert_eq!(done, "replayed 1 letter, 1 were not open\n", "the two oldest were replayed before");
    assert_eq!(platform.broker.depth(&queue_of(1)).await.map(|depth| depth.ready), Some(3));
    let done = supervisor.cli_ok(&["dead-letters", "discard", "--all"]).await;
    assert_eq!(done, "discarded 1 letter\n");
    assert_eq!(open(&platform).await, 0);
}

#[tokio::test]
async fn a_replay_that_does_not_say_which_is_refused() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = without_workers(&platform).await;
    letter(&platform, 1, &json!({})).await;
    for arguments in [&["dead-letters", "replay"][..], &["dead-letters", "discard", "1", "--tenant", "1"]] {
        let refused = supervisor.cli(arguments).await;
        assert!(refused.code != 0 && refused.stderr.contains("numbers"), "{refused:?}");
    }
    let unknown = supervisor.cli(&["dead-letters", "show", "987654"]).await;
    assert!(unknown.code == 1 && unknown.stderr.contains("letter_unknown"), "{unknown:?}");
    assert_eq!(open(&platform).await, 1);
}

#[tokio::test]
async fn a_letter_that_stays_open_is_named_and_makes_the_command_fail() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = without_workers(&platform).await;
    letter(&platform, 1, &json!({})).await;
    let gone = "UPDATE dead_letters SET queue = 'transform_queue_tenant_404', tenant_id = 404";
    platform.database.client().execute(gone, &[]).await.unwrap();
    let failed = supervisor.cli(&["dead-letters", "replay", "--all"]).await;
    assert!(failed.code == 1 && failed.stdout.contains("replayed 0 letters, 1 stay open"), "{failed:?}");
    assert!(failed.stderr.contains("queue_missing") && failed.stderr.contains("_404"), "{failed:?}");
}

#[tokio::test]
async fn ten_thousand_letters_are_replayed_in_many_short_transactions() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = without_workers(&platform).await;
    let insert = "INSERT INTO dead_letters (tenant_id, queue, body, reason, detail)
                  SELECT 1, $1, convert_to(json_build_object('tenant_id', 1, 'integration_id', 10, 'raw_data_id', n,
                                                             'type', 'jira_custom_fields')::text, 'UTF8'),
                         'transform_failed', 'made by a test' FROM generate_series(1, 10000) AS n";
    platform.database.client().execute(insert, &[&queue_of(1)]).await.unwrap();
    let done = supervisor.cli(&["dead-letters", "replay", "--all"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (0, "replayed 10000 letters\n"), "{done:?}");
    assert!(!done.stderr.contains('\r') && !done.stderr.contains('\x1b'), "no bar where nobody looks: {done:?}");
    assert_eq!(platform.broker.depth(&queue_of(1)).await.map(|depth| depth.ready), Some(10_000));
    // The transactions tell themselves apart by when they began.
    let select = "SELECT count(DISTINCT replayed_at), max(n) FROM
                  (SELECT replayed_at, count(*) OVER (PARTITION BY replayed_at) AS n FROM dead_letters) AS t";
    let row = platform.database.client().query_one(select, &[]).await.unwrap();
    let (transactions, largest): (i64, i64) = (row.get(0), row.get(1));
    assert!(transactions >= 100 && largest <= 100, "{transactions} transactions, up to {largest} letters in one");
}
