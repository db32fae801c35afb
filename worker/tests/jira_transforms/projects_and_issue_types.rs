//! `jira_projects_and_issue_types`: from documents to rows.

use serde_json::{Value, json};

use crate::transforming::{empty_and_refused, key, transform, warnings};

const KIND: &str = "jira_projects_and_issue_types";

/// As Jira answers, shortened.
fn projects() -> Value {
    json!([
        {"expand": "description,lead,issueTypes", "self": "https://x.atlassian.net/rest/api/3/project/10000", "id": "10000",
         "key": "BEN", "name": "Benefits", "avatarUrls": {"48x48": "u"}, "projectTypeKey": "software", "simplified": false,
         "style": "classic", "isPrivate": false, "properties": {}, "issueTypes": [
            {"self": "s", "id": "10001", "description": "A story", "iconUrl": "i", "name": "Story", "untranslatedName": "Story",
             "subtask": false, "avatarId": 1, "hierarchyLevel": 0},
            {"id": "10000", "description": "", "name": "Epic", "subtask": false, "hierarchyLevel": 1},
            {"id": "10003", "description": null, "name": "Sub-task", "subtask": true, "hierarchyLevel": -1}]},
        {"id": 10001, "key": "OPS", "name": "Operations", "projectTypeKey": null,
         "issueTypes": [{"id": "10001", "name": "another name", "subtask": false}, {"id": "10001", "name": "Story"}]},
        {"id": "10002", "key": "OLD", "name": "No types"}])
}

#[test]
fn the_bare_array_and_the_page_give_the_same_rows() {
    let result = transform(KIND, &projects());
    assert_eq!(result, transform(KIND, &json!({"self": "s", "isLast": true, "total": 3, "values": projects()})));
    let rows = &result.rows;
    assert_eq!((rows.projects.len(), rows.wits.len(), rows.projects_wits.len(), rows.len()), (3, 3, 4, 10));
    assert_eq!(rows.projects[&key("10000")].project_type, Some(Some("software".to_owned())));
    assert_eq!(rows.projects[&key("10001")].project_type, Some(None), "an explicit null clears");
    assert_eq!(rows.projects[&key("10002")].project_type, None, "an absent key leaves the column alone");
    let story = &rows.wits[&key("10001")];
    assert_eq!((story.original_name.as_str(), story.hierarchy_level), ("Story", Some(0)), "the first one counts");
    assert_eq!(rows.wits[&key("10003")].description, Some(None));
    assert_eq!(rows.wits[&key("10003")].hierarchy_level, Some(-1));
    assert_eq!(warnings(&result), json!(null));
}

#[test]
fn fields_that_types_might_carry_are_none_of_its_business() {
    let fields = json!({"customfield_1": {"name": "A", "schema": {"type": "string"}}});
    let result = transform(
        KIND,
        &json!([{"id": "1", "key": "K", "name": "N", "issueTypes": [{"id": "2", "name": "T", "fields": fields}]}]),
    );
    assert_eq!(result.rows.len(), 3);
    assert!(result.rows.custom_fields.is_empty() && result.rows.custom_fields_mappings.is_empty());
}

#[test]
fn one_usable_project_is_enough_and_the_others_are_warnings() {
    let result = transform(
        KIND,
        &json!([null, 3, {"id": "5", "key": "K"}, {"id": "7", "key": "G", "name": "Good", "projectTypeKey": 3,
            "issueTypes": [null, {"id": "9"}, {"name": "x"}]}]),
    );
    assert_eq!(result.rows.len(), 1);
    assert_eq!(result.rows.projects[&key("7")].project_type, None);
    assert_eq!(
        warnings(&result),
        json!([{"reason": "unusable_project", "count": 3, "ids": ["5"]}, {"reason": "unusable_type", "count": 3, "ids": ["9"]}])
    );
}

#[test]
fn empty_documents_are_done_and_others_refused() {
    let empty = [r#"{"values":[]}"#, r#"{"values":null,"total":0}"#];
    let refused = [
        r#"{"values":{"a":1}}"#,
        r#"{"values":"SECRET"}"#,
        r#"["SECRET",null]"#,
        r#"[{"id":"1","name":"SECRET"}]"#,
        r#"{"values":[{"id":"SECRET"}]}"#,
        r#"[[{"id":"1","key":"SECRET","name":"n"}]]"#,
    ];
    empty_and_refused(KIND, &empty, &refused);
}
