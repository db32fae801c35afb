//! The life of a token.

use std::{fs, os::unix::fs::PermissionsExt};

use etl_shared::api::{Role, TokenDescription};
use hyper::{Method, StatusCode};

use super::{fleet::synthetic, server::Server};
use crate::api::{TokenStore, TokenStoreError};

const PATH: &str = "/api/v1/admin/tokens";
const STATUS: &str = "/api/v1/admin/workers/status";

#[tokio::test]
async fn a_token_works_from_its_creation_to_its_revocation() {
    let server = Server::start(synthetic(1));
    let created = server.token(Role::Viewer, Some(1)).await;
    let id = &created.description.id;
    assert!(created.token.starts_with(&format!("etl_{id}_")), "{}", created.token);
    assert_eq!(created.token.len(), "etl_".len() + 12 + 1 + 64);

    let listed: Vec<TokenDescription> = server.local(Method::GET, PATH, "").await.json();
    assert_eq!(listed, std::slice::from_ref(&created.description));
    assert_eq!(server.remote(Some(&created.token), Method::GET, STATUS, "").await.status, StatusCode::OK);

    let revoked = server.local(Method::DELETE, &format!("{PATH}/{id}"), "").await;
    assert_eq!((revoked.status, revoked.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(server.remote(Some(&created.token), Method::GET, STATUS, "").await.code(), "token_invalid");
    assert_eq!(server.local(Method::DELETE, &format!("{PATH}/{id}"), "").await.code(), "token_unknown");
}

#[tokio::test]
async fn one_wrong_digit_is_a_wrong_token() {
    let server = Server::start(synthetic(1));
    let token = server.token(Role::Admin, None).await.token;
    let other = if token.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{other}", &token[..token.len() - 1]);
    for wrong in [wrong.as_str(), &token[..token.len() - 1], &format!("{token}0"), &token.to_uppercase()] {
        assert_eq!(server.remote(Some(wrong), Method::GET, STATUS, "").await.code(), "token_invalid", "{wrong}");
    }
}

#[tokio::test]
async fn the_file_holds_hashes_only_and_survives_the_process() {
    let server = Server::start(synthetic(1));
    let created = server.token(Role::Operator, Some(1)).await;
    let path = server.runtime.state_directory.join("tokens.json");
    let text = fs::read_to_string(&path).unwrap();
    let secret = created.token.rsplit('_').next().unwrap();
    assert!(text.contains(&created.description.id) && !text.contains(secret), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = TokenStore::open(path).unwrap();
    assert!(again.bearer(&created.token).is_some());
    assert!(again.bearer(&format!("etl_{}_{}", created.description.id, "0".repeat(64))).is_none());
}

#[tokio::test]
async fn a_change_that_cannot_be_written_has_not_happened() {
    let server = Server::start(synthetic(1));
    let kept = server.token(Role::Admin, None).await;
    // Nobody can write into a directory that is gone, root included.
    fs::rename(&server.runtime.state_directory, server.directory.path().join("away")).unwrap();
    let body = r#"{"name":"x","role":"admin"}"#;
    assert_eq!(server.local(Method::POST, PATH, body).await.code(), "tokens_not_written");
    let path = format!("{PATH}/{}", kept.description.id);
    assert_eq!(server.local(Method::DELETE, &path, "").await.code(), "tokens_not_written");
    let listed: Vec<TokenDescription> = server.local(Method::GET, PATH, "").await.json();
    assert_eq!(listed, [kept.description]);
}

#[test]
fn a_damaged_file_is_left_alone_and_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{]").unwrap();
    let error = TokenStore::open(file.path().to_owned()).unwrap_err();
    assert!(matches!(error, TokenStoreError::Damaged { .. }));
    assert!(error.to_string().contains(file.path().to_str().unwrap()));
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "{]");
}
