//! Writes down who did what: one entry for every request that changes something, and for every one that is refused.
//!
//! Handlers need not know of it: what the entry says of the caller and the tenant is noted by `authenticate` and `authorize`, and
//! whoever has more to say calls [`action`] or [`detail`].

use std::{
    mem::take,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread,
    time::{Instant, SystemTime},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use etl_shared::{TenantId, api::AuditResult};
use serde_json::{Map, Value};
use tokio::task_local;
use tracing::Instrument;

use super::{
    Api, authenticate::Peer, authorize::Caller, listen::Seat, problem::Refusal, secret::random_digits, throttle::By,
};
use crate::{audit::Entry, clock::rfc3339, correlation};

mod actions;
mod page;

pub(super) use page::__path_read;
pub(super) use page::read;

/// Codes of refusals of somebody who shows nothing that he could have stolen or guessed.
const WITHOUT: [&str; 2] = ["token_required", "session_expired"];

/// What is known of the request so far.
#[derive(Debug, Default)]
struct Note {
    caller: Option<Caller>,
    action: Option<&'static str>,
    tenant: Option<TenantId>,
    detail: Map<String, Value>,
}

task_local! {
    static NOTE: Arc<Mutex<Note>>;
}

/// The code of a refusal, which its answer carries on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code(pub(super) &'static str);

fn note(change: impl FnOnce(&mut Note)) {
    // Outside of a request there is nothing to note.
    let _ = NOTE.try_with(|note| change(&mut note.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// Who sends the request.
pub(super) fn caller(caller: &Caller) {
    note(|note| note.caller = Some(caller.clone()));
}

/// Which tenant it is about.
pub(super) fn tenant(tenant: TenantId) {
    note(|note| note.tenant = Some(tenant));
}

/// What it does, where method and path do not tell.
pub(super) fn action(action: &'static str) {
    note(|note| note.action = Some(action));
}

/// More about it; never a secret.
pub(super) fn detail(name: &str, value: impl Into<Value>) {
    note(|note| drop(note.detail.insert(name.to_owned(), value.into())));
}

/// Runs the request and writes down what came of it.
///
/// What may change something runs in a task of its own: whoever hangs up before the answer neither stops it in the middle nor leaves
/// it without its entry.
pub(super) async fn record(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return recorded(api, request, next).await;
    }
    // Until it is done the client keeps its seat, or hanging up would make room for ever more.
    let seat = request.extensions().get::<Arc<Seat>>().cloned();
    let running = correlation::scope_of(correlation::origin(), recorded(api, request, next)).in_current_span();
    let running = async move {
        let response = running.await;
        drop(seat);
        response
    };
    match tokio::spawn(running).await {
        Ok(response) => response,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the supervisor is stopping").into_response()
        }
    }
}

async fn recorded(api: Arc<Api>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get().copied().unwrap_or(Peer::UNKNOWN);
    let (method, path) = (request.method().clone(), request.extensions().get().cloned());
    let open = Open { api, peer, method, path, note: Arc::default(), is_answered: false };
    let response = NOTE.scope(Arc::clone(&open.note), next.run(request)).await;
    open.answered(&response);
    response
}

/// A request that is being worked on.
struct Open {
    api: Arc<Api>,
    peer: Peer,
    method: Method,
    path: Option<MatchedPath>,
    note: Arc<Mutex<Note>>,
    is_answered: bool,
}

impl Open {
    fn answered(mut self, response: &Response) {
        self.is_answered = true;
        let status = response.status();
        let refused =
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
        let changes = self.may_change() && status != StatusCode::METHOD_NOT_ALLOWED;
        let code = response.extensions().get::<Code>().copied();
        // Whoever opens the page without being logged in, or no longer, has done nothing worth an entry.
        let comes_without = self.method.is_safe() && code.is_some_and(|Code(code)| WITHOUT.contains(&code));
        if changes || (refused && !comes_without) {
            self.write_down(status, code);
        }
    }

    /// What has no endpoint changes nothing.
    fn may_change(&self) -> bool {
        !self.method.is_safe() && self.path.is_some()
    }

    fn write_down(&self, status: StatusCode, code: Option<Code>) {
        let note = take(&mut *self.note.lock().unwrap_or_else(PoisonError::into_inner));
        let path = self.path.as_ref().map(MatchedPath::as_str);
        self.api.write_down(note, self.peer, &self.method, path, status, code);
    }
}

impl Drop for Open {
    /// The supervisor stops before the request is answered, or something panicked: what it was to change may have been changed.
    fn drop(&mut self) {
        if self.is_answered || !self.may_change() {
            return;
        }
        let (status, code) = if thread::panicking() {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "interrupted")
        };
        self.write_down(status, Some(Code(code)));
    }
}

impl Api {
    fn write_down(
        &self,
        note: Note,
        peer: Peer,
        method: &Method,
        path: Option<&str>,
        status: StatusCode,
        code: Option<Code>,
    ) {
        let result = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => AuditResult::Refused,
            _ if status.is_success() => AuditResult::Ok,
            _ => AuditResult::Failed,
        };
        let Note { caller, action, tenant, mut detail } = note;
        // Whoever is refused again and again shall not fill the database: the rest of them is counted.
        if result != AuditResult::Ok {
            let by = match (&caller, peer) {
                (Some(caller), _) => By::Token(caller.name()),
                (None, Peer::Tcp { address: Some(address) }) => By::address(address),
                (None, _) => By::Token(String::new()),
            };
            if self.refusals.failed(&[by], Instant::now()).is_err() {
                self.unrecorded.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        if let Some(Code(code)) = code {
            detail.insert("code".to_owned(), code.into());
        }
        let unrecorded = self.unrecorded.swap(0, Ordering::Relaxed);
        if unrecorded > 0 {
            detail.insert("unrecorded_refusals_before".to_owned(), unrecorded.into());
        }
        let action = action.map_or_else(|| actions::name(method, path), ToOwned::to_owned);
        self.context.audit.record(Entry {
            entry: random_digits::<12>().unwrap_or_default(),
            at: rfc3339(SystemTime::now()),
            role: caller.as_ref().map(|caller| caller.grant().parts().0),
            actor: caller.map_or_else(|| "nobody".to_owned(), |caller| caller.name()),
            source: peer.to_string(),
            action,
            tenant_id: tenant,
            result,
            status: status.as_u16(),
            detail: Value::Object(detail),
            correlation_id: correlation::current(),
        });
    }
}
