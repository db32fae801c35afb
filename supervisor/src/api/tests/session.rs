//! Login, what a cookie is worth, and how a session ends.

use std::{fs, path::Path};

use etl_shared::api::{Role, Session};
use hyper::{Method, header};

use super::{fleet::synthetic, server::Server};
use crate::api::jwt::tests::platform::{Rsa, hs256, now};

const SESSION: &str = "/api/v1/session";
const OWN: &str = "/api/v1/admin/workers/action";
const STOP: &str = r#"{"action":"stop"}"#;

#[tokio::test]
async fn a_login_gives_what_its_token_gives_and_no_script_sees_the_cookie() {
    let server = Server::start(synthetic(2));
    let token = server.token(Role::Operator, Some(1)).await;
    let body = serde_json::json!({ "token": token.token }).to_string();
    let answer = server.remote(None, Method::POST, SESSION, &body).await;
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["etl_session=", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
    let session: Session = answer.json();
    assert_eq!(session.actor, format!("token {}", token.description.id));
    assert_eq!((session.role, session.tenant_id.map(i64::from)), (Role::Operator, Some(1)));
    assert!(session.csrf_token.is_some() && session.expires_at.is_some());
    let cookie = set.split(';').next().unwrap();
    let shown = server.with(&[("cookie", cookie)], Method::GET, SESSION, "").await;
    assert_eq!(shown.json::<Session>(), session);
    // The answer never repeats the cookie: a page that shows it has nothing to show.
    assert!(!String::from_utf8_lossy(&shown.body).contains(cookie.split_once('=').unwrap().1));
}

#[tokio::test]
async fn whoever_asks_is_told_who_he_is() {
    let server = Server::start(synthetic(1));
    let session: Session = server.local(Method::GET, SESSION, "").await.json();
    assert_eq!((session.role, session.csrf_token, session.expires_at), (Role::Admin, None, None));
    assert!(session.actor.starts_with("uid "), "{}", session.actor);
    let token = server.token(Role::Viewer, Some(1)).await;
    let session: Session = server.remote(Some(&token.token), Method::GET, SESSION, "").await.json();
    assert_eq!((session.role, session.csrf_token), (Role::Viewer, None));
}

#[tokio::test]
async fn a_cookie_alone_reads_and_changes_nothing() {
    let server = Server::start(synthetic(2));
    let token = server.token(Role::Operator, Some(1)).await.token;
    let (cookie, session) = server.login(&token).await;
    let word = session.csrf_token.unwrap();
    let cookie = ("cookie", cookie.as_str());
    let right = ("x-csrf-token", word.as_str());
    let post = async |headers: &[(&str, &str)]| {
        let answer = server.with(headers, Method::POST, OWN, STOP).await;
        if answer.status == 202 { "202".to_owned() } else { answer.code() }
    };
    let (_, other) = server.login(&token).await;
    assert_eq!(post(&[cookie]).await, "csrf_required");
    assert_eq!(post(&[cookie, ("x-csrf-token", "")]).await, "csrf_invalid");
    assert_eq!(post(&[cookie, ("x-csrf-token", &other.csrf_token.unwrap())]).await, "csrf_invalid");
    assert_eq!(post(&[cookie, right, ("origin", "http://evil.example")]).await, "origin_foreign");
    assert_eq!(post(&[cookie, right, ("sec-fetch-site", "cross-site")]).await, "origin_foreign");
    assert_eq!(post(&[cookie, right, ("origin", "http://localhost")]).await, "202");
    assert_eq!(post(&[cookie, right]).await, "202");
    // A bearer's header goes before a cookie and needs no word; a wrong one is not made good by a cookie.
    let bearer = format!("Bearer {token}");
    assert_eq!(post(&[cookie, ("authorization", &bearer)]).await, "202");
    assert_eq!(post(&[cookie, right, ("authorization", "Bearer etl_x_y")]).await, "token_invalid");
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_with_a_logout() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Viewer, Some(1)).await;
    let (first, session) = server.login(&token.token).await;
    let (second, _) = server.login(&token.token).await;
    let show = async |cookie: &str| server.with(&[("cookie", cookie)], Method::GET, SESSION, "").await;
    let word = session.csrf_token.unwrap();
    let out = server.with(&[("cookie", &first), ("x-csrf-token", &word)], Method::DELETE, SESSION, "").await;
    assert_eq!(out.status, 204, "{out:?}");
    assert!(out.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(show(&first).await.code(), "session_expired");
    assert_eq!(show(&second).await.status, 200);
    let path = format!("/api/v1/admin/tokens/{}", token.description.id);
    assert_eq!(server.local(Method::DELETE, &path, "").await.status, 204);
    assert_eq!(show(&second).await.code(), "session_expired");
}

#[tokio::test]
async fn a_cookie_that_was_planted_before_the_login_is_worth_nothing_after_it() {
    let server = Server::start(synthetic(1));
    let attacker = server.token(Role::Viewer, Some(1)).await.token;
    let victim = server.token(Role::Admin, None).await.token;
    let (planted, _) = server.login(&attacker).await;
    let body = serde_json::json!({ "token": victim }).to_string();
    let answer = server.with(&[("cookie", &planted)], Method::POST, SESSION, &body).await;
    let fresh = answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(fresh, planted);
    assert_eq!(server.with(&[("cookie", &planted)], Method::GET, SESSION, "").await.code(), "session_expired");
    assert_eq!(server.with(&[("cookie", &fresh)], Method::GET, SESSION, "").await.json::<Session>().role, Role::Admin);
    // Two cookies of the name: one of them is somebody else's idea.
    let both = format!("{planted}; {fresh}");
    assert_eq!(server.with(&[("cookie", &both)], Method::GET, SESSION, "").await.code(), "session_expired");
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(server.with(&foreign, Method::POST, SESSION, &body).await.code(), "origin_foreign");
}

#[tokio::test]
async fn nobody_logs_in_as_often_as_a_program_can() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Viewer, Some(1)).await.token;
    let other = server.token(Role::Viewer, Some(1)).await.token;
    for _ in 0..30 {
        server.login(&token).await;
    }
    let body = serde_json::json!({ "token": token }).to_string();
    let answer = server.remote(None, Method::POST, SESSION, &body).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "too_many_logins"));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    server.login(&other).await;
}

fn alice() -> String {
    format!(r#"{{"iss":"platform","aud":"etl","exp":{},"sub":"alice","is_admin":true}}"#, now() + 600)
}

/// A server that believes what is signed with the keys in this file, with the sessions of an earlier one.
fn believing(setting: &str, keys: &Path, earlier: Option<&Server>) -> Server {
    let text = format!("[jwt]\n{setting} = {keys:?}\nissuer = \"platform\"\naudience = \"etl\"");
    Server::start_with(synthetic(1), |context| {
        context.auth = toml::from_str(&text).unwrap();
        if let Some(earlier) = earlier {
            context.runtime.state_directory.clone_from(&earlier.runtime.state_directory);
        }
    })
}

/// Whether a session that was begun with this token is one after a restart, with these keys instead of those where some are given.
async fn outlives(setting: &str, keys: &Path, token: &str, new_keys: Option<&[u8]>) -> bool {
    let first = believing(setting, keys, None);
    let (cookie, session) = first.login(token).await;
    assert_eq!(session.actor, "jwt alice");
    if let Some(new_keys) = new_keys {
        fs::write(keys, new_keys).unwrap();
    }
    let second = believing(setting, keys, Some(&first));
    let answer = second.with(&[("cookie", &cookie)], Method::GET, SESSION, "").await;
    answer.status == 200 || answer.code() != "session_expired"
}

#[tokio::test]
async fn a_session_ends_with_the_secret_that_its_token_was_signed_with() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), [b'k'; 32]).unwrap();
    let token = hs256(&[b'k'; 32], r#"{"alg":"HS256"}"#, &alice());
    assert!(outlives("secret_file", file.path(), &token, None).await);
    assert!(!outlives("secret_file", file.path(), &token, Some(&[b'n'; 32])).await);
}

#[tokio::test]
async fn a_session_ends_when_the_platform_withdraws_the_key_of_its_token() {
    let (old, new) = (Rsa::new(2048), Rsa::new(2048));
    let set = |keys: &[serde_json::Value]| serde_json::json!({ "keys": keys }).to_string().into_bytes();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), set(&[old.jwk("1")])).unwrap();
    let token = old.rs256(r#"{"alg":"RS256","kid":"1"}"#, &alice());
    let both = set(&[old.jwk("1"), new.jwk("2")]);
    assert!(outlives("jwks_file", file.path(), &token, Some(&both)).await);
    // The name alone is not the key.
    assert!(!outlives("jwks_file", file.path(), &token, Some(&set(&[new.jwk("1")]))).await);
}
