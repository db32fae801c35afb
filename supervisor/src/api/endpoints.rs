//! Every endpoint, once: served from the start, and described for whoever asks.
//!
//! A description is megabytes of types before it is a text. A supervisor that nobody asks for one does without.

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state, routing::MethodRouter};
use utoipa::{Path, openapi::OpenApi};
use utoipa_axum::{PathItemExt, paste, router::OpenApiRouter, routes};

use super::{
    Api, audit, authenticate, control, credentials, dead_letters, events, health, history, jobs, logs, metrics,
    openapi, overview, queues, session, settings, status, tenants, tokens,
};
use crate::settings::MetricsAccess;

/// Hands `$with!` what lies below `/api/v1/admin`. Handlers between the same brackets share a path.
macro_rules! admin {
    ($with:ident) => {
        $with![
            [control::everybody]
            [control::tenant]
            [control::own]
            [status::tenant]
            [status::fleet]
            [logs::read]
            [tokens::list, tokens::create]
            [tokens::revoke]
            [credentials::status]
            [credentials::rotate]
            [dead_letters::list]
            [dead_letters::show]
            [dead_letters::replay]
            [dead_letters::discard]
            [tenants::list]
            [tenants::confirm]
            [settings::show, settings::change]
            [queues::list]
            [jobs::publish]
            [events::stream]
            [overview::overview]
            [history::events]
            [history::tenant]
            [audit::read]
        ]
    };
}

/// The session of somebody who is logged in, below `/api/v1`.
macro_rules! session {
    ($with:ident) => {
        $with![[session::show, session::end]]
    };
}

/// How it begins.
macro_rules! login {
    ($with:ident) => {
        $with![[session::begin]]
    };
}

macro_rules! health {
    ($with:ident) => {
        $with![[health::live][health::ready]]
    };
}

macro_rules! metrics {
    ($with:ident) => {
        $with![[metrics::read]]
    };
}

/// A router of endpoints.
macro_rules! served {
    ($([$module:ident::$handler:ident $(, $other_module:ident::$other:ident)*])+) => {
        paste! {
            Router::new()$(.route(
                &$module::[<__path_ $handler>]::path(),
                of::<$module::[<__path_ $handler>], _, _>(&$module::$handler)
                    $(.merge(of::<$other_module::[<__path_ $other>], _, _>(&$other_module::$other)))*,
            ))+
        }
    };
}

/// The same with their description.
macro_rules! described {
    ($([$($module:ident::$handler:ident),+])+) => {
        OpenApiRouter::<Arc<Api>>::new()$(.routes(routes!($($module::$handler),+)))+
    };
}

/// A handler at the methods of its description.
fn of<P, H, T>(handler: &H) -> MethodRouter<Arc<Api>>
where
    P: Path,
    H: axum::handler::Handler<T, Arc<Api>>,
    T: 'static,
{
    P::methods()
        .iter()
        .fold(MethodRouter::new(), |router, method| router.on(method.to_method_filter(), handler.clone()))
}

/// All of them.
pub(super) fn served(api: &Arc<Api>) -> Router<Arc<Api>> {
    let authenticated =
        |router: Router<Arc<Api>>| router.route_layer(from_fn_with_state(Arc::clone(api), authenticate::authenticate));
    let metrics = metrics!(served);
    let open = api.context.api.metrics == MetricsAccess::Open;
    Router::new()
        .nest("/api/v1/admin", authenticated(admin!(served)))
        .nest("/api/v1", authenticated(session!(served)).merge(login!(served)))
        .merge(health!(served))
        .merge(if open { metrics } else { authenticated(metrics) })
}

/// What can be said of all of them.
pub(super) fn described() -> OpenApi {
    OpenApiRouter::with_openapi(openapi::frame())
        .nest("/api/v1/admin", admin!(described))
        .nest("/api/v1", session!(described).merge(login!(described)))
        .merge(health!(described))
        .merge(metrics!(described))
        .split_for_parts()
        .1
}
