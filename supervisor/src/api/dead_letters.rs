//! Dead letters for people: list, show, replay, discard.

use std::sync::Arc;

use axum::{Extension, Json as JsonBody, extract::State, http::StatusCode};
use etl_shared::{
    TenantId,
    api::{DeadLetterDetail, DeadLetterPage, LetterFilter, LetterSelection, LetterState, LettersSettled},
};
use serde::Deserialize;
use tracing::Instrument;

pub(super) use super::request::time;
use super::{
    Api, audit,
    authorize::{Caller, Permission, Scope, authorize},
    problem::{Refusal, Refusals},
    request::{Json, Parameters, TextInPath},
};
use crate::{
    correlation,
    store::{
        OperatorStore,
        letters::{Filter, OpenLetter},
    },
};

mod replay;
mod tell;

/// Letters of a page unless told, and at most.
const PAGE: (i64, i64) = (50, 500);
/// Letters that one call settles unless told, and at most: a call has to answer in good time.
const CALL: (u32, u32) = (100, 500);

/// Which letters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Of this tenant.
    tenant_id: Option<TenantId>,
    /// Given up for this reason.
    #[param(pattern = "^[^\\x00]*$")]
    reason: Option<String>,
    /// Naming this data type.
    #[param(pattern = "^[^\\x00]*$")]
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Given up at this time or later, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Given up before this time, RFC 3339.
    #[param(format = DateTime)]
    until: Option<String>,
    /// `open` where absent.
    #[param(inline)]
    state: Option<Listed>,
    /// So many at most, 50 where absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<i64>,
}

/// Which letters are listed.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Listed {
    Open,
    Replayed,
    Discarded,
    All,
}

/// Dead letters, the newest first, without their bodies.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", params(ListParameters), responses((status = 200, description = "One page", body = DeadLetterPage), Refusals))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<JsonBody<DeadLetterPage>, Refusal> {
    let scope = authorize(&caller, Permission::ReadLetters(asked.tenant_id))?;
    let limit = asked.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::bad_request("invalid_parameter", format!("limit must be from 1 to {}", PAGE.1)));
    }
    let filter = Filter {
        tenant: tenant_of(scope),
        reason: word("reason", asked.reason)?,
        kind: word("type", asked.kind)?,
        since: asked.since.map(|text| time("since", &text)).transpose()?,
        until: asked.until.map(|text| time("until", &text)).transpose()?,
    };
    let state = match asked.state {
        None | Some(Listed::Open) => Some(LetterState::Open),
        Some(Listed::Replayed) => Some(LetterState::Replayed),
        Some(Listed::Discarded) => Some(LetterState::Discarded),
        Some(Listed::All) => None,
    };
    // One more than asked for tells whether there is another page.
    let mut letters =
        store(&api)?.session_for(caller.tenant()).await?.letters(&filter, state, asked.cursor, limit + 1).await?;
    let more = letters.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        letters.pop();
    }
    let next_cursor = letters.last().filter(|_| more).map(|letter| letter.id);
    Ok(JsonBody(DeadLetterPage { letters: letters.into_iter().map(tell::letter).collect(), next_cursor }))
}

/// Everything about one dead letter.
#[utoipa::path(get, path = "/dead-letters/{id}", tag = "dead letters", params(("id" = i64, Path, description = "The letter's number")), responses((status = 200, description = "The letter with its body", body = DeadLetterDetail), Refusals))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    TextInPath(id): TextInPath,
) -> Result<JsonBody<DeadLetterDetail>, Refusal> {
    let scope = authorize(&caller, Permission::ReadLetters(None))?;
    let unknown = || {
        let detail = "there is no dead letter of this number here: /api/v1/admin/dead-letters lists those there are";
        Refusal::new(StatusCode::NOT_FOUND, "letter_unknown", detail)
    };
    // Another tenant's letter is as unknown as one that does not exist.
    let id = id.parse().map_err(|_| unknown())?;
    let found = store(&api)?.session_for(caller.tenant()).await?.letter(id, tenant_of(scope)).await?;
    found.map(|(letter, contents)| JsonBody(tell::whole(letter, contents))).ok_or_else(unknown)
}

/// Publishes the messages of open letters again and marks the letters.
#[utoipa::path(post, path = "/dead-letters/replay", tag = "dead letters", request_body = LetterSelection, responses((status = 200, description = "What became of them", body = LettersSettled), Refusals))]
pub(super) async fn replay(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(selection): Json<LetterSelection>,
) -> Result<JsonBody<LettersSettled>, Refusal> {
    let (chosen, tenant) = choose(&api, &caller, &selection).await?;
    let mut settled = chosen.settled;
    if !settled.dry_run && !chosen.ids.is_empty() {
        // A task of its own: a client that hangs up does not stop it in the middle. That it would do no harm stands in
        // `store::letters::taking`.
        let (api, ids, caller) = (Arc::clone(&api), chosen.ids, caller.clone());
        let replaying = async move {
            let spans = &api.context.spans;
            let span = spans.publishing("replay dead letters", correlation::origin());
            let replaying = replay::replay(&api, &ids, tenant, &caller);
            let replayed = correlation::scope_of(span.origin.clone(), replaying).await;
            let done = replayed.as_ref().map_or(0, |settled| settled.done);
            let attributes = [("messaging.system", "rabbitmq".to_owned()), ("etl.messages", done.to_string())];
            spans.published(span, attributes.into());
            replayed
        };
        let replayed = tokio::spawn(correlation::scope_of(correlation::origin(), replaying).in_current_span()).await;
        let replayed = replayed.map_err(|_| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the supervisor stopped in the middle of it")
        })??;
        let matched = settled.matched.max(count(replayed.done + replayed.failed.len()));
        settled = LettersSettled { matched, ..replayed };
    }
    log(&caller, "replay", &settled);
    Ok(JsonBody(settled))
}

/// Marks open letters as done with.
#[utoipa::path(post, path = "/dead-letters/discard", tag = "dead letters", request_body = LetterSelection, responses((status = 200, description = "What became of them", body = LettersSettled), Refusals))]
pub(super) async fn discard(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(selection): Json<LetterSelection>,
) -> Result<JsonBody<LettersSettled>, Refusal> {
    let (chosen, tenant) = choose(&api, &caller, &selection).await?;
    let mut settled = chosen.settled;
    if !settled.dry_run && !chosen.ids.is_empty() {
        settled.done = store(&api)?.session_for(caller.tenant()).await?.discard(&chosen.ids, tenant).await?;
        settled.skipped = chosen.ids.len() - settled.done.min(chosen.ids.len());
        settled.matched = settled.matched.max(count(settled.done));
    }
    log(&caller, "discard", &settled);
    Ok(JsonBody(settled))
}

/// What a selection comes to.
struct Chosen {
    ids: Vec<i64>,
    settled: LettersSettled,
}

/// Decides whether the caller may, and finds out which letters are meant.
async fn choose(
    api: &Api,
    caller: &Caller,
    selection: &LetterSelection,
) -> Result<(Chosen, Option<TenantId>), Refusal> {
    let named = selection.filter.as_ref().and_then(|filter| filter.tenant_id);
    let tenant = tenant_of(authorize(caller, Permission::SettleLetters(named))?);
    let limit = selection.limit.unwrap_or(CALL.0);
    if !(1..=CALL.1).contains(&limit) {
        return Err(Refusal::bad_request("invalid_field", format!("limit must be from 1 to {}", CALL.1)));
    }
    let (ids, matched) = match (&selection.ids, &selection.filter) {
        (Some(ids), None) if ids.len() > CALL.1 as usize => {
            let detail = format!("ids must be at most {}: settle more in several calls", CALL.1);
            return Err(Refusal::bad_request("invalid_field", detail));
        }
        (Some(ids), None) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            let open = store(api)?.session_for(caller.tenant()).await?.open_among(&ids, tenant).await?;
            note_tenant(&open);
            // Where it is done, it is counted as it is done.
            (ids, if selection.dry_run { count(open.len()) } else { 0 })
        }
        (None, Some(filter)) => {
            let filter = read(filter, tenant)?;
            let session = store(api)?.session_for(caller.tenant()).await?;
            let matched = session.count_open(&filter).await?;
            let wanted = if selection.dry_run { 0 } else { i64::from(limit) };
            (session.open_ids(&filter, wanted).await?, matched)
        }
        (None, None) => {
            let detail = "say which letters: ids, or a filter; {\"filter\":{}} means all open ones";
            return Err(Refusal::bad_request("selection_required", detail));
        }
        (Some(_), Some(_)) => {
            return Err(Refusal::bad_request("invalid_field", "give ids or a filter, not both"));
        }
    };
    Ok((Chosen { ids, settled: LettersSettled { dry_run: selection.dry_run, matched, ..Default::default() } }, tenant))
}

/// An admin names letters and no tenant; where all are of one, the entry in the audit log is about that one.
fn note_tenant(letters: &[OpenLetter]) {
    let mut tenants = letters.iter().map(|letter| letter.tenant_id.and_then(|id| TenantId::try_from(id).ok()));
    if let Some(Some(first)) = tenants.next()
        && tenants.all(|tenant| tenant == Some(first))
    {
        audit::tenant(first);
    }
}

fn count(letters: usize) -> i64 {
    i64::try_from(letters).unwrap_or(i64::MAX)
}

fn read(filter: &LetterFilter, tenant: Option<TenantId>) -> Result<Filter, Refusal> {
    Ok(Filter {
        tenant,
        reason: word("reason", filter.reason.clone())?,
        kind: word("type", filter.kind.clone())?,
        since: filter.since.as_deref().map(|text| time("since", text)).transpose()?,
        until: filter.until.as_deref().map(|text| time("until", text)).transpose()?,
    })
}

/// The database has no text with a NUL in it, and does not want to be asked for one.
fn word(name: &str, text: Option<String>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.contains('\0') => {
            Err(Refusal::bad_request("invalid_parameter", format!("{name} may not hold the character NUL")))
        }
        text => Ok(text),
    }
}

const fn tenant_of(scope: Scope) -> Option<TenantId> {
    match scope {
        Scope::Everybody => None,
        Scope::Tenant(tenant) => Some(tenant),
    }
}

pub(super) fn store(api: &Api) -> Result<&OperatorStore, Refusal> {
    api.store("dead letters are kept")
}

fn log(caller: &Caller, what: &str, settled: &LettersSettled) {
    audit::detail("matched", settled.matched);
    audit::detail("done", settled.done);
    audit::detail("failed", settled.failed.len());
    audit::detail("dry_run", settled.dry_run);
    if settled.done > 0 || !settled.failed.is_empty() {
        tracing::info!(
            by = %caller.name(), done = settled.done, skipped = settled.skipped, failed = settled.failed.len(),
            "dead letters: {what}"
        );
    }
}
