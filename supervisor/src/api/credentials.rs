//! Each tenant's own accounts: how they stand, and their rotation.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use etl_shared::api::{CredentialsStatus, RotateRequest, RotationAccepted};

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    control::accepted,
    problem::Refusal,
    request::Json,
};
use crate::runtime::Selection;

/// `GET /api/v1/admin/credentials`
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<CredentialsStatus>, Refusal> {
    let scope = authorize(&caller, Permission::ReadFleet)?;
    let view = api.context.handle.view();
    let mode = if view.accounts.is_some() { "per_tenant" } else { "shared" };
    let seen = view.accounts.iter().flat_map(|accounts| accounts.iter());
    let seen = seen.filter(|(tenant, _)| match scope {
        Scope::Everybody => true,
        Scope::Tenant(own) => own == **tenant,
    });
    let tenants = seen.map(|(tenant, account)| (*tenant, account.clone())).collect();
    Ok(axum::Json(CredentialsStatus { mode: mode.to_owned(), tenants }))
}

/// `POST /api/v1/admin/credentials/rotate`
pub(super) async fn rotate(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<RotateRequest>,
) -> Result<(StatusCode, axum::Json<RotationAccepted>), Refusal> {
    let asked = match (request.tenant_id, request.all) {
        (Some(tenant), false) => Some(tenant),
        (None, true) => None,
        _ => {
            let detail = "say whose secrets: either {\"tenant_id\": NUMBER} or {\"all\": true}";
            return Err(Refusal::bad_request("selection_required", detail));
        }
    };
    let selection = match authorize(&caller, Permission::RotateCredentials(asked))? {
        Scope::Everybody => Selection::All,
        Scope::Tenant(tenant) => Selection::Tenant(tenant),
    };
    let by = caller.name();
    let answer = accepted(api.context.handle.rotate(selection, &by)).await?;
    tracing::info!(%by, rotation = answer.rotation, tenants = answer.tenants.len(), "rotation accepted");
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}
