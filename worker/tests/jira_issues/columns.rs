//! The columns of an issue.

use serde_json::{Value, json};
use transform_worker::job::{
    Context,
    reading::moment,
    references::Target,
    registry,
    rows::{Given, Number, WorkItem},
};

use super::{key, scope, warnings, with_fields};

#[allow(clippy::unnecessary_wraps, reason = "what a document gives is of this type")]
fn text(text: &str) -> Given<String> {
    Some(Some(text.to_owned()))
}

#[test]
fn every_column_is_read() {
    let (issue, result) = with_fields(&json!({
        "project": {"id": "10", "key": "BEN"}, "issuetype": {"id": 11}, "status": {"id": "12"}, "summary": "S", "description": "D\n ",
        "resolution": {"name": "Fixed"}, "assignee": {"displayName": "Ann", "name": "ann"}, "priority": {"name": "High"},
        "labels": ["b", "a"], "parent": {"id": "9007199254740993", "key": "BEN-9"},
        "created": "2024-01-15T10:30:00.000+0000", "updated": "2024-01-15T07:00:00.123456-0330",
        "customfield_10001": {"name": "Red"}, "customfield_10024": 3, "customfield_10000": "{pullrequest={}}",
        "customfield_1": "one", "customfield_20": 20.0, "customfield_3": "not mapped"}));
    let mut expected = WorkItem {
        key: "BEN-1".to_owned(),
        project: text("10"),
        wit: text("11"),
        status: text("12"),
        team: text("Red"),
        summary: text("S"),
        description: text("D\n "),
        story_points: Some(Number::parse("3")),
        resolution: text("Fixed"),
        assignee: text("Ann"),
        labels: text("b,a"),
        priority: text("High"),
        parent_external_id: text("9007199254740993"),
        created: moment("2024-01-15T10:30:00Z"),
        updated: Some(moment("2024-01-15T10:30:00.123456Z")),
        development: Some(true),
        ..WorkItem::default()
    };
    (expected.custom[0], expected.custom[19]) = (text("one"), text("20"));
    assert_eq!(issue.item, expected);
    assert!(warnings(&result).is_empty());
    let wanted: Vec<_> = result.references.wanted().cloned().collect();
    assert_eq!(wanted, [(Target::Project, key("10")), (Target::Wit, key("11")), (Target::Status, key("12"))]);
}

#[test]
fn an_absent_key_says_nothing_and_null_clears() {
    let nothing = WorkItem { key: "BEN-1".to_owned(), ..WorkItem::default() };
    for fields in [json!({}), json!(null), json!("x"), json!([1])] {
        assert_eq!(with_fields(&fields).0.item, nothing, "{fields}");
    }
    let names = [
        "project",
        "issuetype",
        "status",
        "summary",
        "description",
        "resolution",
        "assignee",
        "priority",
        "labels",
        "parent",
        "updated",
        "customfield_10001",
        "customfield_10024",
        "customfield_1",
        "customfield_20",
    ];
    let nulls: Value = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    let (issue, result) = with_fields(&nulls);
    let (cleared, mut expected) = (Some(None), nothing.clone());
    expected = WorkItem {
        project: cleared.clone(),
        wit: cleared.clone(),
        status: cleared.clone(),
        team: cleared.clone(),
        summary: cleared.clone(),
        description: cleared.clone(),
        story_points: Some(None),
        resolution: cleared.clone(),
        assignee: cleared.clone(),
        labels: cleared.clone(),
        priority: cleared.clone(),
        parent_external_id: cleared.clone(),
        updated: Some(None),
        ..expected
    };
    (expected.custom[0], expected.custom[19]) = (cleared.clone(), cleared);
    assert_eq!(issue.item, expected);
    assert!(warnings(&result).is_empty() && result.references.optional.is_empty());

    let (issue, _) =
        with_fields(&json!({"assignee": {"displayName": null}, "priority": {}, "labels": [], "parent": {"id": null}}));
    let item = issue.item;
    assert_eq!(
        (item.assignee, item.priority, item.labels, item.parent_external_id),
        (Some(None), Some(None), Some(None), Some(None))
    );
}

#[test]
fn unreadable_dates_and_numbers_are_null_with_a_warning() {
    let (issue, result) = with_fields(&json!({"created": "garbage", "updated": 5, "customfield_10024": {"a": 1}}));
    assert_eq!((issue.item.created, issue.item.updated, issue.item.story_points), (None, Some(None), Some(None)));
    assert_eq!(warnings(&result), [("bad_date".to_owned(), 2), ("bad_number".to_owned(), 1)]);
    for (value, expected) in [(json!("3.5"), Some("3.5")), (json!(-1e2), Some("-100")), (json!(" 8 "), Some("8"))] {
        assert_eq!(
            with_fields(&json!({"customfield_10024": value})).0.item.story_points,
            Some(expected.and_then(Number::parse)),
            "{value}"
        );
    }
    for value in [json!("inf"), json!("NaN"), json!("x"), json!(""), json!(true), json!([5]), json!("1e999")] {
        let (issue, result) = with_fields(&json!({ "customfield_10024": value }));
        assert_eq!(
            (issue.item.story_points, warnings(&result)),
            (Some(None), vec![("bad_number".to_owned(), 1)]),
            "{value}"
        );
    }
}

#[test]
fn development_is_true_when_there_is_something() {
    for (value, expected) in [
        (json!(null), false),
        (json!(""), false),
        (json!("  "), false),
        (json!("{}"), false),
        (json!(" [] "), false),
        (json!("\"\""), false),
        (json!({}), false),
        (json!([]), false),
        (json!("{pullrequest={dataType=pullrequest, state=OPEN}}"), true),
        (json!({"a": 1}), true),
        (json!([null]), true),
        (json!(0), true),
    ] {
        assert_eq!(with_fields(&json!({"customfield_10000": value})).0.item.development, Some(expected), "{value}");
    }
    assert_eq!(with_fields(&json!({})).0.item.development, None);
}

#[test]
fn a_team_is_named_by_its_name_or_its_value() {
    for (value, expected) in [
        (json!("Red"), Some("Red")),
        (json!({"id": "1", "name": "Red", "value": "x"}), Some("Red")),
        (json!({"name": null, "value": "Red"}), Some("Red")),
        (json!({"id": "1"}), None),
        (json!(null), None),
        (json!(5), None),
    ] {
        assert_eq!(
            with_fields(&json!({"customfield_10001": value})).0.item.team,
            Some(expected.map(str::to_owned)),
            "{value}"
        );
    }
}

#[test]
fn without_a_mapping_its_columns_are_left_alone() {
    let document = json!({"issue": {"id": "1", "key": "K", "fields": {"customfield_10001": "Red", "customfield_1": "x", "customfield_10000": "y",
        "customfield_10024": "bad", "customfield_10021": [{"id": 1, "name": "n", "state": "s"}]}}});
    let transform = registry::find("jira_issues_with_changelogs").unwrap().transform;
    let result = transform(&document.to_string(), &Context::from(scope())).unwrap();
    assert_eq!(result.rows.issues.issues[&key("1")].item, WorkItem { key: "K".to_owned(), ..WorkItem::default() });
    assert!(result.rows.issues.sprints.is_empty() && warnings(&result).is_empty());
}

#[test]
fn values_are_kept_as_they_are() {
    let nasty = "'); DROP TABLE work_items; -- \" \\ \u{7} \u{1f600} \u{202e}";
    let long = "x".repeat(1_000_000);
    let (issue, _) = with_fields(
        &json!({"summary": nasty, "description": long, "customfield_1": nasty, "labels": [nasty, "", null, 3]}),
    );
    assert_eq!(
        (issue.item.summary, issue.item.custom[0].clone(), issue.item.labels),
        (text(nasty), text(nasty), text(nasty))
    );
    assert_eq!(issue.item.description, text(&long));
}
