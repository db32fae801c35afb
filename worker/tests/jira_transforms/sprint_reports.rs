//! `jira_sprint_reports`: from documents to rows.

use serde_json::{Value, json};
use transform_worker::job::rows::{Estimate, Reported};

use crate::transforming::{empty_and_refused, key, lines, references, transform, warnings};

const KIND: &str = "jira_sprint_reports";

fn issue(key: &str, estimate: &Value) -> Value {
    json!({"id": 1, "key": key, "hidden": false, "typeName": "Story", "statusId": "10001",
        "estimateStatistic": {"statFieldId": "customfield_10024", "statFieldValue": {"value": estimate}},
        "currentEstimateStatistic": {"statFieldId": "customfield_10024", "statFieldValue": {"value": 99.0}}})
}

/// As Jira answers, shortened.
fn document() -> Value {
    json!({"board_id": 5, "sprint_id": 42, "sprint_report": {
        "sprint": {"id": 42, "sequence": 42, "name": "Sprint 7", "state": "CLOSED", "linkedPagesCount": 0, "goal": "ship",
            "startDate": "15/Jan/24 10:30 AM", "endDate": "garbage", "completeDate": "None",
            "isoStartDate": "2024-01-15T10:30:00+0100", "isoEndDate": "2024-01-29T10:30:00+0100", "isoCompleteDate": null},
        "contents": {
            "completedIssues": [issue("BEN-1", &json!(3.0)), issue("BEN-2", &json!(null))],
            "issuesNotCompletedInCurrentSprint": [issue("BEN-3", &json!(5)), issue("BEN-1", &json!(7))],
            "puntedIssues": [issue("BEN-4", &json!(1.5)), {"key": "BEN-5"}],
            "issuesCompletedInAnotherSprint": [issue("BEN-9", &json!(1))],
            "issueKeysAddedDuringSprint": {"BEN-3": true, "BEN-4": true, "BEN-1": false, "BEN-99": true},
            "completedIssuesEstimateSum": {"value": 3.0, "text": "3.0"},
            "issuesNotCompletedEstimateSum": {"value": 5.0, "text": "5.0"},
            "puntedIssuesEstimateSum": {"text": "null"},
            "allIssuesEstimateSum": {"value": 8.0, "text": "8.0"}}}})
}

#[test]
fn a_report_fills_its_columns_of_the_sprint_and_of_its_issues() {
    let result = transform(KIND, &document());
    let report = &result.rows.reports.reports[&key("42")];
    let sprint = report.sprint.as_ref().unwrap();
    assert_eq!(
        (sprint.name.as_str(), sprint.state.as_str(), sprint.goal.as_deref()),
        ("Sprint 7", "closed", Some("ship"))
    );
    assert_eq!(sprint.start_date.unwrap().to_rfc3339(), "2024-01-15T09:30:00+00:00");
    assert_eq!(sprint.complete_date, None);
    assert_eq!(report.completion_percentage().map(Estimate::get), Some(37.5));
    assert_eq!((report.carry_over_count(), report.scope_change_count), (1, 3));
    assert_eq!(report.punted_estimate, None);
    let rows = lines(&result);
    let seen: Vec<String> = (rows[1..].iter())
        .map(|row| {
            let of = |name: &str| row[name].to_string().replace('"', "");
            format!(
                "{} {} {} {}",
                of("issue_key"),
                of("sprint_outcome"),
                of("added_during_sprint"),
                of("estimate_at_end")
            )
        })
        .collect();
    let expected = [
        "BEN-1 completed false 3.0",
        "BEN-2 completed false null",
        "BEN-3 not_completed true 5.0",
        "BEN-4 punted true 1.5",
        "BEN-5 punted false null",
    ];
    assert_eq!(seen, expected);
    let committed: Vec<bool> = report.issues.values().map(Reported::is_committed).collect();
    assert_eq!(committed, [true, true, false, false, false]);
    let mut expected = vec![("SprintOnBoard 42/5".to_owned(), "other_board")];
    expected.extend((1..=5).map(|n| (format!("WorkItemByKey BEN-{n}"), "unresolved_issue")));
    assert_eq!(references(&result), expected);
    assert!(result.references.parents.is_empty(), "the report can store the sprint itself");
    assert_eq!(warnings(&result), json!(null));
}

#[test]
fn a_report_without_name_or_state_waits_for_its_sprint() {
    for sprint in [json!(null), json!({}), json!({"name": "S"}), json!({"state": "closed", "name": ""}), json!("x")] {
        let mut document = document();
        document["sprint_report"]["sprint"] = sprint;
        document["board_id"] = json!(null);
        let result = transform(KIND, &document);
        assert_eq!(result.references.parents[0].any_of[0].1, key("42"));
        assert!(result.rows.reports.reports[&key("42")].sprint.is_none());
        assert_eq!(result.references.optional.len(), 5, "no board, no question about it");
    }
}

#[test]
fn sums_that_are_missing_or_nothing_are_null_and_so_is_what_is_made_of_them() {
    for (completed, total, percentage) in [
        (json!({"value": 4}), json!({"value": 8}), Some(50.0)),
        (json!({"value": "4.0"}), json!({"value": 16}), Some(25.0)),
        (json!({"value": 0}), json!({"value": 8}), Some(0.0)),
        (json!({"value": 4}), json!({"value": 0}), None),
        (json!({"value": 0}), json!({"value": 0.0}), None),
        (json!({"value": 4}), json!({}), None),
        (json!(null), json!({"value": 4}), None),
        (json!({"value": 4}), json!([]), None),
    ] {
        let contents = json!({"completedIssuesEstimateSum": completed, "allIssuesEstimateSum": total});
        let document = json!({"sprint_id": 1, "sprint_report": {"contents": contents}});
        let result = transform(KIND, &document);
        let report = &result.rows.reports.reports[&key("1")];
        assert_eq!(report.completion_percentage().map(Estimate::get), percentage, "{contents}");
        assert_eq!((report.carry_over_count(), report.scope_change_count, warnings(&result)), (0, 0, json!(null)));
    }
    for number in [json!("many"), json!(true), json!("inf"), json!([1])] {
        let contents = json!({"completedIssuesEstimateSum": {"value": number}});
        let result =
            transform(KIND, &json!({"board_id": "b", "sprint_id": 1, "sprint_report": {"contents": contents}}));
        assert_eq!(result.rows.reports.reports[&key("1")].completed_estimate, None);
        assert_eq!(warnings(&result), json!([{"reason": "bad_number", "count": 2, "ids": ["1", "1"]}]), "{number}");
    }
}

#[test]
fn the_sprint_itself_names_it_where_the_document_does_not() {
    let mut document = document();
    document["sprint_id"] = json!(null);
    assert_eq!(transform(KIND, &document).rows, transform(KIND, &self::document()).rows);
    document["sprint_report"]["contents"]["completedIssues"] = json!([null, {"key": 3}, {"key": "BEN-7"}]);
    let result = transform(KIND, &document);
    assert_eq!(warnings(&result), json!([{"reason": "unusable_issue", "count": 2, "ids": []}]));
}

#[test]
fn empty_documents_are_done_and_others_refused() {
    let empty = [
        r#"{"board_id":1,"sprint_id":2,"sprint_report":{}}"#,
        r#"{"board_id":1,"sprint_id":2,"sprint_report":null}"#,
        r#"{"sprint_id":2,"sprint_report":{"sprint":{"id":2},"contents":null}}"#,
        r#"{"sprint_id":2,"sprint_report":{"sprint":{"id":2},"contents":{}}}"#,
    ];
    let refused = [
        r#"{"sprint_id":"SECRET"}"#,
        r#"{"sprint_id":1,"sprint_report":"SECRET"}"#,
        r#"{"sprint_id":1,"sprint_report":{"contents":"SECRET"}}"#,
        r#"{"sprint_report":{"contents":{"completedIssues":[]}}}"#,
        r#"{"sprint_id":1,"sprint_report":{"contents":{"completedIssues":["SECRET",{"key":null}]}}}"#,
    ];
    empty_and_refused(KIND, &empty, &refused);
}

#[test]
fn two_reports_of_one_sprint_share_a_batch_only_where_they_say_the_same() {
    let one = transform(KIND, &document()).rows;
    let mut other = document();
    other["board_id"] = json!(6);
    assert!(one.clashes_with(&transform(KIND, &other).rows));
    other["sprint_id"] = json!(43);
    assert!(!one.clashes_with(&transform(KIND, &other).rows));
    assert!(!one.clashes_with(&one.clone()));
}
