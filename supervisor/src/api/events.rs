//! What happens, as it happens: server-sent events.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use etl_shared::TenantId;
use serde::Deserialize;

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    listen::Seat,
    problem::{Refusal, Refusals},
    request::Parameters,
};

mod following;
mod resume;

use following::Following;

/// The parameters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only what happens to this tenant.
    tenant_id: Option<TenantId>,
    /// Go on behind this event: the same as the header `Last-Event-ID`, which comes first.
    last_event_id: Option<u64>,
    /// Also rows of the overview, as they change.
    #[serde(default)]
    rows: bool,
}

/// A stream of what happens, from now on or behind the last event that the client has seen.
#[utoipa::path(get, path = "/workers/events", tag = "events", params(Wanted, ("Last-Event-ID" = Option<u64>, Header, description = "Go on behind this event")), responses((status = 200, description = "Messages `fleet` (data: a `FleetEvent`), `rows` (data: an array of `TenantRow`; with `rows=true`) and `reset` (something was missed: load everything again); the answer ends when the client hangs up or is too slow", body = String, content_type = "text/event-stream"), Refusals))]
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(seat): Extension<Arc<Seat>>,
    headers: HeaderMap,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<impl IntoResponse, Refusal> {
    let only = match authorize(&caller, Permission::ReadEvents(wanted.tenant_id))? {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let last = last_event_id(&headers)?.or(wanted.last_event_id);
    seat.follow(&caller)?;
    // Before anything is looked up: a row that changes meanwhile is told.
    let rows = wanted.rows.then(|| api.live.subscribe());
    let opening = resume::open(&api, &caller, only, last).await;
    let following = Following::new(api, caller, only, rows, opening);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The seat that was taken is for this one answer.
        (header::CONNECTION, "close"),
        // A proxy that collects answers before it passes them on would make a stream useless.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let pieces = futures_util::stream::unfold(following, |mut following| async {
        following.next().await.map(|piece| (Ok::<_, Infallible>(piece), following))
    });
    Ok((headers, Body::from_stream(pieces)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    // A client that has seen no id sends none, or an empty one.
    if text.is_empty() {
        return Ok(None);
    }
    let refusal = |_| Refusal::bad_request("invalid_parameter", "Last-Event-ID is no id of an event: it is a number");
    text.parse().map(Some).map_err(refusal)
}
