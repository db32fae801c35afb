//! Publishing one transform job.

use serde::{Deserialize, Serialize};

use crate::{QueueType, TenantId};

/// `POST /api/v1/admin/jobs`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobRequest {
    /// For which tenant; the caller's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// Of which integration.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub integration_id: i64,
    /// The raw row.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub raw_data_id: i64,
    /// Its data type.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(schema_with = super::schema::data_type))]
    pub kind: String,
    /// To which of the tenant's queues; `transform` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_type: Option<QueueType>,
}

/// The broker has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobAccepted {
    /// Where it lies.
    pub queue: String,
    /// Its worker's log lines carry this.
    pub correlation_id: String,
}
