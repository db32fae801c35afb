//! `[history]`

use std::time::Duration;

use etl_shared::settings::unit;
use serde::Deserialize;

/// `[history]`: how long what has happened is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct History {
    /// Older events are deleted from the database.
    #[serde(with = "unit::duration")]
    pub events_keep: Duration,
    /// Who did what.
    #[serde(with = "unit::duration")]
    pub audit_keep: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self { events_keep: Duration::from_hours(24 * 30), audit_keep: Duration::from_hours(24 * 365) }
    }
}

impl History {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.audit_keep < Duration::from_hours(24) || self.audit_keep > Duration::from_hours(24 * 36_600) {
            return Err("history.audit_keep must be from 1d to 36600d".to_owned());
        }
        Ok(())
    }
}
