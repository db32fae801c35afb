//! Bodies about queues.

use serde::{Deserialize, Serialize};

use crate::TenantId;

/// A queue as the broker reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// Messages ready for delivery.
    pub messages_ready: u32,
    /// Messages delivered and not acknowledged; `null` where only the management API could tell.
    #[serde(default)]
    pub messages_unacknowledged: Option<u32>,
    /// Consumers attached.
    pub consumers: u32,
    /// Messages published to it, per second; `null` where only the management API could tell.
    #[serde(default)]
    pub publish_rate: Option<f64>,
    /// Messages acknowledged, per second; `null` where only the management API could tell.
    #[serde(default)]
    pub ack_rate: Option<f64>,
    /// How many seconds ago this was read.
    pub sample_age_seconds: u64,
}

/// `GET /api/v1/admin/queues/status`: in the order of their tenants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueList {
    /// This page.
    pub queues: Vec<QueueStatus>,
    /// `cursor` of the next page; `null`: this is the last one.
    pub next_cursor: Option<TenantId>,
}
