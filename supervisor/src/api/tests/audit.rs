//! What the audit log is told.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use etl_shared::api::{AuditResult, Role};
use hyper::Method;
use tokio::{io::AsyncWriteExt, net::UnixStream, sync::mpsc, time::timeout};

use super::{fleet::synthetic, server::Server};
use crate::{
    audit::heard::{self, Heard},
    runtime::{Handle, handle::Order},
};

fn server() -> (Server, Heard) {
    let (log, heard) = heard::log();
    (Server::start_with(synthetic(2), |context| context.audit = log), heard)
}

/// A server with an order that waits for its answer, the client that has sent it, and what the audit log hears.
async fn ordered(path: &str, id: &str, body: &str) -> (Server, Heard, UnixStream, Order) {
    let (log, heard) = heard::log();
    let (sender, mut taken) = mpsc::channel(8);
    let server = Server::start_with(synthetic(1), |context| {
        context.audit = log;
        context.handle = Handle::new(sender, Arc::new(ArcSwap::from_pointee(synthetic(1))));
    });
    let mut client = server.unix().await;
    let start = format!("POST /api/v1/admin/workers/{path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {id}");
    let request = format!("{start}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    client.write_all(request.as_bytes()).await.unwrap();
    let order = timeout(Duration::from_secs(20), taken.recv()).await.unwrap().unwrap();
    (server, heard, client, order)
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_leaves_an_entry_all_the_same() {
    let (_server, mut heard, client, order) = ordered("control", "hung-up", r#"{"action":"stop"}"#).await;
    let Order::Control { mut answer, .. } = order else { panic!("another order") };
    drop(client);
    // Nobody gives up waiting for it because of that; were it so, it would be at once.
    assert!(timeout(Duration::from_millis(500), answer.closed()).await.is_err(), "nobody waits for the order");
    answer.send(Ok(1)).unwrap();
    let entry = heard.next().await;
    assert_eq!((entry.action.as_str(), entry.result, entry.status), ("workers.stop", AuditResult::Ok, 202));
    assert_eq!(entry.correlation_id.as_deref(), Some("hung-up"));
    assert_eq!(entry.detail["workers"], 1);
}

#[tokio::test]
async fn what_a_stop_of_the_supervisor_interrupts_leaves_an_entry() {
    // It is never answered.
    let (server, mut heard, _client, _order) =
        ordered("tenant/control", "interrupted", r#"{"action":"stop","tenant_id":1}"#).await;
    timeout(Duration::from_secs(20), server.serving.stop()).await.expect("does not stop");
    // Nothing comes any more: the log is flushed now.
    let entry = heard.next_now().expect("there is no entry");
    assert_eq!((entry.action.as_str(), entry.result, entry.status), ("workers.stop", AuditResult::Failed, 503));
    assert_eq!((entry.tenant_id.map(i64::from), entry.detail["code"].as_str()), (Some(1), Some("interrupted")));
    assert_eq!(entry.correlation_id.as_deref(), Some("interrupted"));
    assert!(entry.actor.starts_with("uid "), "{}", entry.actor);
}

#[tokio::test]
async fn a_zero_byte_is_left_out_and_whoever_only_lacks_a_login_leaves_no_entry() {
    let (server, mut heard) = server();
    let token = server.token(Role::Viewer, Some(2)).await;
    assert_eq!(heard.next().await.action, "tokens.create");
    for (cookie, code) in [("", "token_required"), ("etl_session=1234", "session_expired")] {
        let headers = [("cookie", cookie)];
        let headers = if cookie.is_empty() { &[][..] } else { &headers[..] };
        let answer = server.with(headers, Method::GET, "/api/v1/session", "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, code));
    }
    server.local(Method::DELETE, "/api/v1/admin/tokens/a%00b", "").await;
    let entry = heard.next().await;
    assert_eq!((entry.action.as_str(), entry.status), ("tokens.revoke", 404));
    assert_eq!(entry.detail["token"], "ab");
    // What was done with a token of a tenant, was done with that tenant.
    let path = format!("/api/v1/admin/tokens/{}", token.description.id);
    server.local(Method::DELETE, &path, "").await;
    let entry = heard.next().await;
    assert_eq!((entry.status, entry.tenant_id.map(i64::from)), (204, Some(2)));
    // A token that is no good is no forgotten login.
    server.remote(Some("etl_x_y"), Method::GET, "/api/v1/session", "").await;
    assert_eq!(heard.next().await.detail["code"], "token_invalid");
}
