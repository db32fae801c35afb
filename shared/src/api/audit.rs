//! Bodies about who did what.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Role;
use crate::TenantId;

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AuditResult {
    /// Accepted.
    Ok,
    /// Not allowed, or not logged in.
    Refused,
    /// Allowed, and did not work.
    Failed,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Names it; grows with time.
    pub id: i64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who, such as `uid 0`, `token 3f…` or `jwt alice`.
    pub actor: String,
    /// As what; `null` where nobody was let in.
    pub role: Option<Role>,
    /// Through which door: `unix`, or the address of a TCP client.
    pub source: String,
    /// What, such as `workers.stop`, `settings.change` or `session.login`.
    pub action: String,
    /// About which tenant; `null`: about none, or about all.
    pub tenant_id: Option<TenantId>,
    /// What became of it.
    pub result: AuditResult,
    /// The answer's HTTP status.
    pub status: u16,
    /// More, depending on the action; never a secret.
    pub detail: Value,
    /// The request's correlation id, which log lines carry as well.
    pub correlation_id: Option<String>,
}

/// `GET /api/v1/admin/audit`: the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// This page.
    pub entries: Vec<AuditEntry>,
    /// `cursor` of the next page; `null`: this is the last one.
    pub next_cursor: Option<i64>,
}
