//! `[history]`

use std::time::Duration;

use etl_shared::settings::unit;
use serde::Deserialize;

/// `[history]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HistorySection {
    /// Older events are deleted from the database.
    #[serde(with = "unit::duration")]
    pub events_keep: Duration,
}

impl Default for HistorySection {
    fn default() -> Self {
        Self { events_keep: Duration::from_hours(30 * 24) }
    }
}
