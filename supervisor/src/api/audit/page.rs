//! The audit log for people.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use etl_shared::{
    TenantId,
    api::{AuditPage, AuditResult},
};
use serde::Deserialize;

use crate::{
    api::{
        Api,
        authorize::{Caller, Permission, Scope, authorize},
        dead_letters::{store, time},
        problem::{Refusal, Refusals},
        request::Parameters,
    },
    store::AuditFilter,
};

/// Entries of a page unless told, and at most.
const PAGE: (i64, i64) = (100, 1_000);

/// Which entries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// About this tenant.
    tenant_id: Option<TenantId>,
    /// By this actor, such as `token 3f…`.
    actor: Option<String>,
    /// This action, such as `workers.stop`.
    action: Option<String>,
    /// With this result.
    result: Option<AuditResult>,
    /// At this time or later, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time, RFC 3339.
    #[param(format = DateTime)]
    until: Option<String>,
    /// So many at most, 100 where absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<i64>,
}

/// Who did what, the newest first. An operator sees what was done with his tenant.
#[utoipa::path(get, path = "/audit", tag = "audit", params(Wanted), responses((status = 200, description = "One page", body = AuditPage), Refusals))]
pub(in crate::api) async fn read(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<AuditPage>, Refusal> {
    let tenant = match authorize(&caller, Permission::ReadAudit(wanted.tenant_id))? {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let limit = wanted.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::bad_request("invalid_parameter", format!("limit must be from 1 to {}", PAGE.1)));
    }
    // The database has no zero byte in a text, so nobody's name has one.
    if wanted.actor.iter().chain(&wanted.action).any(|text| text.contains('\0')) {
        return Err(Refusal::bad_request("invalid_parameter", "actor and action must not contain a zero byte"));
    }
    let filter = AuditFilter {
        tenant,
        actor: wanted.actor,
        action: wanted.action,
        result: wanted.result,
        since: wanted.since.map(|text| time("since", &text)).transpose()?,
        until: wanted.until.map(|text| time("until", &text)).transpose()?,
    };
    // One more than asked for tells whether there is another page.
    let mut entries = store(&api)?.session_for(caller.tenant()).await?.audit(&filter, wanted.cursor, limit + 1).await?;
    let more = entries.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        entries.pop();
    }
    let next_cursor = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Json(AuditPage { entries, next_cursor }))
}
