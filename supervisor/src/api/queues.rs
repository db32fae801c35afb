//! How the tenants' queues stand, from the published view: nobody waits for the broker.

use std::{collections::BTreeSet, ops::Bound, sync::Arc};

use axum::{Extension, Json as JsonBody, extract::State};
use etl_shared::{
    QueueType, TenantId,
    api::{QueueList, QueueStatus},
};
use serde::Deserialize;

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::Parameters,
    status::{Now, known, queue},
};
use crate::runtime::FleetView;

/// Queues of a page unless told, and at most.
const PAGE: (usize, usize) = (100, 1000);

/// Which queues.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Of this tenant.
    tenant_id: Option<TenantId>,
    /// So many at most, 100 where absent; a tenant's queues are never on two pages, so there may be a few more.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<TenantId>,
}

/// The queues of every tenant that the caller may see, as the broker reported them last.
#[utoipa::path(get, path = "/queues/status", tag = "queues", params(ListParameters), responses((status = 200, description = "One page, in the order of their tenants", body = QueueList), Refusals))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<JsonBody<QueueList>, Refusal> {
    let scope = authorize(&caller, Permission::ReadQueues(asked.tenant_id))?;
    let limit = asked.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::bad_request("invalid_parameter", format!("limit must be from 1 to {}", PAGE.1)));
    }
    Ok(JsonBody(match scope {
        Scope::Tenant(tenant) => QueueList { queues: of(&*known(&api, tenant)?, tenant), next_cursor: None },
        Scope::Everybody => page(&api.context.handle.view(), asked.cursor, limit),
    }))
}

fn page(view: &FleetView, behind: Option<TenantId>, limit: usize) -> QueueList {
    let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
    let mut queues = Vec::new();
    let mut last = None;
    for (tenant, _) in view.tenants.range((from, Bound::Unbounded)) {
        if queues.len() >= limit {
            return QueueList { queues, next_cursor: last };
        }
        queues.extend(of(view, *tenant));
        last = Some(*tenant);
    }
    QueueList { queues, next_cursor: None }
}

/// One tenant's, also those of kinds that are not configured any longer and still have workers.
fn of(view: &FleetView, tenant: TenantId) -> Vec<QueueStatus> {
    let left_over = view.workers_of(tenant).iter().map(|worker| &worker.name.queue_type);
    let types: BTreeSet<&QueueType> = view.rules.keys().chain(left_over).collect();
    let now = Now::read();
    types.into_iter().filter_map(|queue_type| queue(view, &queue_type.queue_of(tenant).to_string(), &now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fleet::{synthetic, tenant};

    fn names(list: &QueueList) -> Vec<&str> {
        list.queues.iter().map(|queue| queue.name.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_in_the_order_of_the_tenants_numbers() {
        let view = synthetic(11);
        let first = page(&view, None, 9);
        assert_eq!((first.queues.len(), first.next_cursor), (9, Some(tenant(9))));
        let second = page(&view, first.next_cursor, 9);
        assert_eq!(names(&second), ["transform_queue_tenant_10", "transform_queue_tenant_11"]);
        assert_eq!(second.next_cursor, None);
        let exact = page(&view, None, 11);
        assert_eq!((exact.queues.len(), exact.next_cursor), (11, None), "no page follows that would be empty");
        assert_eq!(page(&view, Some(tenant(11)), 9).queues, []);
    }
}
