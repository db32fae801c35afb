//! Issues.

use serde::{Serialize, Serializer};

use super::Number;
use crate::job::{context::MAPPED_COLUMNS, reading::Moment, rows::Given};

/// A row of `work_items`, without what is computed from the history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WorkItem {
    /// `BEN-1`; another one once the issue has moved.
    pub key: String,
    /// The project's external id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Given<String>,
    /// The type's external id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wit: Given<String>,
    /// The status's external id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Given<String>,
    /// The mapped field's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Given<String>,
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Given<String>,
    /// As plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Given<String>,
    /// The mapped field's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story_points: Given<Number>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Given<String>,
    /// Whose work it is, by display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Given<String>,
    /// Joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Given<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Given<String>,
    /// The parent's external id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_external_id: Given<String>,
    /// Set once.
    pub created: Option<Moment>,
    /// How new the row is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Given<Moment>,
    /// Whether there are pull requests or builds; `None` leaves the column as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub development: Option<bool>,
    /// `custom_field_01` to `custom_field_20`.
    #[serde(flatten, serialize_with = "given_columns")]
    pub custom: [Given<String>; MAPPED_COLUMNS],
}

impl WorkItem {
    /// Whether this may overwrite a row: not where it is known to be older.
    pub fn is_news_to(&self, stored: &Self) -> bool {
        match (stored.updated.flatten(), self.updated.flatten()) {
            (Some(stored), Some(new)) => new >= stored,
            _ => true,
        }
    }

    /// Takes over what this one says nothing of.
    pub fn fill_from(&mut self, earlier: Self) {
        fn fill<T>(column: &mut Option<T>, earlier: Option<T>) {
            if column.is_none() {
                *column = earlier;
            }
        }
        fill(&mut self.project, earlier.project);
        fill(&mut self.wit, earlier.wit);
        fill(&mut self.status, earlier.status);
        fill(&mut self.team, earlier.team);
        fill(&mut self.summary, earlier.summary);
        fill(&mut self.description, earlier.description);
        fill(&mut self.story_points, earlier.story_points);
        fill(&mut self.resolution, earlier.resolution);
        fill(&mut self.assignee, earlier.assignee);
        fill(&mut self.labels, earlier.labels);
        fill(&mut self.priority, earlier.priority);
        fill(&mut self.parent_external_id, earlier.parent_external_id);
        fill(&mut self.updated, earlier.updated);
        fill(&mut self.development, earlier.development);
        for (column, earlier) in self.custom.iter_mut().zip(earlier.custom) {
            fill(column, earlier);
        }
        // The first one counts.
        self.created = earlier.created.or(self.created);
    }
}

/// The mapped columns that are given, by their names.
fn given_columns<S: Serializer>(columns: &[Given<String>], serializer: S) -> Result<S::Ok, S::Error> {
    let given =
        columns.iter().zip(1..).filter_map(|(column, n)| Some((format!("custom_field_{n:02}"), column.as_ref()?)));
    serializer.collect_map(given)
}
