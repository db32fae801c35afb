//! What follows from histories, whole ones and pieces, in any order.

use serde_json::{Value, json};

use super::site::{KIND, Site, change, issue, site};

const TIMES: &str =
    "SELECT external_id AS id, transition_start_date::date::text AS start, time_in_status_seconds / 86400 AS days
    FROM changelogs ORDER BY transition_change_date, length(external_id), external_id";

const METRICS: &str = "SELECT total_backlog_returns AS returns, total_work_starts AS starts, total_completions AS completions,
    total_work_time_seconds / 86400 AS work, total_review_time_seconds / 86400 AS review, total_cycle_time_seconds / 86400 AS cycle,
    total_lead_time_seconds / 86400 AS lead, workflow_complexity_score AS complexity, rework_indicator AS rework, direct_completion AS direct
    FROM work_items";

fn on(day: u32) -> String {
    format!("2024-01-{day:02}T00:00:00.000+0000")
}

fn whole() -> Vec<Value> {
    vec![
        change("10", &on(2), "8", "1"),
        change("11", &on(3), "1", "3"),
        change("12", &on(5), "3", "4"),
        change("13", &on(8), "4", "1"),
        change("14", &on(12), "1", "9"),
        change("15", &on(13), "9", "10"),
        change("16", &on(20), "10", "8"),
        change("17", &on(25), "8", "5"),
    ]
}

async fn send(site: &Site, day: u32, total: usize, histories: &[Value]) -> Option<Value> {
    let mut issue = issue("100", &on(day), &json!({}), histories);
    issue["changelog"]["total"] = json!(total);
    let row = site.transform(KIND, &json!({"issues": [issue]})).await;
    assert_eq!(row.status, "completed");
    row.error_details
}

fn expected() -> Value {
    // Starts: to 3, 4, 9 (mapped). Done: 10 (mapping without a category) and 5. Back to the backlog from 8 and from 4.
    json!({"returns": 2, "starts": 3, "completions": 2, "work": 2 + 3 + 1, "review": 4, "cycle": 22, "lead": 23,
        "complexity": 5, "rework": true, "direct": false})
}

#[tokio::test]
async fn the_metrics_are_those_of_the_whole_history_however_it_arrives() {
    let histories = whole();
    let whole_first = site().await;
    assert_eq!(send(&whole_first, 30, 8, &histories).await, None);
    assert_eq!(whole_first.rows(METRICS).await, [expected()]);
    let times = whole_first.rows(TIMES).await;
    assert_eq!(times[0], json!({"id": "10", "start": "2024-01-01", "days": 1}));
    assert_eq!(times[3], json!({"id": "13", "start": "2024-01-05", "days": 3}));

    let in_pieces = site().await;
    let newest_first: Vec<Value> = histories[4..7].iter().rev().cloned().collect();
    send(&in_pieces, 21, 3, &newest_first).await;
    assert_eq!(in_pieces.rows(TIMES).await[0]["start"], "2024-01-01");
    send(&in_pieces, 9, 4, &histories[..4]).await;
    send(&in_pieces, 30, 1, &histories[7..]).await;
    assert_eq!(in_pieces.rows(TIMES).await, times);
    assert_eq!(in_pieces.rows(METRICS).await, [expected()]);
}

#[tokio::test]
async fn before_a_truncated_history_nothing_is_claimed() {
    let histories: Vec<Value> = (1..=250)
        .map(|n| change(&n.to_string(), &format!("2024-01-{:02}T{:02}:00:00Z", 2 + n / 24, n % 24), "3", "4"))
        .collect();
    let site = site().await;
    let newest: Vec<Value> = histories[210..].iter().rev().cloned().collect();
    let warning = json!({"warnings": [{"reason": "changelog_truncated", "count": 1, "ids": ["100"]}]});
    assert_eq!(send(&site, 28, 250, &newest).await, Some(warning));
    let times = site.rows(TIMES).await;
    assert_eq!(times[0], json!({"id": "211", "start": null, "days": null}));
    assert_eq!(times.len(), 40);
    let worked = "SELECT total_work_time_seconds / 3600 AS hours FROM work_items";
    assert_eq!(site.rows(worked).await, [json!({"hours": 39})]);

    let mut without = issue("100", &on(29), &json!({}), &[]);
    without.as_object_mut().unwrap().remove("changelog");
    site.transform_cleanly(KIND, &json!({"issue": without})).await;
    assert_eq!(site.rows(TIMES).await[0]["start"], json!(null), "a message without a history knows no better");

    send(&site, 30, 250, &histories).await;
    assert_eq!(site.rows(TIMES).await[0]["start"], "2024-01-01");
    assert_eq!(site.rows(TIMES).await.len(), 250);
}

#[tokio::test]
async fn one_change_straight_to_done_is_a_direct_completion_and_none_is_nothing() {
    let site = site().await;
    send(&site, 2, 0, &[]).await;
    let nothing = json!({"returns": 0, "starts": 0, "completions": 0, "work": 0, "review": 0, "cycle": null, "lead": null,
        "complexity": 0, "rework": false, "direct": false});
    assert_eq!(site.rows(METRICS).await, [nothing]);
    // The times of one second are in the order of the numbers, of which 9 comes before 10.
    send(&site, 4, 1, &[change("10", &on(3), "1", "5")]).await;
    assert_eq!(site.rows(METRICS).await[0]["direct"], true);
    send(&site, 5, 2, &[change("10", &on(3), "1", "5"), change("9", &on(3), "8", "1")]).await;
    assert_eq!(
        site.rows(TIMES).await,
        [json!({"id": "9", "start": "2024-01-01", "days": 2}), json!({"id": "10", "start": "2024-01-03", "days": 0})]
    );
    assert_eq!(
        (&site.rows(METRICS).await[0]["direct"], &site.rows(METRICS).await[0]["lead"]),
        (&json!(false), &json!(0))
    );
}
