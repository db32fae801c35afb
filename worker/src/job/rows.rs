//! The rows that documents turn into, keyed as their tables are, so that they are de-duplicated and sorted by nature.

use std::collections::{BTreeMap, BTreeSet};

use etl_shared::TenantId;
use serde::Serialize;

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

/// A row of `projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// The short name in issue keys.
    pub key: String,
    /// The long name.
    pub name: String,
}

/// A row of `wits`: a work item type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wit {
    /// As Jira calls it.
    pub original_name: String,
    /// `None` leaves the column as it is, `Some(None)` clears it.
    pub description: Option<Option<String>>,
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
    /// `custom_fields`
    pub custom_fields: BTreeMap<Key, CustomField>,
    /// `custom_fields_mappings`: whose special fields are to be looked for.
    pub custom_fields_mappings: BTreeSet<Scope>,
}

impl RowSet {
    /// Lays later rows over these, so that writing the result once does what writing both in turn would have done.
    pub fn merge(&mut self, later: Self) {
        self.projects.extend(later.projects);
        self.projects_wits.extend(later.projects_wits);
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
                field.operations = field.operations.or(earlier.operations);
            }
            self.custom_fields.insert(key, field);
        }
    }

    /// How many rows there are in all tables.
    pub fn len(&self) -> usize {
        self.projects.len()
            + self.wits.len()
            + self.projects_wits.len()
            + self.custom_fields.len()
            + self.custom_fields_mappings.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every row as one line of JSON that names its table, in the order in which they are written.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        fn keyed<'a, R: Serialize>(
            table: &'static str,
            rows: &'a BTreeMap<Key, R>,
        ) -> impl Iterator<Item = String> + use<'a, R> {
            rows.iter().filter_map(move |(key, row)| line(table, key, row))
        }
        keyed("projects", &self.projects)
            .chain(keyed("wits", &self.wits))
            .chain(self.projects_wits.iter().filter_map(|row| line("projects_wits", row, &Nothing {})))
            .chain(keyed("custom_fields", &self.custom_fields))
            .chain(
                self.custom_fields_mappings
                    .iter()
                    .filter_map(|scope| line("custom_fields_mappings", scope, &Nothing {})),
            )
    }
}

#[derive(Serialize)]
struct Nothing {}

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
