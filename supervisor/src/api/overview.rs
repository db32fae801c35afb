//! Every tenant in a line, for tables of thousands.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use etl_shared::{
    TenantId,
    api::{Overview, Totals, WorkerState},
};
use serde::Deserialize;

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::Parameters,
};

mod brief;
mod live;
mod row;
mod watch;

pub(super) use live::{Live, Rows};
pub(super) use watch::watch;

use brief::Brief;

/// Rows of a page unless told, and at most.
const PAGE: (usize, usize) = (100, 5_000);

/// The parameters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Part of a tenant's name or number, whatever the case of its letters.
    search: Option<String>,
    /// Only tenants that stand there.
    state: Option<WorkerState>,
    /// So many at most, 100 where absent.
    #[param(minimum = 1, maximum = 5_000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<TenantId>,
}

/// The tenants that the caller may see, a line each, and sums over all that match.
#[utoipa::path(get, path = "/workers/overview", tag = "workers", params(Wanted), responses((status = 200, description = "One page", body = Overview), Refusals))]
pub(super) async fn overview(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Overview>, Refusal> {
    let only = match authorize(&caller, Permission::ReadFleet)? {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let limit = wanted.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::bad_request("invalid_parameter", format!("limit must be from 1 to {}", PAGE.1)));
    }
    let search = wanted.search.map(|search| search.trim().to_lowercase()).filter(|search| !search.is_empty());
    let view = api.context.handle.view();
    let mut seen = api.live.seen();
    seen.take_in(&view);

    let mut totals = Totals::default();
    let (mut tenants, mut next_cursor) = (Vec::new(), None);
    for tenant in brief::tenants(&view).into_iter().filter(|tenant| only.is_none_or(|only| only == *tenant)) {
        let is_found = search.as_ref().is_none_or(|search| {
            tenant.to_string().contains(search)
                || view.names.get(&tenant).is_some_and(|name| name.to_lowercase().contains(search))
        });
        if !is_found {
            continue;
        }
        let brief = Brief::of(&view, tenant, &seen.tally);
        if wanted.state.is_some_and(|state| state != brief.state) {
            continue;
        }
        add(&mut totals, &brief);
        if wanted.cursor.is_some_and(|cursor| tenant <= cursor) {
            continue;
        }
        if tenants.len() < limit {
            tenants.push(row::row(&view, tenant, &brief, &seen));
        } else if next_cursor.is_none() {
            next_cursor = tenants.last().map(|row| row.tenant_id);
        }
    }
    Ok(Json(Overview { last_event_id: view.last_event_id, totals, tenants, next_cursor }))
}

fn add(totals: &mut Totals, brief: &Brief<'_>) {
    totals.tenants += 1;
    totals.workers += usize::from(brief.workers);
    *totals.states.entry(brief.state).or_default() += 1;
    totals.messages_ready += u64::from(brief.messages_ready.unwrap_or_default());
    totals.throughput += brief.throughput.unwrap_or_default();
    totals.resident_memory_bytes += brief.memory;
}
