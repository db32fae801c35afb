//! What others may see of the supervisor's work.

use serde::Deserialize;

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsAccess {
    /// Everybody who reaches the listener.
    #[default]
    Open,
    /// Bearers of an admin's token, and the unix socket.
    Admin,
}
