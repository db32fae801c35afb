//! `jira_statuses_and_relationships`: from documents to rows.

use serde_json::{Value, json};

use crate::transforming::{empty_and_refused, key, lines, references, transform, warnings};

const KIND: &str = "jira_statuses_and_relationships";

fn status(id: &str, name: &str, category: &str) -> Value {
    json!({"self": "s", "id": id, "name": name, "untranslatedName": name, "description": "", "iconUrl": "i",
        "statusCategory": {"self": "s", "id": 2, "key": category, "colorName": "blue-gray", "name": "Zu erledigen"}})
}

#[test]
fn the_statuses_of_a_projects_types_are_its_statuses() {
    let result = transform(
        KIND,
        &json!({"project_key": "BEN", "statuses": [
            {"self": "s", "id": "10001", "name": "Story", "subtask": false,
             "statuses": [status("1", "Open", "new"), status("3", "In Arbeit", "indeterminate")]},
            {"id": "10002", "name": "Bug", "subtask": false, "statuses": [status("3", "later", "done"), status("5", "Done", "done")]},
            {"id": "10003", "name": "Epic", "subtask": false, "statuses": []},
            {"id": "10004", "name": "Odd", "subtask": false, "statuses": null}]}),
    );
    let rows = &result.rows;
    assert_eq!((rows.statuses.len(), rows.projects_statuses.len(), rows.len()), (3, 3, 6));
    assert_eq!(rows.statuses[&key("3")].original_name, "In Arbeit", "the first one counts");
    assert_eq!(rows.statuses[&key("3")].category.as_deref(), Some("In Progress"));
    assert_eq!(references(&result), [("ProjectByKey BEN".to_owned(), "unresolved_project")]);
    assert_eq!(
        lines(&result)[3],
        json!({"table": "projects_statuses", "tenant_id": 7, "integration_id": 3, "project_key": "BEN", "status": "1"})
    );
    assert_eq!(warnings(&result), json!(null));
}

#[test]
fn the_second_form_names_projects_by_id_and_statuses_whole_or_by_id() {
    let result = transform(
        KIND,
        &json!({"statuses": [status("1", "Open", "new"), status("2", "Open", "new")], "project_statuses": [
            {"project_id": "10001", "statuses": ["1", 2, status("9", "Only here", "done"), "77"]},
            {"project_id": 10002, "statuses": [status("1", "never", "done")]},
            {"project_id": "10003", "statuses": []}]}),
    );
    let rows = &result.rows;
    assert_eq!((rows.statuses.len(), rows.projects_statuses.len()), (3, 5));
    assert_eq!(rows.statuses[&key("1")].original_name, "Open");
    assert_eq!(rows.statuses[&key("2")].original_name, "Open", "equal names are different statuses");
    let expected = [
        ("Project 10001", "unresolved_project"),
        ("Project 10002", "unresolved_project"),
        ("Status 77", "unresolved_status"),
    ];
    assert_eq!(references(&result), expected.map(|(name, warning)| (name.to_owned(), warning)));
    assert_eq!(warnings(&result), json!(null));
}

#[test]
fn the_category_comes_from_its_key_because_names_are_translated() {
    for (given, category) in [
        (json!({"key": "new", "name": "Zu erledigen"}), "To Do"),
        (json!({"key": "indeterminate", "name": "x"}), "In Progress"),
        (json!({"key": "done"}), "Done"),
        (json!({"key": "undefined", "name": "Keine"}), "No Category"),
        (json!({"key": null, "name": "Waiting"}), "Waiting"),
        (json!({"name": "Waiting"}), "Waiting"),
        (json!({"key": "brand new", "name": "Waiting"}), "Waiting"),
        (json!({"key": "", "name": ""}), "No Category"),
        (json!({}), "No Category"),
        (json!(null), "No Category"),
        (json!("Done"), "No Category"),
    ] {
        let document = json!({"statuses": [{"id": "1", "name": "S", "statusCategory": given}]});
        let result = transform(KIND, &document);
        assert_eq!(result.rows.statuses[&key("1")].category.as_deref(), Some(category), "{given}");
    }
    let result = transform(KIND, &json!({"statuses": [{"id": "1", "name": "S"}]}));
    let row = &result.rows.statuses[&key("1")];
    assert_eq!((row.category.clone(), row.description.clone()), (None, None), "absent keys say nothing");
}

#[test]
fn what_cannot_be_used_is_a_warning() {
    let result = transform(
        KIND,
        &json!({"statuses": [{"id": "1", "name": "Story", "subtask": false, "statuses": [null, {"id": "4"}, {"name": "x"}]},
            {"id": "2", "name": "Bug", "subtask": false, "statuses": {"a": 1}}, 5, status("7", "Good", "new")],
            "project_statuses": [null, {"statuses": ["7"]}]}),
    );
    assert_eq!((result.rows.statuses.len(), result.rows.projects_statuses.len()), (1, 0));
    let expected = json!([{"reason": "unresolved_project", "count": 2, "ids": []},
        {"reason": "unusable_project", "count": 2, "ids": []},
        {"reason": "unusable_status", "count": 4, "ids": ["4"]},
        {"reason": "unusable_type", "count": 1, "ids": ["2"]}]);
    assert_eq!(warnings(&result), expected);
}

#[test]
fn empty_documents_are_done_and_others_refused() {
    let empty = [
        r#"{"project_key":"BEN","statuses":[]}"#,
        r#"{"project_key":"BEN","statuses":null}"#,
        r#"{"statuses":[],"project_statuses":[]}"#,
        r#"{"project_key":"BEN","statuses":[{"id":"1","name":"Story","subtask":false,"statuses":[]}]}"#,
    ];
    let refused = [
        r#"{"project_key":"SECRET"}"#,
        r#"{"project_key":"BEN","statuses":"SECRET"}"#,
        r#"{"statuses":{"SECRET":1},"project_statuses":[]}"#,
        r#"{"statuses":["SECRET"]}"#,
        r#"{"project_key":"BEN","statuses":[{"id":"1","name":"Story","statuses":[{"name":"SECRET"}]}]}"#,
        r#"{"statuses":[],"project_statuses":["SECRET"]}"#,
    ];
    empty_and_refused(KIND, &empty, &refused);
}

#[test]
fn documents_share_a_batch_unless_one_brings_a_status_that_an_earlier_one_could_only_name() {
    let names = transform(KIND, &json!({"statuses": [], "project_statuses": [{"project_id": "1", "statuses": ["7"]}]}));
    let brings = transform(KIND, &json!({"statuses": [status("7", "S", "new")]}));
    let both = transform(
        KIND,
        &json!({"statuses": [status("7", "S", "new")], "project_statuses": [{"project_id": "1", "statuses": ["7"]}]}),
    );
    assert!(names.rows.clashes_with(&brings.rows));
    assert!(!brings.rows.clashes_with(&names.rows));
    assert!(!both.rows.clashes_with(&brings.rows));
    assert!(!both.rows.clashes_with(&both.rows));
}
