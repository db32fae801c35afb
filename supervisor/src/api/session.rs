//! Login for people: a token is exchanged for a cookie that no script can read.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    Extension, Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use etl_shared::api::{LoginRequest, Session};

use super::{
    Api, audit,
    authenticate::{self, Peer},
    authorize::{Caller, Subject},
    csrf,
    openapi::SESSION_COOKIE,
    problem::{Refusal, Refusals},
    request::Json,
    session_store::Who,
    throttle::By,
};
use crate::clock::rfc3339;

/// Logs in with an API token or a JWT: the answer sets the session's cookie.
#[utoipa::path(post, path = "/session", tag = "session", security(()), request_body = LoginRequest, responses((status = 200, description = "Logged in; `Set-Cookie` has the session", body = Session, headers(("set-cookie" = String, description = "The session"))), Refusals))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Json(request): Json<LoginRequest>,
) -> Result<impl IntoResponse, Refusal> {
    let public = api.context.api.public_url.as_ref();
    // Another site shall not log anybody in as somebody else.
    csrf::own_page(&headers, public)?;
    let peer = peer.map_or(Peer::UNKNOWN, |Extension(peer)| peer);
    let caller = authenticate::bearer(&api, peer, request.token.trim()).await?;
    audit::caller(&caller);
    if let (_, Some(tenant)) = caller.grant().parts() {
        audit::tenant(tenant);
    }
    api.may_log_in(&caller)?;
    let now = SystemTime::now();
    let begun = api.sessions.begin(api.who(&caller), caller.ends(), now).map_err(|_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "no_randomness",
            "the system has no random numbers for a session",
        )
    })?;
    // Whoever has planted a cookie before this login gains nothing: this is a new one, and the earlier session ends.
    if let Some((key, _)) = authenticate::cookie(&headers).and_then(|cookie| api.sessions.find(cookie, now)) {
        api.sessions.end(&key);
    }
    // Without the file it ends with this process: no reason to keep somebody out who may be about to see to the disk.
    let _ = api.sessions.save().await;
    let secure = if public.is_some_and(|public| public.scheme() == "https") { "; Secure" } else { "" };
    let seconds = begun.ends.duration_since(now).unwrap_or_default().as_secs();
    let cookie =
        format!("{SESSION_COOKIE}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}", begun.cookie);
    let session = told(&caller, Some(csrf::word(&begun.cookie)), Some(begun.ends));
    tracing::info!(by = %session.actor, session = &begun.key[..12], "logged in");
    Ok(([(header::SET_COOKIE, cookie)], JsonBody(session)))
}

/// Who the caller is and what it may do.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, description = "The caller", body = Session), Refusals))]
pub(super) async fn show(Extension(caller): Extension<Caller>, headers: HeaderMap) -> JsonBody<Session> {
    let cookie = authenticate::cookie(&headers).filter(|_| matches!(caller, Caller::Session { .. }));
    JsonBody(told(&caller, cookie.map(csrf::word), caller.ends()))
}

/// Logs out: the session ends and its cookie is taken back.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204, description = "Logged out"), Refusals))]
pub(super) async fn end(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Refusal> {
    let Caller::Session { key, .. } = &caller else {
        let detail =
            "this request came without a session: nobody is logged out. A token is revoked at /api/v1/admin/tokens";
        return Err(Refusal::new(StatusCode::CONFLICT, "no_session", detail));
    };
    api.sessions.end(key);
    api.sessions.save().await.map_err(|error| {
        let detail = format!("logged out, but a restart of the supervisor would bring the session back: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "session_not_written", detail)
    })?;
    tracing::info!(by = %caller.name(), session = &key[..12], "logged out");
    let gone = format!("{SESSION_COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]))
}

fn told(caller: &Caller, csrf_token: Option<String>, ends: Option<SystemTime>) -> Session {
    let (role, tenant_id) = caller.grant().parts();
    Session { actor: caller.name(), role, tenant_id, csrf_token, expires_at: ends.map(rfc3339) }
}

impl Api {
    /// A login writes a file and ends older sessions, so nobody logs in as often as a program can.
    fn may_log_in(&self, caller: &Caller) -> Result<(), Refusal> {
        let by = match caller {
            Caller::Jwt(subject) => subject.identity.clone(),
            other => other.name(),
        };
        self.logins.failed(&[By::Token(by)], Instant::now()).map_err(|wait| {
            Refusal::too_many("too_many_logins", "this token or subject has logged in too often of late", wait)
        })
    }

    /// How a session remembers who has begun it.
    fn who(&self, caller: &Caller) -> Who {
        match caller {
            Caller::Session { who, .. } => self.who(who),
            Caller::Token { id, .. } => Who::Token { id: id.clone() },
            Caller::Jwt(subject) => {
                let (role, tenant_id) = subject.grant.parts();
                let Subject { name, identity, key, .. } = subject.clone();
                Who::Jwt { subject: name, identity, role, tenant_id, believed: self.believed(), key }
            }
            // Nobody logs in without a token.
            Caller::Machine { uid } => Who::Token { id: format!("uid {uid}") },
        }
    }
}
