//! Finds out who sends a request: by the token it carries, else by its session, else by the socket it came through.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Api, audit,
    authorize::{Caller, Grant, Subject},
    csrf,
    jwt::Unbelieved,
    openapi::SESSION_COOKIE,
    problem::Refusal,
    session_store::Who,
    throttle::By,
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

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { .. } => write!(formatter, "unix"),
            Self::Tcp { address: Some(address) } => write!(formatter, "{}", address.to_canonical()),
            Self::Tcp { address: None } => write!(formatter, "tcp"),
        }
    }
}

/// Puts the [`Caller`] into the request, or answers 401.
pub(super) async fn authenticate(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::UNKNOWN);
    match caller(&api, peer, request.method(), &headers).await {
        Ok(caller) => {
            audit::caller(&caller);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// A token that is given always counts, through the unix socket too: nobody gets more than the token allows because of the
/// way its bearer came in. The same holds for a session.
async fn caller(api: &Api, peer: Peer, method: &Method, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        // No two parts on the way may take a different one of them for the caller's.
        (Some(_), Some(_)) => Err(invalid("there are several Authorization headers: send one")),
        (Some(value), None) => {
            let token = value.to_str().ok().and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            bearer(api, peer, token.unwrap_or_default()).await
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

/// Whose token this is. A valid one is let in however many others have failed from there.
pub(super) async fn bearer(api: &Api, peer: Peer, token: &str) -> Result<Caller, Refusal> {
    if let Some(caller) = api.tokens.bearer(token) {
        return Ok(caller);
    }
    let unbelieved = match &api.jwt {
        // Only what looks like one: an API token has no dots.
        Some(jwt) if token.contains('.') => match jwt.subject(token).await {
            Ok(subject) => return Ok(Caller::Jwt(subject)),
            Err(unbelieved) => unbelieved,
        },
        _ => Unbelieved::Invalid("this token is unknown, revoked or malformed"),
    };
    let refusal = match unbelieved {
        // These are genuine: nobody is guessing.
        Unbelieved::Nobody(code, detail) => return Err(Refusal::forbidden(code, detail)),
        Unbelieved::Expired => {
            let detail = "this token has expired: get a new one";
            return Err(Refusal::unauthenticated("token_expired", detail, CHALLENGE_INVALID));
        }
        Unbelieved::NoKeys => {
            let detail = "the platform's keys are not known yet, so its tokens cannot be checked: see the log";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", detail));
        }
        Unbelieved::Invalid(detail) => invalid(detail),
    };
    let Peer::Tcp { address } = peer else { return Err(refusal) };
    let id = token.strip_prefix("etl_").and_then(|rest| rest.split_once('_')).map(|(id, _)| id);
    let id = id.filter(|id| api.tokens.grant(id).is_some()).map(|id| By::Token(id.to_owned()));
    let by: Vec<_> = address.map(By::address).into_iter().chain(id).collect();
    match api.failures.failed(&by, Instant::now()) {
        Ok(()) => Err(refusal),
        Err(wait) => Err(Refusal::too_many("too_many_failures", "too many invalid tokens have come from there", wait)),
    }
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
    audit::caller(&caller);
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
            Who::Jwt { subject, identity, role, tenant_id, believed, key }
                if believed == self.believed() && self.trusts(&key) =>
            {
                let grant = Grant::new(role, tenant_id)?;
                Some(Caller::Jwt(Subject { name: subject, identity, grant, key, ends }))
            }
            Who::Jwt { .. } => None,
        }
    }

    /// Whether the platform still signs with this key: one that was replaced or withdrawn may be in the wrong hands.
    fn trusts(&self, key: &str) -> bool {
        self.jwt.as_ref().is_some_and(|jwt| jwt.trusts(key))
    }

    /// Whether a caller that was let in before would still be: whatever lasts longer than a request asks now and then.
    pub(super) fn still_knows(&self, caller: &Caller) -> bool {
        let now = SystemTime::now();
        if caller.ends().is_some_and(|ends| ends <= now) {
            return false;
        }
        match caller {
            Caller::Machine { .. } => true,
            Caller::Jwt(subject) => self.trusts(&subject.key),
            Caller::Token { id, .. } => self.tokens.grant(id).is_some(),
            Caller::Session { key, who, .. } => self.sessions.knows(key, now) && self.still_knows(who),
        }
    }
}
