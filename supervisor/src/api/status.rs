//! What the workers are doing, straight from the published view.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use etl_shared::{
    TenantId,
    api::{FleetStatus, TenantStatus},
};
use futures_util::stream;

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::TenantInPath,
};
use crate::runtime::{FleetView, WorkerView, view::ProcessView};

mod document;
mod tell;

use document::Document;
pub(super) use tell::{Now, queue};

/// Every tenant that the caller may see, with its workers.
///
/// Process figures and message counts are those of the last round of samples, each with its age: looking at everybody
/// now would cost two file reads for every worker.
#[utoipa::path(get, path = "/workers/status", tag = "workers", responses((status = 200, description = "Everybody", body = FleetStatus), Refusals))]
pub(super) async fn fleet(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Refusal> {
    let scope = authorize(&caller, Permission::ReadFleet)?;
    let only = match scope {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let republished = api.context.republished.load(Ordering::Relaxed);
    let document = Document::new(api.context.handle.view(), only, api.context.started_at, republished);
    let body = Body::from_stream(stream::iter(document.map(Ok::<_, Infallible>)));
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body))
}

/// One tenant, looked at now.
#[utoipa::path(get, path = "/workers/tenant/{tenant_id}/status", tag = "workers", params(("tenant_id" = TenantId, Path, description = "Which tenant")), responses((status = 200, description = "The tenant", body = TenantStatus), Refusals))]
pub(super) async fn tenant(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    TenantInPath(asked): TenantInPath,
) -> Result<Json<TenantStatus>, Refusal> {
    // What was granted is shown, not what was asked for.
    let tenant = match authorize(&caller, Permission::ReadTenant(Some(asked)))? {
        Scope::Tenant(tenant) => tenant,
        Scope::Everybody => asked,
    };
    let view = known(&api, tenant)?;
    let flights = api.context.runtime.flight_directory();
    let look = |worker: &WorkerView, process: &ProcessView| {
        api.context
            .look
            .and_then(|look| look(&flights, &worker.name, worker.incarnation, process.pid))
            .or(process.sample)
    };
    Ok(Json(tell::tenant(&view, tenant, &Now::read(), look)))
}

/// The view, where it knows the tenant.
pub(super) fn known(api: &Api, tenant: TenantId) -> Result<Arc<FleetView>, Refusal> {
    let view = api.context.handle.view();
    if view.tenants.contains_key(&tenant) || !view.workers_of(tenant).is_empty() {
        return Ok(view);
    }
    let detail = format!("there is no tenant {tenant} here: /api/v1/admin/tenants lists those there are");
    Err(Refusal::new(StatusCode::NOT_FOUND, "tenant_unknown", detail))
}
