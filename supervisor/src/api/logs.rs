//! The output of one tenant's workers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use etl_shared::TenantId;
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::{sync::watch, time};

use super::{
    Api,
    authorize::{Caller, Permission, Scope, authorize},
    listen::{Seat, Turns},
    problem::{Refusal, Refusals},
    request::Parameters,
    status,
};
use crate::runtime::FleetView;

mod chain;
mod reader;
#[cfg(test)]
mod rotated;
mod tail;

use reader::Reader;

/// Lines of each worker, unless asked for more or fewer.
const LINES: usize = 100;
/// Most lines of each worker.
const MOST_LINES: usize = 10_000;
/// How often files are looked at again while somebody follows.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The parameters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Whose; the caller's own where absent.
    tenant_id: Option<TenantId>,
    /// So many of each worker, 100 where absent.
    #[param(maximum = 10_000)]
    lines: Option<usize>,
    /// Go on with what is written from now on.
    #[serde(default)]
    follow: bool,
}

/// What one tenant's workers have written.
#[utoipa::path(get, path = "/workers/logs", tag = "workers", params(Wanted), responses((status = 200, description = "The lines; with `follow` the answer ends when the client hangs up", body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(seat): Extension<Arc<Seat>>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Refusal> {
    let tenant = match authorize(&caller, Permission::ReadTenant(wanted.tenant_id))? {
        Scope::Tenant(tenant) => tenant,
        Scope::Everybody => return Err(Refusal::bad_request("tenant_required", "add ?tenant_id=NUMBER")),
    };
    let lines = wanted.lines.unwrap_or(LINES);
    if lines > MOST_LINES {
        return Err(Refusal::bad_request("invalid_parameter", format!("lines may be at most {MOST_LINES}")));
    }
    let view = status::known(&api, tenant)?;
    if wanted.follow {
        seat.follow(&caller)?;
    }
    let mut reader = Reader::new(api.context.runtime.log_directory.clone(), lines, wanted.follow);
    watch_workers(&mut reader, &view, tenant);
    let (reader, first) = step(&api.log_readers, reader).await?;
    let stopping = api.stopping.clone();
    let lines = pieces(Following { api, caller, tenant, stopping, reader, first: Some(first) });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // Whatever a worker has written, a browser shall not take it for a page.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

struct Following {
    api: Arc<Api>,
    caller: Caller,
    tenant: TenantId,
    stopping: watch::Receiver<bool>,
    reader: Reader,
    first: Option<Vec<u8>>,
}

/// Reads on only when the client has taken what was read, so a slow one costs a piece and no more.
fn pieces(following: Following) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(following, |mut state| async move {
        if let Some(first) = state.first.take().filter(|first| !first.is_empty()) {
            return Some((Ok(first.into()), state));
        }
        while !state.reader.finished() {
            // A revoked token reads no further.
            if state.stopping.has_changed().is_err()
                || *state.stopping.borrow()
                || !state.api.still_knows(&state.caller)
            {
                return None;
            }
            watch_workers(&mut state.reader, &state.api.context.handle.view(), state.tenant);
            let piece;
            (state.reader, piece) = step(&state.api.log_readers, state.reader).await.ok()?;
            if !piece.is_empty() {
                return Some((Ok(piece.into()), state));
            }
            let _ = time::timeout(LOOK_AGAIN, state.stopping.wait_for(|stopping| *stopping)).await;
        }
        None
    })
}

fn watch_workers(reader: &mut Reader, view: &FleetView, tenant: TenantId) {
    reader.watch(view.workers_of(tenant).iter().map(|worker| &worker.name));
}

/// Files may be on a slow disk, and this thread has other clients.
async fn step(turns: &Turns, mut reader: Reader) -> Result<(Reader, Vec<u8>), Refusal> {
    let turn = turns.take().await;
    match turn.run(move || reader.read().map(|piece| (reader, piece))).await {
        Some(Ok(read)) => Ok(read),
        Some(Err(error)) => {
            tracing::warn!(%error, "log not readable");
            Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "log_unreadable",
                format!("cannot read the log: {error}"),
            ))
        }
        None => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the supervisor is stopping")),
    }
}
