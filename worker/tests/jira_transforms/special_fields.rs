//! `jira_special_fields`: from documents to rows.

use serde_json::json;

use crate::transforming::{empty_and_refused, key, scope, transform, warnings};

const KIND: &str = "jira_special_fields";

#[test]
fn the_search_for_the_development_field_gives_the_field_and_asks_for_the_mapping() {
    let result = transform(
        KIND,
        &json!({"maxResults": 50, "startAt": 0, "total": 1, "isLast": true, "values": [
            {"id": "customfield_10000", "name": "development", "typeDisplayName": "Dev Summary", "description": "for development",
             "schema": {"type": "any", "custom": "com.atlassian.jira.plugins.jira-development-integration-plugin:devsummarycf", "customId": 10000}}]}),
    );
    let field = &result.rows.custom_fields[&key("customfield_10000")];
    assert_eq!((field.name.as_str(), field.field_type.as_deref()), ("Development", Some("any")));
    assert_eq!((field.default_type, field.operations.clone()), ("any", None));
    assert_eq!(result.rows.custom_fields_mappings.iter().copied().collect::<Vec<_>>(), [scope()]);
    assert_eq!(result.rows.len(), 2);
    assert_eq!(warnings(&result), json!(null));
}

#[test]
fn every_custom_field_is_used_and_fields_of_jira_itself_are_passed_over() {
    let result = transform(
        KIND,
        &json!({"values": [{"id": "summary", "name": "Summary"}, {"id": "customfield_1"}, null, {"name": "no id"},
            {"id": "customfield_2", "name": "Two", "schema": null}, {"id": "customfield_2", "name": "later"},
            {"id": "customfield_1", "name": "One", "schema": {"type": "number"}}, {"id": "customfield_3", "name": null}]}),
    );
    let rows = &result.rows.custom_fields;
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[&key("customfield_2")].name.as_str(), rows[&key("customfield_2")].field_type.clone()),
        ("Two", None)
    );
    assert_eq!(rows[&key("customfield_1")].name, "One");
    assert_eq!(
        warnings(&result),
        json!([{"reason": "unusable_field", "count": 4, "ids": ["customfield_1", "customfield_3"]}])
    );
}

#[test]
fn a_page_without_custom_fields_is_done_and_makes_no_mapping() {
    let result = transform(KIND, &json!({"values": [{"id": "summary", "name": "Summary"}]}));
    assert!(result.rows.is_empty());
    let empty = [r#"{"values":[]}"#, r#"{"values":null,"total":0}"#];
    let refused = [
        r#"{"values":{"a":1}}"#,
        r#"{"values":"SECRET"}"#,
        r#"{"values":["SECRET",null]}"#,
        r#"{"values":[{"id":"customfield_1","name":""}]}"#,
        r#"[{"id":"customfield_1","name":"SECRET"}]"#,
    ];
    empty_and_refused(KIND, &empty, &refused);
}

#[test]
fn the_createmeta_calls_the_same_field_by_the_same_name() {
    let fields = json!({"customfield_10000": {"name": "development", "schema": {"type": "any"}, "operations": []}});
    let meta = json!({"projects": [{"id": "1", "key": "K", "name": "N",
        "issuetypes": [{"id": "1", "name": "Bug", "fields": fields}]}]});
    assert_eq!(
        transform("jira_custom_fields", &meta).rows.custom_fields[&key("customfield_10000")].name,
        "Development"
    );
}
