//! Issues and their sprints.

use serde_json::{Value, json};

use super::site::{KIND, issue, points, site, sprints};

const MEMBERSHIPS: &str = "SELECT s.external_id AS sprint, m.added_date::date::text AS added, m.removed_date::date::text AS removed, m.estimate_at_start AS estimate,
        b.external_id AS before, a.external_id AS after
    FROM work_items_sprints m JOIN sprints s ON s.id = m.sprint_id
    LEFT JOIN sprints b ON b.id = m.carried_over_from_sprint_id LEFT JOIN sprints a ON a.id = m.carried_over_to_sprint_id
    ORDER BY 1";

fn sprint(id: u32, start: Option<&str>) -> Value {
    let mut sprint = json!({"id": id, "name": format!("Sprint {id}"), "state": "closed", "boardId": 4});
    if let Some(start) = start {
        sprint["startDate"] = json!(start);
    }
    sprint
}

#[tokio::test]
async fn the_latest_membership_and_the_estimate_at_the_start_are_kept() {
    let site = site().await;
    // Sprints 10 and 11 are known from another issue.
    let other = issue(
        "1",
        "2024-01-01T00:00:00Z",
        &json!({"customfield_10021": [sprint(10, None), sprint(11, Some("2024-01-04T00:00:00Z"))]}),
        &[],
    );
    site.transform_cleanly(KIND, &json!({"issue": other})).await;
    site.execute("DELETE FROM work_items_sprints").await;

    let histories = [
        points("1", "2024-01-02T00:00:00Z", None, Some("1")),
        points("2", "2024-01-03T00:00:00Z", Some("1"), Some("2.0")),
        sprints("3", "2024-01-03T00:00:00Z", "", "11"),
        sprints("4", "2024-01-05T00:00:00Z", "11", ""),
        sprints("5", "2024-01-06T00:00:00Z", "", "11"),
        points("6", "2024-01-06T00:00:00Z", Some("2.0"), Some("3")),
        sprints("7", "2024-01-07T00:00:00Z", "11", "10, 404, 12, 13"),
    ];
    let fields = json!({"customfield_10024": 3, "customfield_10021": [sprint(12, Some("2024-01-02T12:00:00Z")), sprint(13, Some("2024-02-01T00:00:00Z"))]});
    let document = json!({"issue": issue("100", "2024-01-08T00:00:00Z", &fields, &histories)});
    site.transform_cleanly(KIND, &document).await;
    let expected = [
        json!({"sprint": "10", "added": "2024-01-07", "removed": null, "estimate": null, "before": null, "after": null}),
        json!({"sprint": "11", "added": "2024-01-06", "removed": "2024-01-07", "estimate": 2, "before": null, "after": null}),
        json!({"sprint": "12", "added": "2024-01-07", "removed": null, "estimate": 1, "before": null, "after": "13"}),
        json!({"sprint": "13", "added": "2024-01-07", "removed": null, "estimate": 3, "before": "12", "after": null}),
    ];
    assert_eq!(site.rows(MEMBERSHIPS).await, expected);

    // Older news, and news that tells nothing of sprints and estimates, leave what is known.
    let fields = json!({"customfield_10024": 8, "customfield_10021": [sprint(12, Some("2024-01-02T12:00:00Z")), sprint(13, Some("2024-02-01T00:00:00Z"))]});
    let older = issue("100", "2024-01-07T00:00:00Z", &json!({"customfield_10024": 8}), &histories[..4]);
    let newer = issue("100", "2024-01-09T00:00:00Z", &fields, &[]);
    site.transform_cleanly(KIND, &json!({"issue": older})).await;
    site.transform_cleanly(KIND, &json!({"issue": newer})).await;
    assert_eq!(site.rows(MEMBERSHIPS).await, expected);

    // What the history does not date begins with the sprint, else with the issue.
    let undated = issue(
        "200",
        "2024-01-09T00:00:00Z",
        &json!({"customfield_10024": 5, "customfield_10021": [sprint(10, None), sprint(12, None)]}),
        &[],
    );
    site.execute("DELETE FROM work_items_sprints").await;
    site.transform_cleanly(KIND, &json!({"issue": undated})).await;
    assert_eq!(
        site.rows(MEMBERSHIPS).await,
        [
            json!({"sprint": "10", "added": "2024-01-01", "removed": null, "estimate": null, "before": null, "after": null}),
            json!({"sprint": "12", "added": "2024-01-02", "removed": null, "estimate": 5, "before": null, "after": null}),
        ]
    );
}

#[tokio::test]
async fn a_membership_that_nothing_dates_is_a_warning_until_something_does() {
    let site = site().await;
    let mut document = json!({"issue": issue("100", "2024-01-09T00:00:00Z", &json!({"customfield_10021": ["com.atlassian.Sprint@1[id=3]", sprint(10, None)]}), &[])});
    document["issue"]["fields"].as_object_mut().unwrap().remove("created");
    let row = site.transform(KIND, &document).await;
    let warnings = json!({"warnings": [{"reason": "sprint_unreadable", "count": 1, "ids": ["100"]},
        {"reason": "undated_membership", "count": 1, "ids": ["10/100"]}]});
    assert_eq!((row.status.as_str(), row.error_details), ("completed", Some(warnings)));
    assert!(site.rows(MEMBERSHIPS).await.is_empty());
    document["issue"]["fields"]["created"] = json!("2024-01-05");
    document["issue"]["fields"]["customfield_10021"] = json!([sprint(10, None)]);
    site.transform_cleanly(KIND, &document).await;
    assert_eq!(site.rows(MEMBERSHIPS).await[0]["added"], "2024-01-05");
}

#[tokio::test]
async fn a_sprint_that_changes_within_a_batch_counts_for_each_issue_as_it_was() {
    let document = |id: &str, start: Option<&str>| json!({"issue": issue(id, "2024-01-09T00:00:00Z", &json!({"customfield_10024": 5, "customfield_10021": [sprint(10, start)]}), &[])});
    let (mut results, start) = (Vec::new(), Some("2024-01-03T00:00:00Z"));
    for batch in [1, 50] {
        let site = site().await;
        for (id, start) in [("1", None), ("2", start), ("3", start)] {
            site.add(KIND, &document(id, start)).await;
        }
        site.serve(batch).await;
        results.push(site.rows(MEMBERSHIPS).await);
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0].iter().filter(|row| row["estimate"].is_null()).count(), 1);
}
