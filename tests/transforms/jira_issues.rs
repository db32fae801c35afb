//! Issues with their histories and sprints.

#[path = "jira_issues/any_order.rs"]
mod any_order;
#[path = "jira_issues/histories.rs"]
mod histories;
#[path = "jira_issues/memberships.rs"]
mod memberships;
#[path = "jira_issues/site.rs"]
mod site;

use serde_json::{Value, json};

use site::{KIND, change, issue, site};

#[tokio::test]
async fn an_issue_becomes_rows_and_a_second_message_changes_none() {
    let site = site().await;
    let fields = json!({
        "project": {"id": "10000", "key": "BEN"}, "issuetype": {"id": "1"}, "status": {"id": "5"},
        "created": "2024-01-01T10:00:00.000+0000", "updated": "2024-01-09T08:00:00.000-0330", "summary": "'); DROP TABLE x; \u{1f600}",
        "description": {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Why"}]}]},
        "priority": {"name": "High"}, "resolution": null, "assignee": {"displayName": "Ann"}, "labels": ["b", "a"],
        "parent": {"id": "77", "key": "BEN-7"}, "customfield_10001": {"name": "Red"}, "customfield_10024": 3.5,
        "customfield_10000": "{pullrequest={state=MERGED}, json={}}", "customfield_20001": {"value": "A", "child": {"value": "B"}},
        "customfield_10021": [{"id": 9, "name": "Sprint 9", "state": "ACTIVE", "boardId": 4, "goal": "g", "startDate": "2024-01-02T00:00:00.000Z"}],
    });
    let document = json!({"issue": {"id": "100", "key": "BEN-1", "fields": fields, "changelog": {"total": 2, "histories": [
        change("502", "2024-01-05T10:00:00.500+0000", "3", "5"), change("501", "2024-01-03T10:00:00.000+0000", "1", "3")]}}});
    site.transform_cleanly(KIND, &document).await;

    let tables = site.tables().await;
    let item = &tables["work_items"][0];
    let expected = json!({
        "external_id": "100", "key": "BEN-1", "project_id": "10000", "wit_id": "1", "status_id": "5", "team": "Red",
        "summary": "'); DROP TABLE x; \u{1f600}", "description": "Why", "story_points": 3.5, "resolution": null,
        "assignee": "Ann", "labels": "b,a", "priority": "High", "parent_external_id": "77", "development": true,
        "created": "2024-01-01T10:00:00+00:00", "updated": "2024-01-09T11:30:00+00:00", "custom_field_01": "A / B",
        "custom_field_20": null, "total_work_starts": 1, "total_completions": 1, "total_backlog_returns": 0,
        "work_first_started_at": "2024-01-03T10:00:00+00:00", "work_last_completed_at": "2024-01-05T10:00:00.5+00:00",
        "work_first_committed_at": null, "total_work_time_seconds": 172_800.5, "total_review_time_seconds": 0,
        "total_cycle_time_seconds": 172_800.5, "total_lead_time_seconds": null, "workflow_complexity_score": 0,
        "rework_indicator": false, "direct_completion": false, "acceptance_criteria": null, "code_changed": null,
    });
    for (column, expected) in expected.as_object().unwrap() {
        assert_eq!(&item[column], expected, "{column}");
    }
    let changes: Vec<Value> = site.rows("SELECT external_id, transition_start_date AS start, time_in_status_seconds AS seconds, changed_by FROM changelogs ORDER BY 1").await;
    assert_eq!(
        changes,
        [
            json!({"external_id": "501", "start": "2024-01-01T10:00:00+00:00", "seconds": 172_800, "changed_by": "Bob"}),
            json!({"external_id": "502", "start": "2024-01-03T10:00:00+00:00", "seconds": 172_800.5, "changed_by": "Bob"}),
        ]
    );
    let sprint = &tables["sprints"][0];
    assert_eq!(
        (&sprint["state"], &sprint["board_id"], &sprint["end_date"]),
        (&json!("active"), &json!(4), &json!(null))
    );
    let membership = &tables["work_items_sprints"][0];
    assert_eq!(
        (&membership["added_date"], &membership["estimate_at_start"]),
        (&json!("2024-01-02T00:00:00+00:00"), &json!(3.5))
    );

    let stamps = "SELECT 'w', id, last_updated_at FROM work_items UNION ALL SELECT 'c', id, last_updated_at FROM changelogs
        UNION ALL SELECT 's', id, last_updated_at FROM sprints UNION ALL SELECT 'm', id, last_updated_at FROM work_items_sprints ORDER BY 1, 2";
    let before = site.rows(stamps).await;
    site.transform_cleanly(KIND, &document).await;
    assert_eq!(site.rows(stamps).await, before);
}

#[tokio::test]
async fn older_news_changes_no_column_and_a_move_changes_key_and_project() {
    let site = site().await;
    let old = issue(
        "100",
        "2024-01-02T00:00:00Z",
        &json!({"summary": "old", "assignee": {"displayName": "Ann"}}),
        &[change("1", "2024-01-02T00:00:00Z", "1", "3")],
    );
    let mut new = issue(
        "100",
        "2024-01-05T00:00:00Z",
        &json!({"summary": "new", "assignee": null, "project": {"id": "10001"}, "created": "2020-01-01"}),
        &[],
    );
    new["key"] = json!("MOVED-1");
    site.transform_cleanly(KIND, &json!({"issues": [old]})).await;
    site.transform_cleanly(KIND, &json!({"issues": [new]})).await;
    let late = issue(
        "100",
        "2024-01-03T00:00:00Z",
        &json!({"summary": "late"}),
        &[change("2", "2024-01-03T00:00:00Z", "3", "5")],
    );
    site.transform_cleanly(KIND, &json!({"issues": [late]})).await;
    let tables = site.tables().await;
    let item = &tables["work_items"][0];
    for (column, expected) in [
        ("key", json!("MOVED-1")),
        ("summary", json!("new")),
        ("assignee", json!(null)),
        ("project_id", json!("10001")),
        ("wit_id", json!("1")),
        ("created", json!("2024-01-01T00:00:00+00:00")),
        ("total_completions", json!(1)),
        ("total_work_time_seconds", json!(86_400)),
    ] {
        assert_eq!(item[column], expected, "{column}");
    }
    assert_eq!((tables["work_items"].len(), tables["changelogs"].len()), (1, 2));
}

#[tokio::test]
async fn what_is_not_known_yet_is_a_warning_and_is_filled_later() {
    let site = site().await;
    let document = json!({"issue": issue("100", "2024-01-05T00:00:00Z", &json!({"project": {"id": "5"}, "issuetype": {"id": "6"}, "status": {"id": "70"}}), &[
        change("1", "2024-01-02T00:00:00Z", "1", "71"), change("2", "2024-01-04T00:00:00Z", "71", "70")])});
    let row = site.transform(KIND, &document).await;
    let warnings = json!({"warnings": [{"reason": "unresolved_project", "count": 1, "ids": ["5"]},
        {"reason": "unresolved_status", "count": 2, "ids": ["70", "71"]}, {"reason": "unresolved_type", "count": 1, "ids": ["6"]}]});
    assert_eq!((row.status.as_str(), row.error_details), ("completed", Some(warnings)));
    let metrics = "SELECT project_id IS NULL AND wit_id IS NULL AND status_id IS NULL AS unknown, total_work_starts AS starts, total_completions AS done,
        total_work_time_seconds AS worked, work_first_started_at IS NULL AS never FROM work_items";
    assert_eq!(
        site.rows(metrics).await,
        [json!({"unknown": true, "starts": 0, "done": 0, "worked": 0, "never": true})]
    );

    site.execute(
        "INSERT INTO statuses (tenant_id, integration_id, external_id, original_name, category) VALUES
        (1, 10, '70', 'Fini', 'DONE'), (1, 10, '71', 'Faire', 'in Progress');
        INSERT INTO projects (tenant_id, integration_id, external_id, key, name) VALUES (1, 10, '5', 'P', 'P');
        INSERT INTO wits (tenant_id, integration_id, external_id, original_name) VALUES (1, 10, '6', 'T')",
    )
    .await;
    site.transform_cleanly(KIND, &document).await;
    assert_eq!(
        site.rows(metrics).await,
        [json!({"unknown": false, "starts": 1, "done": 1, "worked": 172_800, "never": false})]
    );
}
