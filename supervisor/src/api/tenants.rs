//! The list of tenants, and the confirmation of one that was refused because too many were missing from it.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use etl_shared::api::TenantList;

use super::{
    Api,
    authorize::{Caller, Permission, authorize},
    control::accepted,
    problem::Refusal,
};

/// `GET /api/v1/admin/tenants`
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<TenantList>, Refusal> {
    authorize(&caller, Permission::ManageTenants)?;
    Ok(Json(TenantList::clone(&api.context.handle.view().tenant_list)))
}

/// `POST /api/v1/admin/tenants/confirm`
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<TenantList>, Refusal> {
    authorize(&caller, Permission::ManageTenants)?;
    let by = caller.name();
    let list = accepted(api.context.handle.confirm_tenants(&by)).await?;
    tracing::info!(%by, tenants = list.tenants.len(), "list of tenants confirmed");
    Ok(Json(list))
}
