//! Finds out who sends a request: by the token it carries, else by the socket it came through.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Api, authorize::Caller, problem::Refusal};

const CHALLENGE: &str = "Bearer realm=\"etl-supervisor\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"etl-supervisor\", error=\"invalid_token\"";

/// The other end of a connection; every request carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// A process of this machine, let in by the permissions of the socket.
    Unix {
        /// Its user.
        uid: u32,
    },
    /// Anybody.
    Tcp,
}

/// Puts the [`Caller`] into the request, or answers 401.
pub(super) async fn authenticate(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Tcp);
    match caller(&api, peer, &headers) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// A token that is given always counts, through the unix socket too: nobody gets more than the token allows because of the
/// way its bearer came in.
fn caller(api: &Api, peer: Peer, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return match peer {
            Peer::Unix { uid } => Ok(Caller::Machine { uid }),
            Peer::Tcp => Err(Refusal::unauthenticated(
                "token_required",
                "send an API token: Authorization: Bearer TOKEN; `etl-supervisor token create` makes one",
                CHALLENGE,
            )),
        };
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.and_then(|token| api.tokens.bearer(token)).ok_or_else(|| {
        Refusal::unauthenticated("token_invalid", "this token is unknown, revoked or malformed", CHALLENGE_INVALID)
    })
}
