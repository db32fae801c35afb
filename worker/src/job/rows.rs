//! The rows that documents turn into, keyed as their tables are, so that they are de-duplicated and sorted by nature.

use std::collections::{BTreeMap, BTreeSet};

use etl_shared::TenantId;
use serde::Serialize;

pub mod github;
mod issues;
mod links;
mod reports;
mod statuses;

pub use github::GithubRows;
pub use issues::{Change, Coverage, Issue, IssueRows, Membership, Neighbours, Number, Sprint, WorkItem};
pub use links::{IssueName, Link, LinkKey, LinkRows};
pub use reports::{Estimate, NewSprint, Outcome, Report, ReportRows, Reported};
pub use statuses::{NO_CATEGORY, ProjectName, ProjectStatus, Status};

/// What a document says of a column: `None` says nothing and leaves the column as it is, `Some(None)` clears it.
pub type Given<T> = Option<Option<T>>;

/// Whose rows: every table's key begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Scope {
    /// The tenant.
    #[serde(rename = "tenant_id")]
    pub tenant: TenantId,
    /// One of its integrations.
    #[serde(rename = "integration_id")]
    pub integration: i64,
}

/// The key of what another system numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// Whose.
    #[serde(flatten)]
    pub scope: Scope,
    /// The other system's id, as text.
    pub external_id: String,
}

/// The rows of a few tables that belong together.
pub trait Rows: Default {
    /// Whether writing both at once would not do what writing one after the other does.
    fn clashes_with(&self, _later: &Self) -> bool {
        false
    }

    /// Lays later rows over these.
    fn merge(&mut self, later: Self);

    /// How many rows there are.
    fn count(&self) -> usize;

    /// Every row as a line of JSON that names its table, in the order in which they are written.
    fn lines(&self, out: &mut Vec<String>);
}

/// A row of `projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// The short name in issue keys.
    pub key: String,
    /// The long name.
    pub name: String,
    /// `software`, `business` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_type: Given<String>,
}

/// A row of `wits`: a work item type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wit {
    /// As Jira calls it.
    pub original_name: String,
    /// `None` leaves the column as it is, `Some(None)` clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Given<String>,
    /// `None` leaves the column as it is.
    pub hierarchy_level: Option<i32>,
}

/// A row of `projects_wits`, by external ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ProjectWit {
    /// Whose.
    #[serde(flatten)]
    pub scope: Scope,
    /// The project.
    pub project: String,
    /// The type.
    pub wit: String,
}

/// A row of `custom_fields`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomField {
    /// As Jira calls it.
    pub name: String,
    /// `None` leaves the column as it is.
    pub field_type: Option<String>,
    /// The type of a new field whose type is not given.
    #[serde(skip)]
    pub default_type: &'static str,
    /// A JSON array; `None` leaves the column as it is.
    pub operations: Option<String>,
}

/// Rows of all tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowSet {
    /// `projects`
    pub projects: BTreeMap<Key, Project>,
    /// `wits`
    pub wits: BTreeMap<Key, Wit>,
    /// `projects_wits`
    pub projects_wits: BTreeSet<ProjectWit>,
    /// `statuses`
    pub statuses: BTreeMap<Key, Status>,
    /// `projects_statuses`
    pub projects_statuses: BTreeSet<ProjectStatus>,
    /// `custom_fields`
    pub custom_fields: BTreeMap<Key, CustomField>,
    /// `custom_fields_mappings`: whose special fields are to be looked for.
    pub custom_fields_mappings: BTreeSet<Scope>,
    /// Issues, their histories and sprints.
    pub issues: IssueRows,
    /// Pull requests of issues, as Jira knows them.
    pub links: LinkRows,
    /// Sprint reports.
    pub reports: ReportRows,
    /// Repositories and pull requests.
    pub github: GithubRows,
}

impl RowSet {
    /// Whether writing both at once would not do what writing one after the other does.
    pub fn clashes_with(&self, later: &Self) -> bool {
        statuses::relation_comes_too_early(&self.projects_statuses, &self.statuses, &later.statuses)
            || self.issues.clashes_with(&later.issues)
            || self.links.clashes_with(&later.links)
            || self.reports.clashes_with(&later.reports)
            || self.report_brings_what_was_missing(&later.reports)
            || self.github.clashes_with(&later.github)
    }

    /// A report stores a sprint that issues before it have only named: after them they would have found it missing.
    fn report_brings_what_was_missing(&self, later: &ReportRows) -> bool {
        let named_only = |key| self.issues.mentioned.contains(key) && !self.issues.sprints.contains_key(key);
        later.reports.iter().any(|(key, report)| report.sprint.is_some() && named_only(key))
    }

    /// Lays later rows over these, so that writing the result once does what writing both in turn would have done.
    pub fn merge(&mut self, later: Self) {
        for (key, mut project) in later.projects {
            if let Some(earlier) = self.projects.remove(&key) {
                project.project_type = project.project_type.or(earlier.project_type);
            }
            self.projects.insert(key, project);
        }
        self.projects_wits.extend(later.projects_wits);
        statuses::merge(&mut self.statuses, later.statuses);
        self.projects_statuses.extend(later.projects_statuses);
        self.custom_fields_mappings.extend(later.custom_fields_mappings);
        for (key, mut wit) in later.wits {
            if let Some(earlier) = self.wits.remove(&key) {
                wit.description = wit.description.or(earlier.description);
                wit.hierarchy_level = wit.hierarchy_level.or(earlier.hierarchy_level);
            }
            self.wits.insert(key, wit);
        }
        for (key, mut field) in later.custom_fields {
            if let Some(earlier) = self.custom_fields.remove(&key) {
                field.field_type = field.field_type.or(earlier.field_type);
                // What a first message would have stored stays where a second one says nothing of it.
                field.default_type = earlier.default_type;
                field.operations = field.operations.or(earlier.operations);
            }
            self.custom_fields.insert(key, field);
        }
        self.issues.merge(later.issues);
        self.links.merge(later.links);
        self.reports.merge(later.reports);
        self.github.merge(later.github);
    }

    /// How many rows there are in all tables.
    pub fn len(&self) -> usize {
        self.projects.len()
            + self.wits.len()
            + self.projects_wits.len()
            + self.statuses.len()
            + self.projects_statuses.len()
            + self.custom_fields.len()
            + self.custom_fields_mappings.len()
            + self.issues.count()
            + self.links.count()
            + self.reports.count()
            + self.github.count()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every row as one line of JSON that names its table, in the order in which they are written.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        keyed("projects", &self.projects, &mut out);
        keyed("wits", &self.wits, &mut out);
        out.extend(self.projects_wits.iter().filter_map(|row| line("projects_wits", row, &Nothing {})));
        keyed("statuses", &self.statuses, &mut out);
        out.extend(self.projects_statuses.iter().filter_map(|row| line("projects_statuses", row, &Nothing {})));
        keyed("custom_fields", &self.custom_fields, &mut out);
        let mappings = self.custom_fields_mappings.iter();
        out.extend(mappings.filter_map(|scope| line("custom_fields_mappings", scope, &Nothing {})));
        self.issues.lines(&mut out);
        self.links.lines(&mut out);
        self.reports.lines(&mut out);
        self.github.lines(&mut out);
        out
    }
}

/// The lines of one table.
fn keyed<K: Serialize, R: Serialize>(table: &'static str, rows: &BTreeMap<K, R>, out: &mut Vec<String>) {
    out.extend(rows.iter().filter_map(|(key, row)| line(table, key, row)));
}

#[derive(Serialize)]
struct Nothing {}

/// One row, as text.
fn line(table: &'static str, key: &impl Serialize, row: &impl Serialize) -> Option<String> {
    #[derive(Serialize)]
    struct Line<'a, K, R> {
        table: &'static str,
        #[serde(flatten)]
        key: &'a K,
        #[serde(flatten)]
        row: &'a R,
    }
    serde_json::to_string(&Line { table, key, row }).ok()
}
