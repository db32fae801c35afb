//! Projects with their work item types, as several of Jira's answers list them.

use serde::Deserialize;

use super::jira_fields::Fields;
use crate::job::{
    reading::{Element, List, Scalar},
    registry::Transformed,
    rows::{Key, Project, ProjectWit, Scope, Wit},
};

#[derive(Deserialize)]
pub(super) struct ProjectMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default, rename = "projectTypeKey")]
    project_type: Scalar<'a>,
    #[serde(borrow, default)]
    issuetypes: List<Element<TypeMeta<'a>>>,
    #[serde(borrow, default, rename = "issueTypes")]
    issue_types: List<Element<TypeMeta<'a>>>,
}

#[derive(Deserialize)]
struct TypeMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    description: Scalar<'a>,
    #[serde(borrow, default, rename = "hierarchyLevel")]
    hierarchy_level: Scalar<'a>,
    #[serde(borrow, default)]
    fields: Fields<'a>,
}

/// What becomes of the fields of a type.
pub(super) type AddFields = fn(Fields<'_>, Scope, &mut Transformed);

/// Adds projects and their types, each as it comes first; `false` where there are some and none can be used.
pub(super) fn add_all(
    projects: Vec<Element<ProjectMeta<'_>>>,
    fields: AddFields,
    scope: Scope,
    into: &mut Transformed,
) -> bool {
    let (given, mut usable) = (projects.len(), 0);
    for project in projects {
        usable += usize::from(add_project(project.read(), fields, scope, into));
    }
    given == 0 || usable > 0
}

/// Adds a project with all that it holds; `false` where it cannot be used.
fn add_project(project: Option<ProjectMeta<'_>>, fields: AddFields, scope: Scope, into: &mut Transformed) -> bool {
    let Some(project) = project else {
        into.warnings.add("unusable_project", None);
        return false;
    };
    let id = project.id.id();
    let (Some(id), Some(key), Some(name)) = (&id, project.key.filled_text(), project.name.filled_text()) else {
        into.warnings.add("unusable_project", id.as_deref());
        return false;
    };
    into.rows.projects.entry(Key { scope, external_id: id.to_string() }).or_insert_with(|| Project {
        key: key.into_owned(),
        name: name.into_owned(),
        project_type: project.project_type.given_text(),
    });
    let types = match (project.issuetypes, project.issue_types) {
        (List::Items(types), _) | (_, List::Items(types)) => types,
        (List::Nothing, List::Nothing) => Vec::new(),
        _ => {
            into.warnings.add("unusable_type", None);
            Vec::new()
        }
    };
    for kind in types {
        add_type(kind.read(), id, fields, scope, into);
    }
    true
}

fn add_type(kind: Option<TypeMeta<'_>>, project: &str, fields: AddFields, scope: Scope, into: &mut Transformed) {
    let Some(kind) = kind else {
        return into.warnings.add("unusable_type", None);
    };
    let id = kind.id.id();
    let (Some(id), Some(name)) = (&id, kind.name.filled_text()) else {
        return into.warnings.add("unusable_type", id.as_deref());
    };
    into.rows.wits.entry(Key { scope, external_id: id.to_string() }).or_insert_with(|| Wit {
        original_name: name.into_owned(),
        description: kind.description.given_text(),
        hierarchy_level: kind.hierarchy_level.int(),
    });
    into.rows.projects_wits.insert(ProjectWit { scope, project: project.to_owned(), wit: id.to_string() });
    fields(kind.fields, scope, into);
}
