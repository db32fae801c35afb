//! One transform job, published on a person's behalf.
//!
//! What a worker would certainly give up is refused here, so that it does not become a dead letter first. Nothing of it depends on the
//! caller's token once the message is in its queue.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json as JsonBody, extract::State, http::StatusCode};
use etl_shared::{
    QueueType, TenantId, TransformMessage,
    api::{EventKind, JobAccepted, JobRequest},
    data_types,
    publish::{Outgoing, PublishError, Publisher, headers},
    trace::Origin,
};
use tokio::time::timeout;

use super::{
    Api, audit,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    publishing::connect,
    request::Json,
    status::known,
};
use crate::{causes::in_one_line, correlation, history::Happening, store::raw_rows::RawRowFacts};

/// How long the confirm may take.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// Publishes a message that has a worker transform a raw row, again or for the first time.
///
/// Answered once the broker has confirmed it; what becomes of it shows in the raw row's `status`.
#[utoipa::path(post, path = "/jobs", tag = "jobs", request_body = JobRequest, responses((status = 202, description = "The broker has it", body = JobAccepted), Refusals))]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(job): Json<JobRequest>,
) -> Result<(StatusCode, JsonBody<JobAccepted>), Refusal> {
    let Scope::Tenant(tenant) = authorize(&caller, Permission::PublishJob(job.tenant_id))? else {
        return Err(Refusal::bad_request("tenant_required", "add \"tenant_id\": NUMBER to the body"));
    };
    let view = known(&api, tenant)?;
    let queue_type = queue_type(job.queue_type.as_ref(), &view.rules.keys().collect::<Vec<_>>())?;
    let message = message(&job, tenant)?;
    audit::detail("type", message.kind.as_str());
    audit::detail("raw_data_id", job.raw_data_id);
    audit::detail("integration_id", job.integration_id);
    if api.store.is_some() {
        let found = api
            .store("raw rows are kept")?
            .session_for(caller.tenant())
            .await?
            .raw_row(tenant, job.raw_data_id)
            .await?;
        fits(&message, job.raw_data_id, found.as_ref())?;
    }
    let mut origin = correlation::origin();
    let correlation_id = origin.correlation_id.get_or_insert_with(correlation::new_id).clone();
    let queue = queue_type.queue_of(tenant).to_string();
    audit::detail("queue", queue.as_str());
    let publisher = connect(&api, "job").await?;
    let confirmed = confirmed(&publisher, &queue, &message.encode(), &origin).await;
    let _ = timeout(CONFIRM_WITHIN, publisher.close()).await;
    confirmed?;
    let by = caller.name();
    tracing::info!(%by, %tenant, queue, raw_data_id = job.raw_data_id, kind = message.kind, correlation_id, "job published");
    api.context.journal.record(Happening {
        tenant: Some(tenant),
        by: Some(by),
        correlation_id: Some(correlation_id.clone()),
        ..Happening::new(
            EventKind::Order,
            format!("published {} of raw row {} to {queue}", message.kind, job.raw_data_id),
        )
    });
    Ok((StatusCode::ACCEPTED, JsonBody(JobAccepted { queue, correlation_id })))
}

/// The one that is named, `transform`, or the only one there is.
fn queue_type(named: Option<&QueueType>, configured: &[&QueueType]) -> Result<QueueType, Refusal> {
    let chosen = match (named, configured) {
        (Some(named), _) => configured.iter().find(|known| **known == named),
        (None, [only]) => Some(only),
        (None, _) => configured.iter().find(|known| known.as_str() == "transform"),
    };
    chosen.map(|found| (*found).clone()).ok_or_else(|| {
        let known: Vec<&str> = configured.iter().map(|known| known.as_str()).collect();
        let detail = format!("queue_type must be one of those configured here: {}", known.join(", "));
        Refusal::bad_request("unknown_queue_type", detail)
    })
}

fn message(job: &JobRequest, tenant: TenantId) -> Result<TransformMessage, Refusal> {
    let kind = job.kind.as_str();
    if data_types::name_of(kind).is_none() {
        let names: Vec<&str> = data_types::DATA_TYPES.iter().map(|(name, _)| *name).collect();
        let detail = format!("no worker knows this type; there are {}", names.join(", "));
        return Err(Refusal::bad_request("unknown_type", detail));
    }
    if job.integration_id < 1 || job.raw_data_id < 1 {
        let detail = "integration_id and raw_data_id must be positive whole numbers";
        return Err(Refusal::bad_request("invalid_field", detail));
    }
    Ok(TransformMessage {
        tenant_id: tenant,
        integration_id: job.integration_id,
        raw_data_id: Some(job.raw_data_id),
        kind: kind.to_owned(),
        extra: serde_json::Map::new(),
    })
}

/// Whether the raw row is one that a worker would transform by this message.
fn fits(message: &TransformMessage, id: i64, found: Option<&RawRowFacts>) -> Result<(), Refusal> {
    let Some(row) = found else {
        let detail = format!("tenant {} has no raw row {id} in raw_extraction_data", message.tenant_id);
        return Err(Refusal::new(StatusCode::NOT_FOUND, "raw_row_unknown", detail));
    };
    let same_type = data_types::name_of(&row.kind).is_none_or(|name| Some(name) == data_types::name_of(&message.kind));
    if row.integration_id == message.integration_id && same_type {
        return Ok(());
    }
    let detail = format!(
        "raw row {id} is of integration {} and type {}: a worker would give this message up",
        row.integration_id, row.kind
    );
    Err(Refusal::new(StatusCode::CONFLICT, "raw_row_differs", detail))
}

async fn confirmed(publisher: &Publisher, queue: &str, body: &[u8], origin: &Origin) -> Result<(), Refusal> {
    let headers = headers::with_origin(origin);
    let unavailable = |code, detail: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    let outgoing = vec![Outgoing { queue, body, headers }];
    let Ok(answers) = timeout(CONFIRM_WITHIN, publisher.publish_many(outgoing)).await else {
        let detail = "the broker has not confirmed the message in time: it may or may not be in the queue";
        return Err(unavailable("unconfirmed", detail.to_owned()));
    };
    match answers.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(error @ PublishError::Unroutable { .. }) => {
            Err(Refusal::new(StatusCode::CONFLICT, "queue_missing", in_one_line(&error)))
        }
        Some(error) => Err(unavailable(error.code(), in_one_line(&error))),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn code(refusal: Refusal) -> (u16, String) {
        let said = format!("{refusal:?}");
        (refusal.into_response().status().as_u16(), said)
    }

    fn job(kind: &str, integration_id: i64) -> JobRequest {
        JobRequest { tenant_id: None, integration_id, raw_data_id: 5, kind: kind.to_owned(), queue_type: None }
    }

    fn tenant() -> TenantId {
        7.try_into().unwrap()
    }

    #[test]
    fn a_type_that_no_worker_knows_is_refused_with_all_that_there_are() {
        let (status, said) = code(message(&job("jira_custom_field", 1), tenant()).unwrap_err());
        assert!(status == 400 && said.contains("unknown_type"), "{said}");
        assert!(data_types::DATA_TYPES.iter().all(|(name, _)| said.contains(name)), "{said}");
        assert_eq!(message(&job("github_prs", 1), tenant()).unwrap().kind, "github_prs", "an alias is a name too");
        assert!(code(message(&job("github_prs", 0), tenant()).unwrap_err()).1.contains("invalid_field"));
    }

    #[test]
    fn a_message_that_a_worker_would_give_up_for_its_row_is_refused() {
        let message = message(&job("github_prs", 3), tenant()).unwrap();
        let row = |kind: &str, integration_id| RawRowFacts { kind: kind.to_owned(), integration_id };
        fits(&message, 5, Some(&row("github_prs_nested", 3))).unwrap();
        for (row, status, expected) in [
            (None, 404, "raw_row_unknown"),
            (Some(row("github_prs", 4)), 409, "of integration 4"),
            (Some(row("jira_dev_status", 3)), 409, "type jira_dev_status"),
        ] {
            let (found, said) = code(fits(&message, 5, row.as_ref()).unwrap_err());
            assert!(found == status && said.contains(expected), "{said}");
        }
    }

    #[test]
    fn the_queue_type_is_the_one_that_is_named_or_the_obvious_one() {
        let (transform, other): (QueueType, QueueType) = ("transform".parse().unwrap(), "other".parse().unwrap());
        assert_eq!(queue_type(None, &[&other]).unwrap(), other);
        assert_eq!(queue_type(None, &[&other, &transform]).unwrap(), transform);
        assert_eq!(queue_type(Some(&other), &[&other, &transform]).unwrap(), other);
        let (status, said) = code(queue_type(Some(&other), &[&transform]).unwrap_err());
        assert!(status == 400 && said.contains("unknown_queue_type") && said.contains("transform"), "{said}");
    }
}
