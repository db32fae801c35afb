//! The admin API: HTTP over a unix socket for the machine's operators and over TCP for bearers of a token.
//!
//! It reads the published view and sends orders through the handle; it never waits for the fleet beyond the acceptance of an
//! order. Only what it says of dead letters comes from the database, with connections and time limits of its own. It has a thread of
//! its own, so that no client can slow supervision down.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use etl_shared::WorkerName;
use tokio::sync::watch;

use crate::{
    audit::AuditLog,
    history::Journal,
    page,
    reconcile::Republished,
    runtime::{Handle, view::Sample},
    settings::{Api as ApiSettings, Auth, Broker, Database, Runtime},
    spans::Spans,
    store::OperatorStore,
};

mod audit;
mod authenticate;
mod authorize;
mod control;
mod correlation;
mod credentials;
mod csrf;
mod dead_letters;
mod endpoints;
mod events;
mod headers;
mod health;
mod history;
mod hosts;
mod jobs;
mod jwt;
mod listen;
mod logs;
mod metrics;
mod openapi;
mod overview;
mod problem;
mod publishing;
mod queues;
mod reference;
mod refusal;
mod request;
mod secret;
mod session;
mod session_store;
mod settings;
mod status;
mod tag;
mod tenants;
mod throttle;
mod token_store;
mod tokens;
mod whole_file;

#[cfg(test)]
pub(crate) mod tests;

pub use jwt::JwtKeysError;
use jwt::Jwts;
use problem::Refusal;

pub use listen::{ServeError, Serving, serve};
use session_store::SessionStore;
use throttle::Throttle;
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
    /// By which names clients call it.
    pub api: ApiSettings,
    /// How callers are recognised.
    pub auth: Auth,
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
    /// Changed to have tenants and their settings read at once.
    pub reload_tenants: watch::Sender<u64>,
    /// Where it is written down who did what.
    pub audit: AuditLog,
    /// Where spans go.
    pub spans: Spans,
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
    sessions: SessionStore,
    /// Tokens of the platform; `None`: they are not accepted.
    jwt: Option<Jwts>,
    /// Invalid tokens.
    failures: Throttle,
    /// Logins.
    logins: Throttle,
    /// Audit entries of refusals.
    refusals: Throttle,
    /// Refusals that have none.
    unrecorded: AtomicU64,
    /// Its requests, counted.
    requests: metrics::Requests,
    /// Of those who want the metrics written down.
    rendering: listen::Turns,
    /// Of those who read logs.
    log_readers: listen::Turns,
    /// The database as operators use it.
    store: Option<OperatorStore>,
    /// What is known of the workers between two looks, and who is told.
    live: overview::Live,
    /// Becomes true when the server stops: streams end then.
    stopping: watch::Receiver<bool>,
}

impl Api {
    /// The database as operators use it; `what` is in there.
    fn store(&self, what: &str) -> Result<&OperatorStore, Refusal> {
        self.store.as_ref().ok_or_else(|| {
            let detail = format!("{what} in a database, and none is configured: set [database] url");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "database_not_configured", detail)
        })
    }
}

/// Every path there is.
fn router(api: Arc<Api>) -> Router {
    endpoints::served(&api)
        .route("/openapi.json", get(openapi::document))
        .merge(page::routes())
        .merge(reference::routes())
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(from_fn_with_state(Arc::clone(&api), hosts::check))
        .layer(from_fn_with_state(Arc::clone(&api), audit::record))
        .layer(from_fn(headers::protect))
        // Outermost, so that whatever is refused has an id too.
        .layer(from_fn_with_state(Arc::clone(&api), correlation::correlate))
        .with_state(api)
}

impl Api {
    /// Names the settings by which tokens of the platform are believed.
    fn believed(&self) -> String {
        secret::hash(&format!("{:?} {:?}", self.context.auth.jwt, self.context.auth.roles))
    }
}
