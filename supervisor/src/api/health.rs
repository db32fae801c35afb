//! Whether the supervisor lives and whether it is ready. Anybody may ask, so no detail is given away.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use etl_shared::api::Problem;
use serde::Serialize;

use super::{Api, problem::Refusal};
use crate::clock::BootTime;

/// A control loop that has not turned for this long is stuck. It publishes a view far more often than that.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The control loop turns.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Live {
    live: bool,
}

/// What is there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Ready {
    ready: bool,
    /// Every part with whether it works now. Of these, `tenants` may be false while the supervisor is ready.
    parts: BTreeMap<&'static str, bool>,
}

/// The control loop turns. Broker, database and workers have no say in it.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, description = "It turns", body = Live), (status = 503, description = "It is stuck", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn live(State(api): State<Arc<Api>>) -> Result<Json<Live>, Refusal> {
    let silent = BootTime::now().since(api.context.handle.view().turned_at);
    if silent < STUCK_AFTER {
        return Ok(Json(Live { live: true }));
    }
    let detail = format!("the control loop has not turned for {} seconds", silent.as_secs());
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "control_loop_stuck", detail))
}

/// Everything that the supervisor needs is there and the tenants have been read once. A tenant in trouble is its own matter.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, description = "Ready", body = Ready), (status = 503, description = "Not ready", body = Ready)))]
pub(super) async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, Json<Ready>) {
    let view = api.context.handle.view();
    let mut parts: BTreeMap<_, _> = view.parts.iter().map(|(name, part)| (*name, part.ok)).collect();
    // Without a usable configuration nobody would answer here.
    parts.insert("configuration", true);
    parts.insert("first_reconcile", view.settled);
    for required in &api.context.required_parts {
        parts.entry(required).or_insert(false);
    }
    let ready = view.settled && api.context.required_parts.iter().all(|part| parts[part]);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, parts }))
}
