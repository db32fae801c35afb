//! `/metrics`: what Prometheus and its relatives read, in the `OpenMetrics` text format.
//!
//! Nothing is kept up to date for it. Each scrape reads the published view and the counters as they are, and writes them down: what
//! nobody asks for costs nothing, and a worker that is gone is gone from the next answer.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::{
    Api,
    authorize::{Caller, Permission, authorize},
    problem::{Refusal, Refusals},
};

mod fleet;
mod own;
mod requests;
mod scrape;
mod sheet;

pub(super) use requests::Requests;
use scrape::Scrape;

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is measured, in the `OpenMetrics` text format. Open to everybody unless `[api] metrics = "admin"`.
#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("bearer" = []), ("session" = [])), responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"), Refusals))]
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Option<Extension<Caller>>,
) -> Result<impl IntoResponse, Refusal> {
    if let Some(Extension(caller)) = caller {
        authorize(&caller, Permission::ReadMetrics)?;
    }
    // One after the other: however many ask, they take one thread and the memory of one answer.
    let turn = api.rendering.take().await;
    let scrape = Scrape::of(&api);
    // Thousands of workers are some megabytes of text, and other requests are not to wait for that.
    let text = turn.run(move || scrape.render()).await.ok_or_else(|| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the metrics could not be written")
    })?;
    Ok(([(header::CONTENT_TYPE, FORMAT), (header::CACHE_CONTROL, "no-store")], text))
}
