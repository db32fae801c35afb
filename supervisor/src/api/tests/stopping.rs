//! Beginning and end of the server.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    time::{Duration, Instant, SystemTime},
};

use etl_shared::api::Role;
use hyper::Method;
use tokio::{net::TcpStream, time::timeout};

use super::{
    fleet::{handle, synthetic},
    server::Server,
};
use crate::{
    api::{ApiContext, ServeError, serve},
    settings::Runtime,
};

#[tokio::test]
async fn a_stop_ends_the_streams_and_closes_both_doors() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Admin, None).await.token;
    let address = server.serving.address().unwrap();
    let response = server.open(&token, "/api/v1/admin/workers/logs?tenant_id=1&follow=true").await;
    // A client that is connected and says nothing.
    let _silent = server.unix().await;
    let began = Instant::now();
    timeout(Duration::from_secs(20), server.serving.stop()).await.expect("does not stop");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(super::server::whole(response).await.body.is_empty());
    assert!(!server.runtime.api_socket().exists());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_owned();
    let runtime = Runtime { directory: at.clone(), log_directory: at.clone(), state_directory: at };
    drop(UnixListener::bind(runtime.api_socket()).unwrap());
    let (handle, _view) = handle(synthetic(1));
    let context = ApiContext {
        handle,
        runtime: runtime.clone(),
        listen: None,
        api: crate::settings::Api::default(),
        auth: crate::settings::Auth::default(),
        required_parts: Vec::new(),
        started_at: SystemTime::now(),
        broker: None,
        database: None,
        republished: std::sync::Arc::default(),
        journal: crate::history::Journal::default(),
        reload_tenants: tokio::sync::watch::channel(0).0,
        audit: crate::audit::AuditLog::new(std::path::Path::new(""), None, None).0,
        spans: crate::spans::Spans::default(),
        look: None,
    };
    let serving = serve(context).unwrap();
    assert_eq!(serving.address(), None);
    let socket = fs::metadata(runtime.api_socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o660);
    let client = crate::cli::Client::new(runtime.api_socket());
    let list: etl_shared::api::TenantList = client.get("/api/v1/admin/tenants").await.unwrap();
    assert_eq!(list.tenants.len(), 1);
    serving.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = Server::start(synthetic(1));
    let taken = server.serving.address();
    let (handle, _view) = handle(synthetic(1));
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_owned();
    let context = ApiContext {
        handle,
        runtime: Runtime { directory: at.clone(), log_directory: at.clone(), state_directory: at },
        listen: taken,
        api: crate::settings::Api::default(),
        auth: crate::settings::Auth::default(),
        required_parts: Vec::new(),
        started_at: SystemTime::now(),
        broker: None,
        database: None,
        republished: std::sync::Arc::default(),
        journal: crate::history::Journal::default(),
        reload_tenants: tokio::sync::watch::channel(0).0,
        audit: crate::audit::AuditLog::new(std::path::Path::new(""), None, None).0,
        spans: crate::spans::Spans::default(),
        look: None,
    };
    let error = serve(context).unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }));
    assert!(error.to_string().contains(&taken.unwrap().to_string()));
}

#[tokio::test]
async fn a_busy_tcp_port_does_not_lock_the_machines_operators_out() {
    let server = Server::start(synthetic(1));
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(server.tcp().await);
    }
    let answer = timeout(Duration::from_secs(10), server.local(Method::GET, "/livez", "")).await;
    assert_eq!(answer.expect("nobody answers").status, 200);
}
