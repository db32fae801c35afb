//! Documents as Jira's createmeta call gives them, of any size.

use serde_json::{Map, Value, json};

/// How much there is in a document.
pub(crate) struct Site {
    /// Projects.
    pub(crate) projects: u32,
    /// Distinct work item types.
    pub(crate) types: u32,
    /// How many of them each project uses, in turn.
    pub(crate) types_of_a_project: &'static [u32],
    /// Custom fields of every type.
    pub(crate) fields: u32,
    /// Allowed values of every second field, the part that makes documents big and is not used.
    pub(crate) allowed_values: u32,
}

/// A site whose document takes about 7.8 MB: 12 projects, 11 types, 86 pairs of the two.
pub(crate) const BIG: Site =
    Site { projects: 12, types: 11, types_of_a_project: &[8, 7, 6, 8, 7, 7], fields: 100, allowed_values: 4 };

/// Builds the document.
pub(crate) fn document(site: &Site) -> Value {
    let projects: Vec<Value> = (0..site.projects).map(|n| project(site, n)).collect();
    json!({ "expand": "projects", "projects": projects })
}

fn project(site: &Site, n: u32) -> Value {
    let count = site.types_of_a_project[n as usize % site.types_of_a_project.len()];
    let types: Vec<Value> = (0..count).map(|k| issue_type(site, (n + k) % site.types)).collect();
    json!({
        "expand": "issuetypes",
        "self": format!("https://example.atlassian.net/rest/api/3/project/{}", 10000 + n),
        "id": (10000 + n).to_string(),
        "key": format!("P{n}"),
        "name": format!("Project {n} \"übergreifend\" 🚀"),
        "avatarUrls": avatars(n),
        "issuetypes": types,
    })
}

fn issue_type(site: &Site, n: u32) -> Value {
    let names = ["Epic", "Story", "Task", "Bug", "Sub-task"];
    let level = match n {
        0 => 1,
        4 => -1,
        _ => 0,
    };
    let mut fields = Map::new();
    fields.insert("summary".to_owned(), json!({"required": true, "schema": {"type": "string", "system": "summary"}}));
    for k in 0..site.fields {
        let id = format!("customfield_{}", 10000 + k);
        fields.insert(id.clone(), field(site, &id, k));
    }
    json!({
        "self": format!("https://example.atlassian.net/rest/api/3/issuetype/{}", 10100 + n),
        "id": (10100 + n).to_string(),
        "description": format!("What a {n} is for."),
        "iconUrl": "https://example.atlassian.net/images/icons/type.png",
        "name": names.get(n as usize).map_or_else(|| format!("Type {n}"), |name| (*name).to_owned()),
        "untranslatedName": "x",
        "subtask": n == 4,
        "hierarchyLevel": level,
        "expand": "fields",
        "fields": fields,
    })
}

fn field(site: &Site, id: &str, n: u32) -> Value {
    let values: Vec<Value> = (0..site.allowed_values * (n % 2))
        .map(|k| json!({"self": format!("https://example.atlassian.net/rest/api/3/customFieldOption/{k}"), "value": format!("Option {k}"), "id": k.to_string(), "avatarUrls": avatars(k)}))
        .collect();
    json!({
        "required": false,
        "schema": {
            "type": if n.is_multiple_of(3) { "option" } else { "string" },
            "custom": "com.atlassian.jira.plugin.system.customfieldtypes:select",
            "customId": 10000 + n
        },
        "name": format!("Field {n}"),
        "key": id,
        "hasDefaultValue": false,
        "operations": ["set"],
        "allowedValues": values,
    })
}

fn avatars(n: u32) -> Value {
    json!({
        "48x48": format!("https://example.atlassian.net/rest/api/3/universal_avatar/view/type/project/avatar/{n}"),
        "24x24": format!("https://example.atlassian.net/rest/api/3/universal_avatar/view/type/project/avatar/{n}?size=small"),
    })
}
