//! Changes of status.

use serde::Serialize;

use crate::job::{reading::Moment, rows::Given};

/// A row of `changelogs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The external id of the status that was left.
    pub from: Option<String>,
    /// The external id of the status that was entered.
    pub to: Option<String>,
    /// When.
    pub at: Moment,
    /// The change of status before, or the creation, as far as the document knows; for a new row, whose start is
    /// corrected where what is stored says otherwise.
    pub start: Option<Moment>,
    /// By whom, by display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Given<String>,
}

impl Change {
    /// How long the status that was left had lasted.
    pub fn seconds(&self) -> Option<f64> {
        let micros = (self.at - self.start?).num_microseconds()?.max(0);
        // Exact up to 285 years, and rounded as PostgreSQL rounds.
        #[allow(clippy::cast_precision_loss, reason = "no status lasts that long")]
        Some(micros as f64 / 1e6)
    }
}

/// How far back the history of a document reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coverage {
    /// Its oldest entry, of any kind.
    pub oldest: Moment,
    /// Whether there are more entries than the document holds. The newest come first, so older ones are missing.
    pub truncated: bool,
}
