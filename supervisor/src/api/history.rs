//! What has happened, page by page, and what one tenant used in the last two hours.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, Json, extract::State};
use etl_shared::{
    TenantId, Verdict, WorkerName,
    api::{EventPage, FleetEvent, TenantHistory},
};
use serde::Deserialize;

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::{Parameters, TenantInPath, time},
    status,
};
use crate::{history::STEP, store::history::EventFilter};

/// Events of a page unless told, and at most.
const PAGE: (usize, usize) = (50, 500);

/// Which events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this tenant.
    tenant_id: Option<TenantId>,
    /// Of this worker, such as `transform-7-1`.
    worker: Option<WorkerName>,
    /// Processes that ended so, such as `EXIT(1)` or `OOM`.
    verdict: Option<Verdict>,
    /// At this time or later, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time, RFC 3339.
    #[param(format = DateTime)]
    until: Option<String>,
    /// So many at most, 50 where absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(maximum = 9_223_372_036_854_775_807_i64)]
    cursor: Option<u64>,
}

/// What has happened, the newest first: from the database and, of the last moments, from memory.
#[utoipa::path(get, path = "/workers/history", tag = "events", params(Wanted), responses((status = 200, description = "One page", body = EventPage), Refusals))]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<EventPage>, Refusal> {
    let tenant = match authorize(&caller, Permission::ReadEvents(wanted.tenant_id))? {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let limit = wanted.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::bad_request("invalid_parameter", format!("limit must be from 1 to {}", PAGE.1)));
    }
    // What the database has for a number; an event's is far below.
    if wanted.cursor.is_some_and(|cursor| i64::try_from(cursor).is_err()) {
        return Err(Refusal::bad_request("invalid_parameter", "cursor must be the next_cursor of another page"));
    }
    let filter = EventFilter {
        source: None,
        tenant,
        worker: wanted.worker,
        verdict: wanted.verdict,
        since: wanted.since.map(|text| time("since", &text)).transpose()?,
        until: wanted.until.map(|text| time("until", &text)).transpose()?,
        before: wanted.cursor,
        after: None,
    };
    // One more than asked for tells whether there is another page.
    let mut found = recent(&api, &filter);
    if let Some(store) = &api.store {
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let written = store.session_for(caller.tenant()).await?.newest_events(&filter, most).await?;
        found.extend(written.into_iter().map(|event| (event.id, event)));
    }
    let mut events: Vec<_> = found.into_values().rev().take(limit + 1).collect();
    let more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| more).map(|event| event.id);
    Ok(Json(EventPage { events, next_cursor }))
}

/// What only the memory knows: all that it has, where there is no database.
fn recent(api: &Api, filter: &EventFilter) -> BTreeMap<u64, FleetEvent> {
    let journal = &api.context.journal;
    let entries =
        if api.store.is_some() { journal.unwritten(usize::MAX) } else { journal.missed(0, usize::MAX).entries };
    let ours = entries.iter().filter(|entry| filter.tenant.is_none() || entry.tenant() == filter.tenant);
    let events = ours.filter_map(|entry| entry.event()).filter(|event| filter.matches(event));
    events.map(|event| (event.id, event)).collect()
}

/// What one tenant's workers used and did in the last two hours.
#[utoipa::path(get, path = "/workers/tenant/{tenant_id}/history", tag = "workers", params(("tenant_id" = TenantId, Path, description = "Which tenant")), responses((status = 200, description = "A point for each minute, the oldest first", body = TenantHistory), Refusals))]
pub(super) async fn tenant(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    TenantInPath(asked): TenantInPath,
) -> Result<Json<TenantHistory>, Refusal> {
    let tenant = match authorize(&caller, Permission::ReadTenant(Some(asked)))? {
        Scope::Tenant(tenant) => tenant,
        Scope::Everybody => asked,
    };
    status::known(&api, tenant)?;
    let points = api.live.points(tenant);
    let step_seconds = u32::try_from(STEP.as_secs()).unwrap_or(u32::MAX);
    Ok(Json(TenantHistory { tenant_id: tenant, step_seconds, points }))
}
