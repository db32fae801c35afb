//! A served API in a directory of its own.

use std::{fs, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use etl_shared::api::{CreateToken, CreatedToken, Problem, Role, Session};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderMap},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::fleet;
use crate::{
    api::{ApiContext, Serving, serve},
    history::Journal,
    runtime::{FleetView, sample},
    settings::Runtime,
};

pub(super) struct Server {
    pub(super) directory: TempDir,
    pub(super) serving: Serving,
    pub(super) view: Arc<ArcSwap<FleetView>>,
    pub(super) runtime: Runtime,
    pub(super) journal: Journal,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem's code, after a look at everything that all problems have in common.
    pub(super) fn code(&self) -> String {
        let problem: Problem = self.json();
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.kind, "about:blank");
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
        problem.code
    }
}

impl Server {
    pub(super) fn start(view: FleetView) -> Self {
        Self::start_with(view, |_| ())
    }

    /// With something about it that is not as in the other tests.
    pub(super) fn start_with(view: FleetView, change: impl FnOnce(&mut ApiContext)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let runtime = Runtime { directory: at("run"), log_directory: at("log"), state_directory: at("state") };
        for directory in [&runtime.directory, &runtime.log_directory, &runtime.state_directory] {
            fs::create_dir(directory).unwrap();
        }
        fs::create_dir(runtime.flight_directory()).unwrap();
        let (handle, view) = fleet::handle(view);
        let journal = Journal::default();
        let mut context = ApiContext {
            handle,
            runtime: runtime.clone(),
            listen: Some(([127, 0, 0, 1], 0).into()),
            api: crate::settings::Api::default(),
            auth: crate::settings::Auth::default(),
            required_parts: vec!["keeper", "broker", "database"],
            started_at: SystemTime::now(),
            broker: None,
            database: None,
            republished: Arc::default(),
            journal: journal.clone(),
            reload_tenants: tokio::sync::watch::channel(0).0,
            audit: crate::audit::AuditLog::new(std::path::Path::new(""), None, None).0,
            spans: crate::spans::Spans::default(),
            // The workers are made up; this test's own process stands for theirs.
            look: Some(|flights, worker, incarnation, _| {
                sample::look(flights, worker, incarnation, i32::try_from(std::process::id()).ok()?)
            }),
        };
        change(&mut context);
        Self { serving: serve(context).unwrap(), directory, view, runtime, journal }
    }

    /// As somebody on the machine.
    pub(super) async fn local(&self, method: Method, path: &str, body: &str) -> Answer {
        whole(send(self.unix().await, method, path, None, body.to_owned()).await).await
    }

    /// Over TCP, with a token or without.
    pub(super) async fn remote(&self, token: Option<&str>, method: Method, path: &str, body: &str) -> Answer {
        whole(send(self.tcp().await, method, path, token, body.to_owned()).await).await
    }

    /// Over TCP, with these headers.
    pub(super) async fn with(&self, headers: &[(&str, &str)], method: Method, path: &str, body: &str) -> Answer {
        whole(send_with(self.tcp().await, method, path, headers, body.to_owned()).await).await
    }

    /// Logs in; returns the cookie and the word that goes with it.
    pub(super) async fn login(&self, token: &str) -> (String, Session) {
        let body = serde_json::json!({ "token": token }).to_string();
        let answer = self.remote(None, Method::POST, "/api/v1/session", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
        (set.split(';').next().unwrap().to_owned(), answer.json())
    }

    /// Over TCP, without waiting for the end of the answer.
    pub(super) async fn open(&self, token: &str, path: &str) -> Response<Incoming> {
        send(self.tcp().await, Method::GET, path, Some(token), String::new()).await
    }

    pub(super) async fn token(&self, role: Role, tenant: Option<i64>) -> CreatedToken {
        let request = CreateToken { name: "test".to_owned(), role, tenant_id: tenant.map(fleet::tenant) };
        let body = serde_json::to_string(&request).unwrap();
        let answer = self.local(Method::POST, "/api/v1/admin/tokens", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()
    }

    pub(super) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.serving.address().unwrap()).await.unwrap()
    }

    pub(super) async fn unix(&self) -> UnixStream {
        UnixStream::connect(self.runtime.api_socket()).await.unwrap()
    }
}

pub(super) async fn send<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: String,
) -> Response<Incoming> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    send_with(stream, method, path, &headers, body).await
}

pub(super) async fn send_with<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Response<Incoming> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header(header::HOST, "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()
}

pub(super) async fn whole(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    // It never ends.
    if parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
        return Answer { status: parts.status, headers: parts.headers, body: Bytes::new() };
    }
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}
