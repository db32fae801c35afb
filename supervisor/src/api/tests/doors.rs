//! What stands before every endpoint: names, headers, counted failures.

use std::time::Duration;

use etl_shared::api::Role;
use hyper::{Method, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{fleet::synthetic, server::Server};

const STATUS: &str = "/api/v1/admin/workers/status";

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_but_to_bearers() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Admin, None).await.token;
    let foreign = ("host", "evil.example");
    assert_eq!(server.with(&[foreign], Method::GET, STATUS, "").await.code(), "host_unknown");
    assert_eq!(server.with(&[foreign], Method::GET, "/docs/", "").await.code(), "host_unknown");
    let (cookie, _) = server.login(&token).await;
    assert_eq!(server.with(&[foreign, ("cookie", &cookie)], Method::GET, STATUS, "").await.code(), "host_unknown");
    assert_eq!(server.with(&[foreign], Method::GET, "/livez", "").await.status, 200);
    let bearer = format!("Bearer {token}");
    for open in ["/metrics", "/openapi.json", "/docs/"] {
        // A page may add any header where everybody is answered.
        let answer = server.with(&[foreign, ("authorization", "Bearer x")], Method::GET, open, "").await;
        assert_eq!(answer.code(), "host_unknown", "{open}");
    }
    assert_eq!(server.with(&[foreign, ("authorization", &bearer)], Method::GET, STATUS, "").await.status, 200);
    // The login looks at no header for a token, so one that is there says nothing.
    let body = serde_json::json!({ "token": token }).to_string();
    let answer = server.with(&[foreign, ("authorization", &bearer)], Method::POST, "/api/v1/session", &body).await;
    assert_eq!(answer.code(), "host_unknown");
}

#[tokio::test]
async fn every_answer_says_what_a_browser_must_not_do() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Admin, None).await.token;
    for (path, token) in
        [(STATUS, Some(token.as_str())), (STATUS, None), ("/nothing", None), ("/livez", None), ("/docs/", None)]
    {
        let answer = server.remote(token, Method::GET, path, "").await;
        let is = |name: &str, part: &str| {
            let value = answer.headers.get(name).unwrap_or_else(|| panic!("{path} without {name}"));
            assert!(value.to_str().unwrap().contains(part), "{path} {name}: {value:?}");
            assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{path} {name}");
        };
        is("x-content-type-options", "nosniff");
        is("content-security-policy", "default-src 'none'");
        is("content-security-policy", "frame-ancestors 'none'");
        is("referrer-policy", "no-referrer");
        is("cross-origin-resource-policy", "same-origin");
        if path == STATUS {
            // What has a tag may be kept by whoever asked, and only to ask again.
            is("cache-control", if answer.status == 200 { "private, no-cache" } else { "no-store" });
        }
    }
}

#[tokio::test]
async fn too_many_invalid_tokens_are_turned_away_and_a_valid_one_is_not() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Viewer, Some(1)).await.token;
    let wrong = "etl_000000000000_0000";
    for _ in 0..10 {
        assert_eq!(server.remote(Some(wrong), Method::GET, STATUS, "").await.code(), "token_invalid");
    }
    let body = serde_json::json!({ "token": wrong }).to_string();
    let answer = server.remote(None, Method::POST, "/api/v1/session", &body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (429, "too_many_failures".to_owned()));
    let wait: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(server.remote(Some(&token), Method::GET, STATUS, "").await.status, 200);
    server.login(&token).await;
    assert_eq!(server.remote(None, Method::GET, STATUS, "").await.code(), "token_required");
    for _ in 0..20 {
        let answer = super::server::send(server.unix().await, Method::GET, STATUS, Some(wrong), String::new()).await;
        assert_eq!(super::server::whole(answer).await.code(), "token_invalid", "never on the machine itself");
    }
}

#[tokio::test]
async fn of_two_authorization_headers_neither_counts() {
    let server = Server::start(synthetic(1));
    let token = format!("Bearer {}", server.token(Role::Admin, None).await.token);
    let twice = [("authorization", token.as_str()), ("authorization", "Bearer x")];
    assert_eq!(server.with(&twice, Method::GET, STATUS, "").await.code(), "token_invalid");
}

/// A client that stays connected, and asks now and then.
struct Connected(TcpStream);

impl Connected {
    async fn new(server: &Server) -> Self {
        let mut client = Self(server.tcp().await);
        assert!(client.asks().await, "nobody answers");
        client
    }

    /// Whether it is answered; `false` where the connection was closed.
    async fn asks(&mut self) -> bool {
        let answered = async {
            self.0.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok()?;
            let mut answer = Vec::new();
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                (self.0.read_buf(&mut answer).await.ok()? > 0).then_some(())?;
            }
            Some(())
        };
        timeout(Duration::from_secs(20), answered).await.expect("neither an answer nor an end").is_some()
    }
}

#[tokio::test]
async fn who_only_stays_connected_keeps_nobody_out() {
    // Both ends of each connection are here.
    let _ = crate::keeper::raise_open_files();
    let server = Server::start(synthetic(1));
    let mut clients = Vec::new();
    for _ in 0..1_024 {
        clients.push(Connected::new(&server).await);
    }
    // This one has asked a moment ago, so the next one has been quiet for the longest time.
    assert!(clients[0].asks().await);
    for _ in 0..10 {
        clients.push(Connected::new(&server).await);
    }
    assert!(clients[0].asks().await);
    assert!(!clients[1].asks().await, "there is a limit");
    assert!(clients.last_mut().unwrap().asks().await);
}
