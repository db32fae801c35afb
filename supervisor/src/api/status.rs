//! What the workers are doing, straight from the published view.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use axum::{
    Extension,
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
    tag::{Has, IfNoneMatch, NotModified, Tag},
};
use crate::runtime::{FleetView, WorkerView, view::ProcessView};

mod chosen;
mod document;
mod tell;

use chosen::{Chosen, ChosenParameters};
use document::Document;
pub(super) use tell::{Now, queue};

/// Every tenant that the caller may see, with its workers.
///
/// Process figures and message counts are those of the last round of samples, each with its age: looking at everybody
/// now would cost two file reads for every worker.
#[utoipa::path(get, path = "/workers/status", tag = "workers", params(ChosenParameters, IfNoneMatch), responses((status = 200, description = "Everybody, or who was chosen; `states` and `running` are about all of them, not only about this page", body = FleetStatus), NotModified, Refusals))]
pub(super) async fn fleet(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    has: Has,
    chosen: Chosen,
) -> Result<impl IntoResponse, Refusal> {
    let scope = authorize(&caller, Permission::ReadFleet)?;
    let only = match scope {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let (view, started_at) = (api.context.handle.view(), api.context.started_at);
    // How much was lost for others is none of a tenant's business, nor when.
    let republished = if only.is_none() { api.context.republished.load(Ordering::Relaxed) } else { 0 };
    let run = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    let tag = Tag::of(&format!("{run:x}-{:x}-{republished:x}-{}", view.version, only.map_or(0, TenantId::get)));
    Ok(tag.answer(&has, || {
        let document = Document::new(view, only, chosen, started_at, republished);
        let body = Body::from_stream(stream::iter(document.map(Ok::<_, Infallible>)));
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }))
}

/// One tenant, looked at now.
#[utoipa::path(get, path = "/workers/tenant/{tenant_id}/status", tag = "workers", params(("tenant_id" = TenantId, Path, description = "Which tenant"), IfNoneMatch), responses((status = 200, description = "The tenant", body = TenantStatus), NotModified, Refusals))]
pub(super) async fn tenant(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    TenantInPath(asked): TenantInPath,
    has: Has,
) -> Result<impl IntoResponse, Refusal> {
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
    let status = tell::tenant(&view, tenant, &Now::read(), look);
    let body = serde_json::to_vec(&status).unwrap_or_default();
    let tag = Tag::of_text(&serde_json::to_vec(&timeless(status)).unwrap_or_default());
    Ok(tag.answer(&has, || ([(header::CONTENT_TYPE, "application/json")], body).into_response()))
}

/// Without what changes because time passes. The incarnation names the process as well as its start does.
fn timeless(mut status: TenantStatus) -> TenantStatus {
    for worker in &mut status.workers {
        (worker.started_at, worker.uptime_seconds, worker.sample_age_seconds) = (None, None, None);
        if let Some(exit) = &mut worker.last_exit {
            exit.at.clear();
        }
    }
    status.queues.iter_mut().for_each(|queue| queue.sample_age_seconds = 0);
    status
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
