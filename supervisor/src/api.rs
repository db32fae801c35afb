//! The admin API: HTTP over a unix socket for the machine's operators and over TCP for bearers of a token.
//!
//! It reads the published view and sends orders through the handle; it never waits for the fleet beyond the acceptance of an
//! order. Only what it says of dead letters comes from the database, with connections and time limits of its own. It has a thread of
//! its own, so that no client can slow supervision down.

use std::{net::SocketAddr, path::Path, sync::Arc, time::SystemTime};

use axum::{Router, middleware::from_fn_with_state, routing::get};
use etl_shared::WorkerName;
use tokio::sync::watch;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    history::Journal,
    reconcile::Republished,
    runtime::{Handle, view::Sample},
    settings::{Broker, Database, Runtime},
    store::OperatorStore,
};

mod authenticate;
mod authorize;
mod control;
mod credentials;
mod dead_letters;
mod events;
mod health;
mod history;
mod listen;
mod logs;
mod openapi;
mod overview;
mod problem;
mod request;
mod status;
mod tag;
mod tenants;
mod token_store;
mod tokens;

#[cfg(test)]
pub(crate) mod tests;

pub use listen::{ServeError, Serving, serve};
pub use token_store::{TokenStore, TokenStoreError};

/// What the API is given.
#[derive(Debug, Clone)]
pub struct ApiContext {
    /// The way to the fleet.
    pub handle: Handle,
    /// Where socket, flight records, logs and tokens are.
    pub runtime: Runtime,
    /// Address of the TCP listener; port 0 takes a free one; `None`: the unix socket only.
    pub listen: Option<SocketAddr>,
    /// Parts of the view without which the supervisor is not ready, such as `keeper`, and `broker` where one is configured.
    pub required_parts: Vec<&'static str>,
    /// When the supervisor started.
    pub started_at: SystemTime,
    /// Where replayed messages go; `None`: there are no replays.
    pub broker: Option<Broker>,
    /// Where the dead letters are; `None`: there are none.
    pub database: Option<Database>,
    /// Messages published again because their raw row had none.
    pub republished: Republished,
    /// What happens.
    pub journal: Journal,
    /// Looks at a process now; `None`: status shows the sample in the view.
    pub look: Option<LookAtProcess>,
}

/// Directory of the flight records, worker, incarnation and pid to what is true of the process now.
pub type LookAtProcess = fn(&Path, &WorkerName, u64, i32) -> Option<Sample>;

/// What every handler shares.
#[derive(Debug)]
struct Api {
    context: ApiContext,
    tokens: TokenStore,
    /// The database as operators use it.
    store: Option<OperatorStore>,
    /// What is known of the workers between two looks, and who is told.
    live: overview::Live,
    /// Becomes true when the server stops: streams end then.
    stopping: watch::Receiver<bool>,
}

/// Every path there is.
fn router(api: Arc<Api>) -> Router {
    let admin = OpenApiRouter::new()
        .routes(routes!(control::everybody))
        .routes(routes!(control::tenant))
        .routes(routes!(control::own))
        .routes(routes!(status::tenant))
        .routes(routes!(status::fleet))
        .routes(routes!(logs::read))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(credentials::status))
        .routes(routes!(credentials::rotate))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::confirm))
        .routes(routes!(events::stream))
        .routes(routes!(overview::overview))
        .routes(routes!(history::events))
        .routes(routes!(history::tenant))
        .route_layer(from_fn_with_state(Arc::clone(&api), authenticate::authenticate));
    let (router, description) = OpenApiRouter::with_openapi(openapi::frame())
        .nest("/api/v1/admin", admin)
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .split_for_parts();
    router
        .route("/openapi.json", get(openapi::document(&description)))
        .merge(SwaggerUi::new("/docs").config(Config::from("/openapi.json")))
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(api)
}
