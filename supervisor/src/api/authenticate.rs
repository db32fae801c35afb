//! Finds out who sends a request: by the token it carries, else by its session, else by the socket it came through.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Api,
    authorize::{Caller, Grant, Subject},
    csrf,
    openapi::SESSION_COOKIE,
    problem::Refusal,
    session_store::Who,
};

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
    Tcp {
        /// From where; behind a proxy, the proxy's.
        address: Option<IpAddr>,
    },
}

impl Peer {
    /// Nobody in particular, and nobody who is trusted.
    pub(super) const UNKNOWN: Self = Self::Tcp { address: None };
}

/// Puts the [`Caller`] into the request, or answers 401.
pub(super) async fn authenticate(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::UNKNOWN);
    match caller(&api, peer, request.method(), &headers) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// A token that is given always counts, through the unix socket too: nobody gets more than the token allows because of the
/// way its bearer came in. The same holds for a session.
fn caller(api: &Api, peer: Peer, method: &Method, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        // No two parts on the way may take a different one of them for the caller's.
        (Some(_), Some(_)) => Err(invalid("there are several Authorization headers: send one")),
        (Some(value), None) => {
            let token = value.to_str().ok().and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            bearer(api, peer, token.unwrap_or_default())
        }
        (None, _) if has_cookie(headers) => session(api, method, headers),
        (None, _) => match peer {
            Peer::Unix { uid } => Ok(Caller::Machine { uid }),
            Peer::Tcp { .. } => Err(Refusal::unauthenticated(
                "token_required",
                "send an API token: Authorization: Bearer TOKEN; `etl-supervisor token create` makes one",
                CHALLENGE,
            )),
        },
    }
}

/// Whose token this is.
pub(super) fn bearer(api: &Api, _peer: Peer, token: &str) -> Result<Caller, Refusal> {
    api.tokens.bearer(token).ok_or_else(|| invalid("this token is unknown, revoked or malformed"))
}

fn session(api: &Api, method: &Method, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let now = SystemTime::now();
    let found = cookie(headers).and_then(|cookie| {
        let (key, stored) = api.sessions.find(cookie, now)?;
        let who = Box::new(api.remembered(stored.who, stored.ends)?);
        Some((cookie, Caller::Session { key, who, ends: stored.ends }))
    });
    let (cookie, caller) = found.ok_or_else(|| {
        Refusal::unauthenticated("session_expired", "this session has ended, or never was one: log in again", CHALLENGE)
    })?;
    csrf::check(method, headers, cookie, api.context.api.public_url.as_ref())?;
    Ok(caller)
}

fn invalid(detail: &str) -> Refusal {
    Refusal::unauthenticated("token_invalid", detail, CHALLENGE_INVALID)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value)
}

fn has_cookie(headers: &HeaderMap) -> bool {
    cookies(headers).next().is_some()
}

/// The session's cookie. Of two that have its name, one was planted by somebody, and nobody knows which.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut found = cookies(headers);
    found.next().filter(|_| found.next().is_none())
}

impl Api {
    /// Who has begun a session, as things stand now; `None` where that is nobody any more.
    fn remembered(&self, who: Who, ends: SystemTime) -> Option<Caller> {
        match who {
            Who::Token { id } => self.tokens.grant(&id).map(|grant| Caller::Token { id, grant }),
            Who::Jwt { subject, role, tenant_id, believed } if believed == self.believed() => {
                let grant = Grant::new(role, tenant_id)?;
                Some(Caller::Jwt(Subject { name: subject, grant, ends }))
            }
            Who::Jwt { .. } => None,
        }
    }

    /// Whether a caller that was let in before would still be: whatever lasts longer than a request asks now and then.
    pub(super) fn still_knows(&self, caller: &Caller) -> bool {
        let now = SystemTime::now();
        if caller.ends().is_some_and(|ends| ends <= now) {
            return false;
        }
        match caller {
            Caller::Machine { .. } | Caller::Jwt(_) => true,
            Caller::Token { id, .. } => self.tokens.grant(id).is_some(),
            Caller::Session { key, who, .. } => self.sessions.knows(key, now) && self.still_knows(who),
        }
    }
}
