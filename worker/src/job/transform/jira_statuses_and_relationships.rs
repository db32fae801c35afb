//! `jira_statuses_and_relationships`: the statuses of a project's work item types, or of many projects at once.
//!
//! Either `project_key` with `statuses` that are types, each with its own `statuses`; or `statuses` with a list of
//! `project_statuses` that names projects by id. Elements show themselves which they are. The first usable element of an id
//! counts.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;

use super::opening::{self, refused};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{Element, List, Scalar},
    references::Target,
    registry::{DataType, PayloadShape, Transformed},
    rows::{Key, NO_CATEGORY, ProjectName, ProjectStatus, Scope, Status},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: NAME,
    aliases: &["jira_statuses_and_project_relationships", "jira_project_statuses"],
    // A relation may also look for a status of another document; rows are compared for that.
    seeks: Tables::of(&[Table::Projects]),
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Statuses]),
    transform,
};

const NAME: &str = "jira_statuses_and_relationships";

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    project_key: Scalar<'a>,
    #[serde(borrow, default)]
    statuses: List<Scalar<'a>>,
    #[serde(borrow, default)]
    project_statuses: List<Element<ProjectMeta<'a>>>,
}

#[derive(Deserialize)]
struct ProjectMeta<'a> {
    #[serde(borrow, default)]
    project_id: Scalar<'a>,
    #[serde(borrow, default)]
    statuses: List<Scalar<'a>>,
}

/// A status, or a type with its statuses.
#[derive(Deserialize)]
struct StatusMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    description: Scalar<'a>,
    #[serde(borrow, default, rename = "statusCategory")]
    category: Scalar<'a>,
    #[serde(borrow, default)]
    subtask: Scalar<'a>,
    #[serde(borrow, default)]
    statuses: Scalar<'a>,
}

#[derive(Deserialize)]
struct Category<'a> {
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let Some(Document { project_key, statuses, project_statuses }) = opening::object(NAME, document)? else {
        return Ok(Transformed::default());
    };
    let mut reading = Reading { scope: context.scope, given: 0, usable: 0, into: Transformed::default() };
    let relates_many = matches!(project_statuses, List::Items(_));
    let (statuses, projects) = match (statuses, project_statuses) {
        (List::Items(statuses), projects) => (statuses, projects),
        (List::Nothing, List::Items(projects)) => (Vec::new(), List::Items(projects)),
        (List::Nothing, List::Nothing) if opening::names_a_list(document, &["statuses", "project_statuses"]) => {
            return Ok(Transformed::default());
        }
        _ => return Err(refused(NAME, "has no list under \"statuses\" or \"project_statuses\"")),
    };
    let project = project_key.filled_text().map(|key| ProjectName::ProjectKey(key.into_owned()));
    for element in statuses {
        match element.object::<StatusMeta<'_>>() {
            Some(kind) if kind.statuses.is_present() || kind.subtask.is_present() => {
                reading.add_type(&kind, project.as_ref());
            }
            // In the second form the other list says which project uses which status.
            Some(status) => reading.add_status(Some(&status), if relates_many { None } else { project.as_ref() }),
            None => reading.add_status(None, None),
        }
    }
    match projects {
        List::Items(projects) => projects.into_iter().for_each(|project| reading.add_project(project.read())),
        List::Nothing => {}
        List::Other => reading.into.warnings.add("unusable_project", None),
    }
    if reading.given > 0 && reading.usable == 0 {
        return Err(refused(NAME, "lists statuses, none of them with id and name"));
    }
    Ok(reading.refer())
}

struct Reading {
    scope: Scope,
    given: usize,
    usable: usize,
    into: Transformed,
}

impl Reading {
    fn key(&self, id: &str) -> Key {
        Key { scope: self.scope, external_id: id.to_owned() }
    }

    fn add_type(&mut self, kind: &StatusMeta<'_>, project: Option<&ProjectName>) {
        if project.is_none() {
            self.into.warnings.add("unresolved_project", None);
        }
        match kind.statuses.read_as() {
            Some(List::Items(statuses)) => self.add_all(&statuses, project),
            Some(List::Nothing) | None => {}
            Some(List::Other) => {
                self.given += 1;
                self.into.warnings.add("unusable_type", kind.id.id().as_deref());
            }
        }
    }

    fn add_project(&mut self, project: Option<ProjectMeta<'_>>) {
        let Some(project) = project else {
            self.given += 1;
            return self.into.warnings.add("unusable_project", None);
        };
        let name = project.project_id.id().map(|id| ProjectName::ProjectId(id.into_owned()));
        if name.is_none() {
            self.into.warnings.add("unusable_project", None);
        }
        if let List::Items(statuses) = &project.statuses {
            self.add_all(statuses, name.as_ref());
        }
    }

    /// Statuses, or their bare ids.
    fn add_all(&mut self, statuses: &[Scalar<'_>], project: Option<&ProjectName>) {
        for element in statuses {
            match (element.object::<StatusMeta<'_>>(), element.id()) {
                (None, Some(id)) => {
                    self.given += 1;
                    self.usable += 1;
                    self.relate(&id, project);
                }
                (status, _) => self.add_status(status.as_ref(), project),
            }
        }
    }

    fn add_status(&mut self, status: Option<&StatusMeta<'_>>, project: Option<&ProjectName>) {
        self.given += 1;
        let id = status.and_then(|status| status.id.id());
        let (Some(status), Some(id)) = (status, &id) else {
            return self.into.warnings.add("unusable_status", None);
        };
        let Some(name) = status.name.filled_text() else {
            return self.into.warnings.add("unusable_status", Some(id));
        };
        self.usable += 1;
        self.into.rows.statuses.entry(self.key(id)).or_insert_with(|| Status {
            original_name: name.into_owned(),
            category: category(&status.category),
            description: status.description.given_text(),
        });
        self.relate(id, project);
    }

    fn relate(&mut self, status: &str, project: Option<&ProjectName>) {
        if let Some(project) = project {
            let row = ProjectStatus { scope: self.scope, project: project.clone(), status: status.to_owned() };
            self.into.rows.projects_statuses.insert(row);
        }
    }

    /// Relations need a stored project, and a stored status where they give no more than its id.
    fn refer(mut self) -> Transformed {
        let Transformed { rows, references, .. } = &mut self.into;
        let key = |id: &str| Key { scope: self.scope, external_id: id.to_owned() };
        let related = &rows.projects_statuses;
        for project in related.iter().map(|relation| &relation.project).collect::<BTreeSet<_>>() {
            let (target, id) = match project {
                ProjectName::ProjectKey(id) => (Target::ProjectByKey, id),
                ProjectName::ProjectId(id) => (Target::Project, id),
            };
            references.add(target, key(id), "unresolved_project");
        }
        let named: BTreeSet<Key> = related.iter().map(|relation| key(&relation.status)).collect();
        for status in named.into_iter().filter(|status| !rows.statuses.contains_key(status)) {
            references.add(Target::Status, status, "unresolved_status");
        }
        self.into
    }
}

/// The category, from its key because names are translated. An absent key says nothing.
fn category(given: &Scalar<'_>) -> Option<String> {
    if !given.is_present() {
        return None;
    }
    let category = given.object::<Category<'_>>();
    let key = category.as_ref().and_then(|category| category.key.text());
    let known = match key.as_deref() {
        Some("new") => Some("To Do"),
        Some("indeterminate") => Some("In Progress"),
        Some("done") => Some("Done"),
        Some("undefined") => Some(NO_CATEGORY),
        _ => None,
    };
    let name = || category.as_ref().and_then(|category| category.name.filled_text()).map(Cow::into_owned);
    Some(known.map(str::to_owned).or_else(name).unwrap_or_else(|| NO_CATEGORY.to_owned()))
}
