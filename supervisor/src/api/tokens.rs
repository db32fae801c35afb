//! API tokens: list, create, revoke.

use std::{error::Error, sync::Arc};

use axum::{
    Extension, Json as JsonBody,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use etl_shared::api::{CreateToken, CreatedToken, Role, TokenDescription};

use super::{
    Api, audit,
    authorize::{Caller, Grant, Permission, authorize},
    problem::{Refusal, Refusals},
    request::{Json, TextInPath},
    tag::{self, Has, IfNoneMatch, NotModified},
    token_store::TokenStoreError,
};

/// Longest name of a token, in characters.
const NAME_LIMIT: usize = 100;

/// The API tokens, without their secrets.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(IfNoneMatch), responses((status = 200, description = "All of them, the oldest first", body = Vec<TokenDescription>), NotModified, Refusals))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    has: Has,
) -> Result<impl IntoResponse, Refusal> {
    authorize(&caller, Permission::ManageTokens)?;
    Ok(tag::json(&has, &api.tokens.list()))
}

/// Makes an API token.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = CreateToken, responses((status = 201, description = "The token, shown this once", body = CreatedToken), Refusals))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<CreateToken>,
) -> Result<impl IntoResponse, Refusal> {
    authorize(&caller, Permission::ManageTokens)?;
    check(&request)?;
    let created = api.tokens.create(request).await?;
    let TokenDescription { id, name, role, tenant_id, .. } = &created.description;
    audit::detail("token", id.as_str());
    audit::detail("name", name.as_str());
    audit::detail("role", format!("{role:?}").to_lowercase());
    if let Some(tenant) = tenant_id {
        audit::tenant(*tenant);
    }
    let tenant = tenant_id.map(etl_shared::TenantId::get);
    tracing::info!(by = %caller.name(), token = %id, %name, ?role, tenant, "API token created");
    // The only time the secret travels: nobody on the way may keep it.
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], JsonBody(created)))
}

/// Revokes an API token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path, description = "The token's id")), responses((status = 204, description = "It is worth nothing from now on"), Refusals))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    TextInPath(id): TextInPath,
) -> Result<StatusCode, Refusal> {
    authorize(&caller, Permission::ManageTokens)?;
    audit::detail("token", id.chars().take(40).collect::<String>());
    if let Some((_, Some(tenant))) = api.tokens.grant(&id).map(Grant::parts) {
        audit::tenant(tenant);
    }
    if !api.tokens.revoke(&id).await? {
        let detail = "there is no token of this id: `etl-supervisor token list` shows those there are";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "token_unknown", detail));
    }
    tracing::info!(by = %caller.name(), token = %id, "API token revoked");
    Ok(StatusCode::NO_CONTENT)
}

fn check(request: &CreateToken) -> Result<(), Refusal> {
    let name = &request.name;
    if name.trim().is_empty() || name.chars().count() > NAME_LIMIT || name.chars().any(char::is_control) {
        let detail = format!("name must have 1 to {NAME_LIMIT} characters, none of them a control character");
        return Err(Refusal::bad_request("invalid_field", detail));
    }
    if Grant::new(request.role, request.tenant_id).is_some() {
        return Ok(());
    }
    Err(match request.role {
        Role::Admin => {
            Refusal::bad_request("tenant_not_allowed", "an admin's token is for every tenant: leave tenant_id out")
        }
        Role::Operator | Role::Viewer => {
            Refusal::bad_request("tenant_required", "an operator's or viewer's token is for one tenant: add tenant_id")
        }
    })
}

impl From<TokenStoreError> for Refusal {
    fn from(error: TokenStoreError) -> Self {
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "tokens_not_written", format!("{error}{cause}"))
    }
}
