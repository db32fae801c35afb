//! The list of tenants, and the confirmation of one that was refused because too many were missing from it.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, response::IntoResponse};
use etl_shared::api::TenantList;

use super::{
    Api,
    authorize::{Caller, Permission, authorize},
    control::accepted,
    problem::{Refusal, Refusals},
    tag::{self, Has, IfNoneMatch, NotModified},
};

/// The tenants, their source, and a list that was refused.
#[utoipa::path(get, path = "/tenants", tag = "tenants", params(IfNoneMatch), responses((status = 200, description = "The list", body = TenantList), NotModified, Refusals))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    has: Has,
) -> Result<impl IntoResponse, Refusal> {
    authorize(&caller, Permission::ManageTenants)?;
    Ok(tag::json(&has, &*api.context.handle.view().tenant_list))
}

/// Accepts the list that was refused because too many tenants were missing from it.
#[utoipa::path(post, path = "/tenants/confirm", tag = "tenants", responses((status = 200, description = "The list as it is now", body = TenantList), Refusals))]
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
