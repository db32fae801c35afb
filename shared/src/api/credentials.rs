//! Each tenant's own accounts: what is in force, and their rotation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TenantId;

/// `POST /api/v1/admin/credentials/rotate`: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RotateRequest {
    /// One tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// Every tenant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// The answer to it: accepted, not yet done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotationAccepted {
    /// Always true; a refusal is a problem body.
    pub accepted: bool,
    /// The number under which [`LastRotation`] tells what became of it; a later one is greater.
    pub rotation: u64,
    /// Whose secrets are being replaced.
    pub tenants: Vec<TenantId>,
    /// Path of the status that shows how it goes.
    pub watch: String,
}

/// `GET /api/v1/admin/credentials`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CredentialsStatus {
    /// `shared` or `per_tenant`.
    pub mode: String,
    /// Those that the caller may see; none where the mode is `shared`.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, TenantCredentials>))]
    pub tenants: BTreeMap<TenantId, TenantCredentials>,
}

/// One tenant's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantCredentials {
    /// The generation in force, where it is known.
    pub generation: Option<u32>,
    /// `ready` or `missing`; during a rotation `preparing`, `moving`, `adopting`, and where it fails `returning`, `discarding`.
    pub state: String,
    /// Why they are missing, for a person.
    pub detail: Option<String>,
    /// What became of the last rotation since the supervisor started.
    pub last_rotation: Option<LastRotation>,
}

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastRotation {
    /// Its number.
    pub rotation: u64,
    /// Whether the next generation is in force now.
    pub ok: bool,
    /// When it was over, RFC 3339 in UTC.
    pub at: String,
    /// Why the old one still is.
    pub detail: Option<String>,
}
