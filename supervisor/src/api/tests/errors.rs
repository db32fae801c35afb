//! What a client is told when its request cannot be used.

use std::time::Duration;

use etl_shared::api::Role;
use hyper::{
    Method, StatusCode,
    header::{self, HeaderValue},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{fleet::synthetic, server::Server};

const CONTROL: &str = "/api/v1/admin/workers/control";
const REPLAY: &str = "/api/v1/admin/dead-letters/replay";
const TENANT_CONTROL: &str = "/api/v1/admin/workers/tenant/control";

#[tokio::test]
async fn a_body_that_cannot_be_used_is_answered_with_what_is_wrong() {
    let server = Server::start(synthetic(1));
    for (path, body, status, code, detail) in [
        (CONTROL, "", 400, "bad_json", "EOF"),
        (CONTROL, "{", 400, "bad_json", "EOF"),
        (CONTROL, "action=stop", 400, "bad_json", "expected"),
        (CONTROL, r#"{"action":"stop","force":true}"#, 400, "unknown_field", "`force`"),
        (CONTROL, r#"{"action":"explode"}"#, 400, "invalid_field", "`start`"),
        (CONTROL, "{}", 400, "invalid_field", "missing field `action`"),
        (TENANT_CONTROL, r#"{"action":"stop","tenant_id":0}"#, 400, "invalid_field", "not a tenant id"),
        (TENANT_CONTROL, r#"{"action":"stop","tenant_id":"1"}"#, 400, "invalid_field", "string"),
        (REPLAY, "{}", 400, "selection_required", "filter"),
        (REPLAY, r#"{"ids":[1],"filter":{}}"#, 400, "invalid_field", "not both"),
        (REPLAY, r#"{"filter":{"reasons":"x"}}"#, 400, "unknown_field", "`reasons`"),
        (REPLAY, r#"{"filter":{},"limit":0}"#, 400, "invalid_field", "from 1 to 500"),
        (REPLAY, r#"{"filter":{"since":"yesterday"}}"#, 400, "invalid_parameter", "2026-01-31T12:00:00Z"),
        ("/api/v1/admin/tokens", r#"{"name":"","role":"admin"}"#, 400, "invalid_field", "name"),
        ("/api/v1/admin/tokens", r#"{"name":"a\nb","role":"admin"}"#, 400, "invalid_field", "name"),
        ("/api/v1/admin/tokens", r#"{"name":"x","role":"admin","tenant_id":1}"#, 400, "tenant_not_allowed", "leave"),
        ("/api/v1/admin/tokens", r#"{"name":"x","role":"viewer"}"#, 400, "tenant_required", "tenant_id"),
    ] {
        let answer = server.local(Method::POST, path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{body}: {answer:?}");
        let problem: etl_shared::api::Problem = answer.json();
        assert!(problem.detail.contains(detail), "{body}: {}", problem.detail);
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named() {
    let server = Server::start(synthetic(1));
    let logs = "/api/v1/admin/workers/logs?tenant_id=1";
    for (path, code) in [
        (format!("{logs}&lines=many"), "invalid_parameter"),
        (format!("{logs}&lines=10001"), "invalid_parameter"),
        (format!("{logs}&follow=perhaps"), "invalid_parameter"),
        (format!("{logs}&line=5"), "invalid_parameter"),
        ("/api/v1/admin/workers/logs?tenant_id=-1".to_owned(), "invalid_parameter"),
        ("/api/v1/admin/dead-letters?limit=501".to_owned(), "invalid_parameter"),
        ("/api/v1/admin/dead-letters?limit=0".to_owned(), "invalid_parameter"),
        ("/api/v1/admin/dead-letters?since=yesterday".to_owned(), "invalid_parameter"),
        ("/api/v1/admin/dead-letters?state=lost".to_owned(), "invalid_parameter"),
        ("/api/v1/admin/dead-letters?reasons=x".to_owned(), "invalid_parameter"),
        ("/api/v1/admin/workers/tenant/07/status".to_owned(), "invalid_tenant_id"),
        ("/api/v1/admin/workers/tenant/%2e%2e/status".to_owned(), "invalid_tenant_id"),
        ("/api/v1/admin/dead-letters/%ff".to_owned(), "invalid_path"),
    ] {
        let answer = server.local(Method::GET, &path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, code), "{path}");
    }
    let answer = server.local(Method::DELETE, "/api/v1/admin/tokens/%ff", "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_path"));
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_a_larger_one_refused() {
    let server = Server::start(synthetic(1));
    let body = |length: usize| {
        let order = r#"{"action":"stop"}"#;
        format!("{order}{}", " ".repeat(length - order.len()))
    };
    let admin = server.token(Role::Admin, None).await.token;
    assert_eq!(server.local(Method::POST, CONTROL, &body(64 * 1024)).await.status, StatusCode::ACCEPTED);
    for length in [64 * 1024 + 1, 8 * 1024 * 1024] {
        for answer in [
            server.local(Method::POST, CONTROL, &body(length)).await,
            server.remote(Some(&admin), Method::POST, CONTROL, &body(length)).await,
        ] {
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
        }
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_how_to_do_better() {
    let server = Server::start(synthetic(1));
    let path = "/api/v1/admin/workers/status";
    let answer = server.remote(None, Method::GET, path, "").await;
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"etl-supervisor\"");
    for wrong in ["", "x", "etl_", "etl__", "etl_000000000000_00", "Bearer x"] {
        let answer = server.remote(Some(wrong), Method::GET, path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_invalid"), "{wrong}");
        assert!(answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap().contains("invalid_token"));
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let server = Server::start(synthetic(1));
    let answer = server.local(Method::DELETE, "/api/v1/admin/tokens", "").await;
    assert_eq!(answer.code(), "method_not_allowed");
    assert_eq!(answer.headers.get(header::ALLOW), Some(&HeaderValue::from_static("GET,HEAD,POST")));
}

#[tokio::test]
async fn a_client_that_sends_half_a_body_is_not_waited_for_for_ever() {
    let server = Server::start(synthetic(1));
    let mut stream = server.unix().await;
    let head = format!("POST {CONTROL} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(Duration::from_secs(30), stream.read_exact(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    // Somebody else is served meanwhile and afterwards.
    assert_eq!(server.local(Method::GET, "/livez", "").await.status, StatusCode::OK);
}
