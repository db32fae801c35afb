//! Start, stop and restart. An order is answered once it is accepted and recorded; the status shows how it goes.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Extension, extract::State, http::StatusCode};
use etl_shared::{
    TenantId,
    api::{Action, ActionAccepted, ActionRequest, TenantActionRequest},
};

use super::{
    Api, audit,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::Json,
};
use crate::runtime::{ControlError, Selection};

/// How long the fleet may take to accept an order.
const ACCEPTANCE: Duration = Duration::from_secs(10);

type Accepted = (StatusCode, axum::Json<ActionAccepted>);

/// Starts, stops or restarts everybody's workers.
#[utoipa::path(post, path = "/workers/control", tag = "workers", request_body = ActionRequest, responses((status = 202, description = "Accepted and recorded, not yet done: `watch` is where to see how it goes", body = ActionAccepted), Refusals))]
pub(super) async fn everybody(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<ActionRequest>,
) -> Result<Accepted, Refusal> {
    let scope = authorize(&caller, Permission::ControlEverybody)?;
    order(&api, &caller, scope, request.action).await
}

/// Starts, stops or restarts one tenant's workers.
#[utoipa::path(post, path = "/workers/tenant/control", tag = "workers", request_body = TenantActionRequest, responses((status = 202, description = "Accepted and recorded, not yet done: `watch` is where to see how it goes", body = ActionAccepted), Refusals))]
pub(super) async fn tenant(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<TenantActionRequest>,
) -> Result<Accepted, Refusal> {
    let scope = authorize(&caller, Permission::ControlTenant(request.tenant_id))?;
    order(&api, &caller, scope, request.action).await
}

/// Starts, stops or restarts the workers of the caller's own tenant.
#[utoipa::path(post, path = "/workers/action", tag = "workers", request_body = ActionRequest, responses((status = 202, description = "Accepted and recorded, not yet done: `watch` is where to see how it goes", body = ActionAccepted), Refusals))]
pub(super) async fn own(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<ActionRequest>,
) -> Result<Accepted, Refusal> {
    let scope = authorize(&caller, Permission::ControlOwn)?;
    order(&api, &caller, scope, request.action).await
}

async fn order(api: &Api, caller: &Caller, scope: Scope, action: Action) -> Result<Accepted, Refusal> {
    audit::action(match action {
        Action::Start => "workers.start",
        Action::Stop => "workers.stop",
        Action::Restart => "workers.restart",
    });
    let by = caller.name();
    let (selection, tenant, watch) = match scope {
        Scope::Everybody => (Selection::All, None, "/api/v1/admin/workers/status".to_owned()),
        Scope::Tenant(tenant) => (Selection::Tenant(tenant), Some(tenant.get()), status_path(tenant)),
    };
    let workers = accepted(api.context.handle.control(selection, action, &by)).await?;
    audit::detail("workers", workers);
    tracing::info!(%by, tenant, ?action, workers, "order accepted");
    Ok((StatusCode::ACCEPTED, axum::Json(ActionAccepted { accepted: true, action, workers, watch })))
}

/// Waits for the acceptance of an order, but not for ever.
pub(super) async fn accepted<T>(order: impl Future<Output = Result<T, ControlError>>) -> Result<T, Refusal> {
    match tokio::time::timeout(ACCEPTANCE, order).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_accepted_in_time",
            "the supervisor is busy and has not accepted the order yet; it may still be carried out: look at the status",
        )),
    }
}

fn status_path(tenant: TenantId) -> String {
    format!("/api/v1/admin/workers/tenant/{tenant}/status")
}
