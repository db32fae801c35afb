//! Each tenant's own accounts: how they stand, and their rotation.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::IntoResponse};
use etl_shared::api::{CredentialsStatus, RotateRequest, RotationAccepted, TenantCredentials};

use super::{
    Api, audit,
    authorize::{Caller, Permission, Scope, authorize},
    control::accepted,
    problem::{Refusal, Refusals},
    request::Json,
    tag::{self, Has, IfNoneMatch, NotModified},
};
use crate::runtime::Selection;

const TOLD_TO_TENANTS: &str = "whoever runs the supervisor sees why";

/// Whose accounts workers use, and how each tenant's stand.
#[utoipa::path(get, path = "/credentials", tag = "credentials", params(IfNoneMatch), responses((status = 200, description = "The accounts of all tenants that the caller may see", body = CredentialsStatus), NotModified, Refusals))]
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    has: Has,
) -> Result<impl IntoResponse, Refusal> {
    let scope = authorize(&caller, Permission::ReadFleet)?;
    let view = api.context.handle.view();
    let mode = if view.accounts.is_some() { "per_tenant" } else { "shared" };
    let seen = view.accounts.iter().flat_map(|accounts| accounts.iter());
    let seen = seen.filter(|(tenant, _)| match scope {
        Scope::Everybody => true,
        Scope::Tenant(own) => own == **tenant,
    });
    let tenants = seen.map(|(tenant, account)| (*tenant, shown(account, scope))).collect();
    Ok(tag::json(&has, &CredentialsStatus { mode: mode.to_owned(), tenants }))
}

/// What went wrong names servers, accounts and open walls: that is for whoever runs the supervisor.
fn shown(account: &TenantCredentials, scope: Scope) -> TenantCredentials {
    let mut account = account.clone();
    if let Scope::Tenant(_) = scope {
        let last = account.last_rotation.as_mut().and_then(|last| last.detail.as_mut());
        for detail in account.detail.as_mut().into_iter().chain(last) {
            TOLD_TO_TENANTS.clone_into(detail);
        }
    }
    account
}

/// Replaces the secrets of a tenant's workers, or of everybody's.
#[utoipa::path(post, path = "/credentials/rotate", tag = "credentials", request_body = RotateRequest, responses((status = 202, description = "Begun; the tenant's `last_rotation` tells how it ended", body = RotationAccepted), Refusals))]
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
    audit::detail("rotation", answer.rotation);
    tracing::info!(%by, rotation = answer.rotation, tenants = answer.tenants.len(), "rotation accepted");
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}

#[cfg(test)]
mod tests {
    use etl_shared::{TenantId, api::LastRotation};

    use super::*;

    #[test]
    fn a_tenant_is_not_told_what_is_wrong_with_the_servers() {
        let why = "database: connection to 10.0.0.7 refused".to_owned();
        let at = "2026-11-23T21:00:00Z".to_owned();
        let last_rotation = Some(LastRotation { rotation: 1, ok: false, at, detail: Some(why.clone()) });
        let account =
            TenantCredentials { generation: Some(1), state: "missing".to_owned(), detail: Some(why), last_rotation };
        assert_eq!(shown(&account, Scope::Everybody), account);
        let told = shown(&account, Scope::Tenant(TenantId::try_from(7).unwrap()));
        assert_eq!(told.detail.as_deref(), Some(TOLD_TO_TENANTS));
        assert_eq!(told.last_rotation.unwrap().detail.as_deref(), Some(TOLD_TO_TENANTS));
    }
}
