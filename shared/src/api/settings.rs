//! What people set for one tenant, beyond the configuration file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{QueueType, TenantId};

/// What is set for one tenant's workers of one queue type; `null`: as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueSettings {
    /// How many workers, from 0 to its most.
    #[cfg_attr(feature = "openapi", schema(maximum = 65535))]
    pub workers: Option<u16>,
    /// The most that the tenant's operator may ask for; only an admin sets it.
    #[cfg_attr(feature = "openapi", schema(maximum = 65535))]
    pub workers_max: Option<u16>,
    /// A worker with more resident memory than this, in bytes, is replaced; at most `memory_max` of the configuration.
    pub memory_soft_bytes: Option<u64>,
    /// Until then there are no workers, RFC 3339; messages wait in the queue.
    pub paused_until: Option<String>,
}

/// What holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectiveSettings {
    /// How many workers.
    pub workers: u16,
    /// The most that the tenant's operator may ask for.
    pub workers_max: u16,
    /// A worker with more resident memory than this, in bytes, is replaced.
    pub memory_soft_bytes: u64,
    /// A worker with more than this, in bytes, is killed; not changed here.
    pub memory_max_bytes: u64,
    /// Whether it is paused now.
    pub paused: bool,
}

/// One tenant's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsDocument {
    /// Whose.
    pub tenant_id: TenantId,
    /// Grows with every change; also the answer's `ETag`.
    pub revision: i64,
    /// What is set, by queue type.
    pub queues: BTreeMap<QueueType, QueueSettings>,
    /// What holds, by queue type.
    pub effective: BTreeMap<QueueType, EffectiveSettings>,
    /// When it was last changed, RFC 3339 in UTC; `null`: never.
    pub updated_at: Option<String>,
    /// Who changed it.
    pub updated_by: Option<String>,
}

/// `GET /api/v1/admin/workers/config`: the caller's tenant, or every tenant for which something is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsList {
    /// In the order of their tenants.
    pub tenants: Vec<SettingsDocument>,
}

/// What reading settings gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SettingsAnswer {
    /// Of the caller's tenant, or of the one that was named.
    Tenant(SettingsDocument),
    /// An admin has named none.
    Everybody(SettingsList),
}

/// `PUT /api/v1/admin/workers/config`: replaces what is set for the queue types that are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeSettings {
    /// Whose; the caller's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// By queue type.
    pub queues: BTreeMap<QueueType, QueueSettings>,
}
