//! The history of an issue.

use serde_json::{Value, json};
use transform_worker::job::{
    reading::moment,
    references::Target,
    registry::Transformed,
    rows::{Coverage, Issue},
};

use super::{key, transform, warnings};

fn with_changelog(changelog: &Value) -> (Issue, Transformed) {
    let result = transform(
        &json!({"issue": {"id": "1", "key": "BEN-1", "fields": {"created": "2024-01-01"}, "changelog": changelog}}),
    );
    (result.rows.issues.issues[&key("1")].clone(), result)
}

fn status(id: &str, at: &str, from: &str, to: &str) -> Value {
    json!({"id": id, "created": at, "author": {"displayName": "Ann"}, "items": [{"field": "status", "from": from, "to": to}]})
}

#[test]
fn only_changes_of_status_are_rows_and_each_starts_with_the_one_before() {
    let (issue, result) = with_changelog(&json!({"total": 4, "histories": [
        {"id": 13, "created": "2024-01-05", "author": null, "items": [
            {"field": "assignee", "from": null, "to": "x"}, {"field": "status", "from": "2", "to": "3"}, {"field": "status", "from": "7", "to": "8"}]},
        {"id": "12", "created": "2024-01-04", "items": [{"field": "labels", "from": "", "to": "x"}]},
        status("11", "2024-01-03T00:00:00.000+0000", "1", "2"),
        {"id": "10", "created": "2024-01-01T12:00:00Z", "items": []}]}));
    let rows: Vec<_> = issue
        .changes
        .iter()
        .map(|(id, row)| (id.as_str(), row.from.as_deref(), row.to.as_deref(), row.start, row.seconds()))
        .collect();
    assert_eq!(
        rows,
        [
            ("11", Some("1"), Some("2"), moment("2024-01-01"), Some(172_800.0)),
            ("13", Some("2"), Some("3"), moment("2024-01-03"), Some(172_800.0))
        ]
    );
    assert_eq!(
        (issue.changes["11"].changed_by.clone(), issue.changes["13"].changed_by.clone()),
        (Some(Some("Ann".to_owned())), Some(None))
    );
    assert_eq!(issue.coverage, Some(Coverage { oldest: moment("2024-01-01T12:00:00Z").unwrap(), truncated: false }));
    let wanted: Vec<_> = result.references.wanted().cloned().collect();
    assert_eq!(wanted, ["1", "2", "3"].map(|id| (Target::Status, key(id))));
    assert!(warnings(&result).is_empty());
}

#[test]
fn within_one_second_the_numbers_decide_as_numbers() {
    let (issue, _) = with_changelog(
        &json!({"histories": [status("10", "2024-01-03", "2", "3"), status("9", "2024-01-03", "1", "2")]}),
    );
    assert_eq!((issue.changes["9"].start, issue.changes["10"].start), (moment("2024-01-01"), moment("2024-01-03")));
    assert_eq!(issue.changes["10"].seconds(), Some(0.0));
}

#[test]
fn a_change_before_the_beginning_took_no_time() {
    let (issue, _) = with_changelog(&json!({"histories": [status("9", "2023-12-31", "1", "2")]}));
    assert_eq!(issue.changes["9"].seconds(), Some(0.0));
}

#[test]
fn a_truncated_history_does_not_know_its_beginning() {
    let histories: Vec<Value> = (211..=250)
        .rev()
        .map(|n| status(&n.to_string(), &format!("2024-02-01T00:00:{:02}Z", n - 211), "1", "2"))
        .collect();
    let (issue, result) =
        with_changelog(&json!({"startAt": 0, "maxResults": 40, "total": 250, "histories": histories}));
    assert_eq!(warnings(&result), [("changelog_truncated".to_owned(), 1)]);
    assert_eq!((issue.changes.len(), issue.changes["211"].start, issue.changes["211"].seconds()), (40, None, None));
    assert_eq!(issue.changes["212"].seconds(), Some(1.0));
    assert!(issue.coverage.unwrap().truncated);
}

#[test]
fn what_cannot_be_used_costs_only_itself() {
    let (issue, result) = with_changelog(&json!({"total": "many", "histories": [
        null, "x", {"created": "2024-01-02", "items": [{"field": "status"}]}, status("5", "garbage", "1", "2"),
        {"id": "6", "items": [{"field": "status"}]}, {"id": "7", "created": "2024-01-02", "items": {"field": "status"}},
        {"id": "8", "created": "2024-01-02", "author": "x", "items": [null, 3, {"field": 5}, {"field": "status", "from": null, "to": {"id": 1}}]}]}));
    assert_eq!(issue.changes.keys().collect::<Vec<_>>(), ["8"]);
    let row = &issue.changes["8"];
    assert_eq!((row.from.clone(), row.to.clone(), row.changed_by.clone()), (None, None, None));
    assert_eq!(warnings(&result), [("bad_date".to_owned(), 2), ("unusable_history".to_owned(), 3)]);
    for changelog in [json!(null), json!("x"), json!({}), json!({"histories": null}), json!({"histories": []})] {
        let (issue, result) = with_changelog(&changelog);
        assert!(issue.changes.is_empty() && issue.coverage.is_none() && warnings(&result).is_empty(), "{changelog}");
    }
    assert_eq!(warnings(&with_changelog(&json!({"histories": "x"})).1), [("unusable_history".to_owned(), 1)]);
}
