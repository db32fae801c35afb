//! What is set for single tenants: shown from the published view, changed in the database.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Extension, Json as JsonBody,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use etl_shared::{
    TenantId,
    api::{ChangeSettings, EventKind, SettingsAnswer, SettingsDocument, SettingsList},
};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    Api, audit,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::{Json, Parameters},
    status::known,
};
use crate::{
    correlation,
    history::Happening,
    runtime::{FleetView, overrides::TenantOverrides},
};

mod change;
mod tell;

/// How long a change may take to reach the fleet before it is answered without waiting for that any longer.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Whose.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this tenant.
    tenant_id: Option<TenantId>,
}

/// What is set for the caller's tenant, or for the one that is named; without a name an admin gets every tenant for which something
/// was ever set.
#[utoipa::path(get, path = "/workers/config", tag = "settings", params(Which), responses((status = 200, description = "One tenant's, or everybody's", body = SettingsAnswer, headers(("ETag" = Option<String>, description = "The revision, for `If-Match` of the change; only where the answer is one tenant's"))), Refusals))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Parameters(which): Parameters<Which>,
) -> Result<Response, Refusal> {
    let now = SystemTime::now();
    match authorize(&caller, Permission::ReadSettings(which.tenant_id))? {
        Scope::Tenant(tenant) => Ok(answered(document(&*known(&api, tenant)?, tenant, now))),
        Scope::Everybody => {
            let view = api.context.handle.view();
            let tenants: Vec<_> = view.overrides.0.keys().map(|tenant| document(&view, *tenant, now)).collect();
            // Without a tag: a change is always one tenant's, and so is the revision that it depends on.
            Ok(JsonBody(SettingsAnswer::Everybody(SettingsList { tenants })).into_response())
        }
    }
}

/// Changes what is set for a tenant. The queue types that are not named stay as they are; of those that are named, every field counts.
///
/// It takes effect at once. With `If-Match`, only where nobody else has changed anything since it was read.
#[utoipa::path(put, path = "/workers/config", tag = "settings", params(("If-Match" = Option<String>, Header, description = "`ETag` of what was read before")), request_body = ChangeSettings, responses((status = 200, description = "What is set now, and what holds", body = SettingsDocument, headers(("ETag" = String, description = "For `If-Match` of the next change"))), Refusals))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(wanted): Json<ChangeSettings>,
) -> Result<Response, Refusal> {
    let Scope::Tenant(tenant) = authorize(&caller, Permission::ChangeSettings(wanted.tenant_id))? else {
        return Err(Refusal::bad_request("tenant_required", "add \"tenant_id\": NUMBER to the body"));
    };
    known(&api, tenant)?;
    api.store("settings are kept")?;
    // Whoever hangs up does not stop it: what may change something runs in a task of its own. Every step of it has its limit; were there
    // another one here, the audit log would call a change failed that is made after all.
    let (revision, what, answer) = write(&api, &caller, tenant, &wanted, headers.get(header::IF_MATCH)).await?;
    audit::detail("changes", what);
    audit::detail("revision", revision);
    // Whoever reads them next finds what was written.
    let until = Instant::now() + TAKEN_UP_WITHIN;
    let is_behind = |view: &FleetView| view.overrides.0.get(&tenant).is_none_or(|set| set.revision < revision);
    while revision > 0 && is_behind(&api.context.handle.view()) && Instant::now() < until {
        sleep(LOOK_AGAIN).await;
    }
    Ok(answered(answer))
}

/// Returns the revision, what was changed in words, and what is set then.
async fn write(
    api: &Api,
    caller: &Caller,
    tenant: TenantId,
    wanted: &ChangeSettings,
    expected: Option<&HeaderValue>,
) -> Result<(i64, String, SettingsDocument), Refusal> {
    let mut session = api.store("settings are kept")?.session_for(caller.tenant()).await?;
    let change = session.change_settings(tenant).await?;
    let (now, view) = (SystemTime::now(), api.context.handle.view());
    let overtaken = || {
        let detail = "somebody else has changed these settings since they were read: read them again";
        Refusal::new(StatusCode::PRECONDITION_FAILED, "settings_changed", detail)
    };
    if expected.is_some_and(|expected| !matches(expected, change.before.revision)) {
        return Err(overtaken());
    }
    let before = change.before.clone();
    let queues = change::checked(&wanted.queues, &view.rules, &before, caller, now)?;
    let what = change::in_words(&before, &queues);
    if what.is_empty() {
        return Ok((before.revision, what, tell::document(tenant, &before, &view.rules, now)));
    }
    let by = caller.name();
    let after = change.set(&queues, &by, expected.is_some()).await?.ok_or_else(overtaken)?;
    // The database has told the fleet already; where its word does not come through, this does.
    api.context.reload_tenants.send_modify(|turn| *turn += 1);
    tracing::info!(%by, %tenant, what, "settings changed");
    api.context.journal.record(Happening {
        tenant: Some(tenant),
        by: Some(by),
        correlation_id: correlation::current(),
        ..Happening::new(EventKind::Settings, what.clone())
    });
    Ok((after.revision, what, tell::document(tenant, &after, &view.rules, now)))
}

fn document(view: &FleetView, tenant: TenantId, now: SystemTime) -> SettingsDocument {
    let nothing = TenantOverrides::default();
    tell::document(tenant, view.overrides.0.get(&tenant).unwrap_or(&nothing), &view.rules, now)
}

fn answered(document: SettingsDocument) -> Response {
    ([(header::ETAG, tag(document.revision))], JsonBody(document)).into_response()
}

fn tag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// Whether `If-Match` names this revision among others, or any.
fn matches(header: &HeaderValue, revision: i64) -> bool {
    let tag = tag(revision);
    // A proxy that compresses makes a weak tag of a strong one.
    let tags = header.to_str().unwrap_or_default().split(',').map(|named| named.trim().trim_start_matches("W/"));
    tags.into_iter().any(|named| named == "*" || named == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_only_to_what_was_read() {
        for (header, fits) in [
            ("\"7\"", true),
            ("W/\"7\"", true),
            ("\"6\", \"7\"", true),
            ("*", true),
            ("\"6\"", false),
            ("7", false),
            ("\"77\"", false),
            ("", false),
        ] {
            assert_eq!(matches(&HeaderValue::from_static(header), 7), fits, "{header}");
        }
    }
}
