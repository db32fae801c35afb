//! `jira_custom_fields`: from documents to rows.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use serde_json::{Value, json};
use transform_worker::job::{
    RowSet, Scope, registry,
    registry::{PayloadShape, Transformed},
    rows::Key,
};

#[path = "support/createmeta.rs"]
mod createmeta;

fn scope() -> Scope {
    Scope { tenant: 7.try_into().unwrap(), integration: 3 }
}

fn transform_text(document: &str) -> Result<Transformed, PayloadShape> {
    (registry::find("jira_custom_fields").unwrap().transform)(document, &scope().into())
}

fn transform(document: &Value) -> Transformed {
    transform_text(&document.to_string()).unwrap()
}

fn key(id: &str) -> Key {
    Key { scope: scope(), external_id: id.to_owned() }
}

fn warnings(result: &Transformed) -> Value {
    result.warnings.to_json().map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

/// One project "10000" with these types.
fn with_types(types: &Value) -> Value {
    json!({"projects": [{"id": "10000", "key": "BEN", "name": "Ben", "issuetypes": types}]})
}

/// One project with one type with these fields.
fn with_fields(fields: &Value) -> Value {
    with_types(&json!([{"id": "1", "name": "Bug", "fields": fields}]))
}

#[test]
fn every_table_gets_its_rows() {
    let result = transform(&json!({"expand": "projects", "projects": [
        {"id": "10000", "key": "BEN", "name": "Ben", "avatarUrls": {"48x48": "u"}, "issuetypes": [
            {"id": "1", "name": "Bug", "description": "broken", "subtask": false, "hierarchyLevel": 0, "fields": {
                "summary": {"name": "Summary", "schema": {"type": "string"}, "operations": ["set"]},
                "customfield_10024": {"name": "Story Points", "schema": {"type": "number", "customId": 10024}, "operations": ["set", "add"], "allowedValues": [{"id": 1}]}}},
            {"id": "2", "name": "Sub-task", "subtask": true, "hierarchyLevel": -1}]},
        {"id": "10001", "key": "X", "name": "Ex", "issuetypes": [{"id": "1", "name": "Bug"}]}]}));
    let rows = &result.rows;
    assert_eq!(
        (rows.projects.len(), rows.wits.len(), rows.projects_wits.len(), rows.custom_fields.len()),
        (2, 2, 3, 1)
    );
    assert_eq!((rows.projects[&key("10000")].key.as_str(), rows.projects[&key("10000")].name.as_str()), ("BEN", "Ben"));
    let bug = &rows.wits[&key("1")];
    assert_eq!((bug.original_name.as_str(), bug.hierarchy_level), ("Bug", Some(0)));
    assert_eq!(bug.description, Some(Some("broken".to_owned())));
    let subtask = &rows.wits[&key("2")];
    assert_eq!((subtask.description.clone(), subtask.hierarchy_level), (None, Some(-1)));
    let points = &rows.custom_fields[&key("customfield_10024")];
    assert_eq!((points.name.as_str(), points.field_type.as_deref()), ("Story Points", Some("number")));
    assert_eq!(points.operations.as_deref(), Some(r#"["set","add"]"#));
    assert_eq!(rows.custom_fields_mappings.iter().copied().collect::<Vec<_>>(), [scope()]);
    assert_eq!(warnings(&result), Value::Null);
}

#[test]
fn the_shape_of_the_newer_calls_gives_the_same_rows() {
    let fields = json!({"customfield_1": {"name": "A", "schema": {"type": "string"}, "operations": ["set"]}});
    let list = json!([{"fieldId": "customfield_1", "name": "A", "schema": {"type": "string"}, "operations": ["set"]},
        {"fieldId": "summary", "name": "Summary"}]);
    let keyed = json!([{"key": "customfield_1", "name": "A", "schema": {"type": "string"}, "operations": ["set"]}]);
    let document = |projects: &str, types: &str, fields: &Value| json!({projects: [{"id": "1", "key": "K", "name": "N", types: [{"id": "9", "name": "T", "fields": fields}]}]});
    let expected = transform(&document("projects", "issuetypes", &fields));
    assert_eq!(expected.rows.custom_fields.len(), 1);
    for (projects, types, fields) in [
        ("projects", "issueTypes", &list),
        ("values", "issueTypes", &list),
        ("values", "issuetypes", &keyed),
        ("values", "issueTypes", &fields),
    ] {
        assert_eq!(transform(&document(projects, types, fields)), expected, "{projects} {types} {fields}");
    }
}

#[test]
fn an_empty_document_is_done_with_no_rows() {
    for document in [
        "null",
        "{}",
        "[]",
        r#"{"projects":[]}"#,
        r#"{"projects":null}"#,
        r#"{"values":[]}"#,
        r#"{"values":null,"total":0}"#,
    ] {
        assert_eq!(transform_text(document), Ok(Transformed::default()), "{document}");
    }
}

#[test]
fn another_shape_is_refused_without_quoting_the_document() {
    let deep =
        format!(r#"{{"projects":[{{"id":"1","key":"K","name":"N","x":{}{}}}]}}"#, "[".repeat(127), "]".repeat(127));
    for document in [
        "5",
        "true",
        "\"SECRET\"",
        "[1]",
        r#"[{"projects":[]}]"#,
        r#"{"issues":["SECRET"]}"#,
        r#"{"projects":{"a":1}}"#,
        r#"{"projects":"SECRET"}"#,
        r#"{"projects":["SECRET",null,3]}"#,
        r#"{"projects":[{"id":"SECRET","name":"n"}]}"#,
        &deep,
    ] {
        let refused = transform_text(document).unwrap_err().to_string();
        assert!(!refused.contains("SECRET"), "{refused}");
    }
}

#[test]
fn one_usable_project_is_enough_and_the_others_are_warnings() {
    let result = transform(&json!({"projects": [
        null, "x", {"id": "5", "key": "", "name": "n", "issuetypes": [{"id": "77", "name": "T"}]}, {"id": "6", "key": "K"},
        {"id": 7, "key": "G", "name": "Good", "issuetypes": {"not": "a list"}}]}));
    assert_eq!(result.rows.projects.len(), 1);
    assert!(result.rows.projects.contains_key(&key("7")), "a number is an id");
    assert!(result.rows.wits.is_empty(), "what hangs on a skipped project is skipped too");
    let expected = json!([{"reason": "unusable_project", "count": 4, "ids": ["5", "6"]},
        {"reason": "unusable_type", "count": 1, "ids": []}]);
    assert_eq!(warnings(&result)["warnings"], expected);
}

#[test]
fn the_first_usable_occurrence_of_a_type_and_of_a_field_wins() {
    let result = transform(&json!({"projects": [
        {"id": "1", "key": "A", "name": "a", "issuetypes": [
            {"id": "9", "fields": {"customfield_1": {"name": "never read"}}},
            {"id": "8", "name": "Task", "fields": {"customfield_1": {"schema": {"type": "string"}}, "customfield_2": {"name": "first"}}}]},
        {"id": "2", "key": "B", "name": "b", "issuetypes": [
            {"id": "9", "name": "Bug", "description": null},
            {"id": "8", "name": "Aufgabe", "description": "later", "fields": {"customfield_1": {"name": "one"}, "customfield_2": {"name": "second"}}}]},
        {"id": "1", "key": "LATER", "name": "later", "issuetypes": [{"id": "9", "name": "Bug"}]}]}));
    let rows = &result.rows;
    assert_eq!(rows.projects[&key("1")].key, "A");
    assert_eq!((rows.wits[&key("8")].original_name.as_str(), rows.wits[&key("8")].description.clone()), ("Task", None));
    assert_eq!(rows.wits[&key("9")].description, Some(None), "an explicit null clears");
    assert_eq!((rows.wits.len(), rows.projects_wits.len()), (2, 4));
    assert_eq!(rows.custom_fields[&key("customfield_1")].name, "one");
    assert_eq!(rows.custom_fields[&key("customfield_2")].name, "first");
    assert_eq!(
        warnings(&result)["warnings"],
        json!([{"reason": "unusable_field", "count": 1, "ids": ["customfield_1"]},
            {"reason": "unusable_type", "count": 1, "ids": ["9"]}])
    );
}

#[test]
fn a_field_without_type_or_operations_leaves_those_columns_alone() {
    for field in [
        json!({"name": "A"}),
        json!({"name": "A", "schema": null, "operations": null}),
        json!({"name": "A", "schema": {"type": null}, "operations": "set"}),
        json!({"name": "A", "schema": [1], "operations": {}}),
    ] {
        let result = transform(&with_fields(&json!({"customfield_1": field})));
        let row = &result.rows.custom_fields[&key("customfield_1")];
        assert_eq!((row.field_type.clone(), row.operations.clone()), (None, None), "{field}");
    }
    let empty = transform(&with_fields(&json!({"customfield_1": {"name": "A", "operations": []}})));
    assert_eq!(empty.rows.custom_fields[&key("customfield_1")].operations.as_deref(), Some("[]"));
}

#[test]
fn a_document_without_custom_fields_makes_no_mapping() {
    for fields in
        [json!({"summary": {"name": "S"}}), json!([]), json!(null), json!("x"), json!([null, 3, {"name": "x"}])]
    {
        let result = transform(&with_fields(&fields));
        assert!(result.rows.custom_fields.is_empty() && result.rows.custom_fields_mappings.is_empty(), "{fields}");
    }
}

#[test]
fn values_are_kept_as_they_are() {
    let nasty = "'); DROP TABLE projects; -- \" \\ \u{7} \u{1f600} \u{202e}";
    let long = "x".repeat(1_000_000);
    let result = transform(&json!({"projects": [
        {"id": 9_007_199_254_740_993_u64, "key": nasty, "name": long, "issuetypes": [{"id": "1", "name": nasty, "description": nasty}]}]}));
    let project = &result.rows.projects[&key("9007199254740993")];
    assert_eq!((project.key.as_str(), project.name.len()), (nasty, 1_000_000));
    assert_eq!(result.rows.wits[&key("1")].description, Some(Some(nasty.to_owned())));
    for level in [json!(1.5), json!("1"), json!(99_999_999_999_i64), json!(null)] {
        let result = transform(&with_types(&json!([{"id": "1", "name": "Bug", "hierarchyLevel": level}])));
        assert_eq!(result.rows.wits[&key("1")].hierarchy_level, None, "{level}");
    }
}

#[test]
fn the_big_document_has_twelve_projects_eleven_types_and_eighty_six_pairs() {
    let document = createmeta::document(&createmeta::BIG).to_string();
    assert!((7_500_000..8_200_000).contains(&document.len()), "{} bytes", document.len());
    let rows = transform_text(&document).unwrap().rows;
    assert_eq!((rows.projects.len(), rows.wits.len(), rows.projects_wits.len()), (12, 11, 86));
    assert_eq!(rows.custom_fields.len(), 100);
}

#[test]
fn rows_are_printed_in_the_order_in_which_they_are_written() {
    let result = transform(&with_fields(&json!({"customfield_1": {"name": "A"}})));
    let lines: Vec<Value> = result.rows.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tables: Vec<&str> = lines.iter().map(|line| line["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["projects", "wits", "projects_wits", "custom_fields", "custom_fields_mappings"]);
    assert_eq!(
        lines[0],
        json!({"table": "projects", "tenant_id": 7, "integration_id": 3, "external_id": "10000", "key": "BEN", "name": "Ben"})
    );
    assert_eq!(lines.len(), result.rows.len());
    assert!(RowSet::default().is_empty() && !result.rows.is_empty());
}
