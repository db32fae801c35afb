//! `jira_issues_with_changelogs`: from documents to rows.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

#[path = "jira_issues/columns.rs"]
mod columns;
#[path = "jira_issues/histories.rs"]
mod histories;
#[path = "jira_issues/sprints.rs"]
mod sprints;
#[path = "jira_issues/texts.rs"]
mod texts;

use serde_json::{Value, json};
use transform_worker::job::{
    Context, FieldMapping, Scope, registry,
    registry::{PayloadShape, Transformed},
    rows::{Issue, Key},
};

fn scope() -> Scope {
    Scope { tenant: 7.try_into().unwrap(), integration: 3 }
}

fn mapping() -> FieldMapping {
    let field = |n: u32| Some(format!("customfield_{n}"));
    let mut custom: [Option<String>; 20] = Default::default();
    (custom[0], custom[19]) = (field(1), field(20));
    FieldMapping {
        team: field(10001),
        sprints: field(10021),
        development: field(10000),
        story_points: field(10024),
        custom,
    }
}

fn transform_text(document: &str) -> Result<Transformed, PayloadShape> {
    let mapping = mapping();
    let context = Context { scope: scope(), mapping: Some(&mapping) };
    (registry::find("jira_issues_with_changelogs").unwrap().transform)(document, &context)
}

fn transform(document: &Value) -> Transformed {
    transform_text(&document.to_string()).unwrap()
}

fn key(id: &str) -> Key {
    Key { scope: scope(), external_id: id.to_owned() }
}

fn warnings(result: &Transformed) -> Vec<(String, u64)> {
    let Some(text) = result.warnings.to_json() else { return Vec::new() };
    let value: Value = serde_json::from_str(&text).unwrap();
    let lines = value["warnings"].as_array().unwrap().iter();
    lines.map(|line| (line["reason"].as_str().unwrap().to_owned(), line["count"].as_u64().unwrap())).collect()
}

/// Issue 1 with these fields.
fn with_fields(fields: &Value) -> (Issue, Transformed) {
    let result = transform(&json!({"issue": {"id": "1", "key": "BEN-1", "fields": fields}}));
    (result.rows.issues.issues[&key("1")].clone(), result)
}

#[test]
fn an_empty_document_is_done_with_no_rows() {
    for document in ["null", "{}", "[]", r#"{"issues":[]}"#, r#"{"issues":null,"total":0}"#, r#"{"issue":null}"#] {
        assert_eq!(transform_text(document), Ok(Transformed::default()), "{document}");
    }
}

#[test]
fn another_shape_is_refused_without_quoting_the_document() {
    let deep = format!(r#"{{"issue":{{"id":"1","key":"K","x":{}{}}}}}"#, "[".repeat(127), "]".repeat(127));
    for document in [
        "5",
        "\"SECRET\"",
        r#"[{"id":"1","key":"SECRET"}]"#,
        r#"{"values":["SECRET"]}"#,
        r#"{"issues":{"id":"1","key":"SECRET"}}"#,
        r#"{"issues":["SECRET",null,3]}"#,
        r#"{"issues":[{"id":"SECRET"},{"key":"SECRET-1"}]}"#,
        r#"{"issue":"SECRET"}"#,
        r#"{"issue":{}}"#,
        &deep,
    ] {
        let refused = transform_text(document).unwrap_err().to_string();
        assert!(!refused.contains("SECRET"), "{refused}");
    }
}

#[test]
fn one_usable_issue_is_enough_and_the_others_are_warnings() {
    let result = transform(&json!({"issues": [null, "x", {"id": "2"}, {"id": 3, "key": "BEN-3"}, {"key": "BEN-4"}]}));
    assert_eq!(result.rows.issues.issues.keys().map(|key| key.external_id.as_str()).collect::<Vec<_>>(), ["3"]);
    assert_eq!(warnings(&result), [("unusable_issue".to_owned(), 4)]);
}

#[test]
fn rows_are_printed_in_the_order_in_which_they_are_written() {
    let result = transform(&json!({"issue": {"id": "1", "key": "BEN-1",
        "fields": {"summary": "s", "customfield_20": null, "customfield_10021": [{"id": 9, "name": "S", "state": "active"}]},
        "changelog": {"histories": [{"id": "5", "created": "2024-01-01", "items": [{"field": "status", "from": "1", "to": "2"}]}]}}}));
    let lines: Vec<Value> = result.rows.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tables: Vec<&str> = lines.iter().map(|line| line["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["sprints", "work_items", "changelogs", "work_items_sprints"]);
    assert_eq!(
        (&lines[1]["summary"], &lines[2]["issue"], &lines[3]["sprint"]),
        (&json!("s"), &json!("1"), &json!("9"))
    );
    let mapped: Vec<&String> =
        lines[1].as_object().unwrap().keys().filter(|name| name.starts_with("custom_field")).collect();
    assert_eq!(mapped, ["custom_field_20"]);
    assert_eq!(lines.len(), result.rows.len());
}

#[test]
fn one_issue_twice_in_a_document_is_its_newest_version_with_all_its_history() {
    let version = |updated: &str, summary: &str, change: &str| {
        json!({"id": "1", "key": format!("{summary}-1"), "fields": {"summary": summary, "updated": updated},
        "changelog": {"histories": [{"id": change, "created": format!("2024-01-0{change}"), "items": [{"field": "status", "from": "1", "to": "3"}]}]}})
    };
    let (old, new) = (version("2024-01-01", "OLD", "4"), version("2024-01-02", "NEW", "5"));
    for issues in [json!([old, new]), json!([new, old])] {
        let result = transform(&json!({ "issues": issues }));
        let issue = &result.rows.issues.issues[&key("1")];
        assert_eq!((issue.item.key.as_str(), issue.changes.len()), ("NEW-1", 2));
        assert_eq!(issue.changes["5"].start, Some(issue.changes["4"].at));
    }
    let again = version("2024-01-02", "AGAIN", "5");
    let result = transform(&json!({ "issues": [new, again] }));
    assert_eq!(result.rows.issues.issues[&key("1")].item.key, "AGAIN-1", "of two equally new ones the later");
}
