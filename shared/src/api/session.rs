//! Bodies about who is logged in.

use serde::{Deserialize, Serialize};

use super::Role;
use crate::TenantId;

/// `POST /api/v1/session`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// An API token, or a JWT of the platform.
    pub token: String,
}

/// Who the caller is: `GET /api/v1/session`, and the answer to a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// As log lines and the audit log name the caller.
    pub actor: String,
    /// What the caller may do.
    pub role: Role,
    /// For which tenant; `null`: for every one.
    pub tenant_id: Option<TenantId>,
    /// Of a session with a cookie: sent as `X-CSRF-Token` with every request that changes something.
    pub csrf_token: Option<String>,
    /// When the session, or what it was made with, ends; RFC 3339 in UTC; `null`: never.
    pub expires_at: Option<String>,
}
