//! Bodies about API tokens.

use serde::{Deserialize, Serialize};

use crate::TenantId;

/// The roles of an API caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, for every tenant.
    Admin,
    /// Reads and controls its own tenant.
    Operator,
    /// Reads its own tenant.
    Viewer,
}

/// `POST /api/v1/admin/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// A name for people.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = r"^[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// For which tenant; absent for an admin, required for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
}

/// The answer to it: the only time the token itself is shown.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    /// The bearer token.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub description: TokenDescription,
}

/// An API token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenDescription {
    /// Names the token when it is revoked.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// For which tenant; `None` is every tenant.
    pub tenant_id: Option<TenantId>,
    /// When it was made, RFC 3339 in UTC.
    pub created_at: String,
}
