//! A Jira site whose projects, types, statuses and fields are stored.

use std::ops::Deref;

use serde_json::{Value, json};
use system_tests::documents::Documents;

/// The data type.
pub(super) const KIND: &str = "jira_issues_with_changelogs";

/// A tenant with what issues refer to.
pub(super) struct Site(Documents);

impl Deref for Site {
    type Target = Documents;

    fn deref(&self) -> &Documents {
        &self.0
    }
}

impl Site {
    /// Runs statements.
    pub(super) async fn execute(&self, sql: &str) {
        self.platform.database.client().batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// Two projects, a type, statuses 1 (to do), 3 and 4 (in progress), 5 (done), 8 (none of these), 9 (called done here, but mapped
/// to work), 10 (mapped without a category), and all four special fields and one more.
pub(super) async fn site() -> Site {
    let site = Site(Documents::new().await);
    site.execute(
        "INSERT INTO projects (tenant_id, integration_id, external_id, key, name) VALUES
            (1, 10, '10000', 'BEN', 'Ben'), (1, 10, '10001', 'MOVED', 'Moved');
        INSERT INTO wits (tenant_id, integration_id, external_id, original_name) VALUES (1, 10, '1', 'Bug');
        INSERT INTO statuses_mappings (id, tenant_id, status_from, status_to, status_category) VALUES
            (1, 1, 'Tested', 'Review', 'IN PROGRESS'), (2, 1, 'Shipped', 'Done', NULL);
        INSERT INTO statuses (tenant_id, integration_id, external_id, original_name, category, status_mapping_id) VALUES
            (1, 10, '1', 'Open', 'To Do', NULL), (1, 10, '3', 'Doing', 'In Progress', NULL),
            (1, 10, '4', 'Review', 'in progress', NULL), (1, 10, '5', 'Done', 'Done', NULL),
            (1, 10, '8', 'Limbo', 'No Category', NULL), (1, 10, '9', 'Tested', 'Done', 1), (1, 10, '10', 'Shipped', 'Done', 2);
        INSERT INTO custom_fields (id, tenant_id, integration_id, external_id, name, field_type) VALUES
            (1, 1, 10, 'customfield_10001', 'Team', 'team'), (2, 1, 10, 'customfield_10021', 'Sprint', 'array'),
            (3, 1, 10, 'customfield_10000', 'Development', 'any'), (4, 1, 10, 'customfield_10024', 'Story Points', 'number'),
            (5, 1, 10, 'customfield_20001', 'Area', 'option');
        INSERT INTO custom_fields_mappings (tenant_id, integration_id, team_field_id, sprints_field_id,
            development_field_id, story_points_field_id, custom_field_01_id) VALUES (1, 10, 1, 2, 3, 4, 5)",
    )
    .await;
    site
}

/// An issue with these fields beside the usual ones, created with the year 2024, and this whole history.
pub(super) fn issue(id: &str, updated: &str, fields: &Value, histories: &[Value]) -> Value {
    let mut all = json!({"project": {"id": "10000"}, "issuetype": {"id": "1"}, "status": {"id": "1"},
        "created": "2024-01-01T00:00:00.000+0000", "updated": updated});
    for (name, value) in fields.as_object().expect("fields are an object") {
        all[name] = value.clone();
    }
    json!({"id": id, "key": format!("BEN-{id}"), "fields": all, "changelog": {"total": histories.len(), "histories": histories}})
}

/// A change of status.
pub(super) fn change(id: &str, at: &str, from: &str, to: &str) -> Value {
    entry(id, at, &json!({"field": "status", "fieldId": "status", "from": from, "to": to}))
}

/// A change of sprints.
pub(super) fn sprints(id: &str, at: &str, from: &str, to: &str) -> Value {
    entry(id, at, &json!({"field": "Sprint", "fieldId": "customfield_10021", "from": from, "to": to}))
}

/// A change of the estimate.
pub(super) fn points(id: &str, at: &str, from: Option<&str>, to: Option<&str>) -> Value {
    entry(id, at, &json!({"field": "Story Points", "fieldId": "customfield_10024", "fromString": from, "toString": to}))
}

fn entry(id: &str, at: &str, item: &Value) -> Value {
    json!({"id": id, "created": at, "author": {"displayName": "Bob"}, "items": [{"field": "labels", "from": null, "to": null}, item]})
}
