//! Who may do what, on every endpoint: the table is the specification.

use etl_shared::api::Role;
use hyper::Method;

use super::{
    fleet::synthetic,
    server::{Answer, Server},
};
use crate::api::jwt::tests::platform::{hs256, now};

/// Everybody who may call: on the machine, an admin's token, an operator's and a viewer's of tenant 1, nobody.
const CALLERS: [&str; 5] = ["machine", "admin", "operator", "viewer", "nobody"];

/// Tenants 1 and 2 exist, 9 does not. Method, path, body, and what each caller is answered.
type Row = (&'static str, &'static str, &'static str, [&'static str; 5]);

const NOBODY: &str = "401 token_required";
const FOREIGN: &str = "403 foreign_tenant";
const LOW: &str = "403 role_too_low";
const UNKNOWN: &str = "404 tenant_unknown";
const NO_OWN: &str = "400 no_own_tenant";
const NAME_ONE: &str = "400 tenant_required";
/// Let in; the server of these tests has one account for all.
const SHARED: &str = "409 credentials_shared";
/// Let in; the server of these tests has neither broker nor database.
const NO_BROKER: &str = "503 broker_not_configured";
const NO_DATABASE: &str = "503 database_not_configured";

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("POST", "/api/v1/admin/workers/control", r#"{"action":"stop"}"#, ["202", "202", LOW, LOW, NOBODY]),
    ("POST", "/api/v1/admin/workers/tenant/control", r#"{"action":"stop","tenant_id":1}"#, ["202", "202", "202", LOW, NOBODY]),
    ("POST", "/api/v1/admin/workers/tenant/control", r#"{"action":"stop","tenant_id":2}"#, ["202", "202", FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/workers/tenant/control", r#"{"action":"stop","tenant_id":9}"#, [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/workers/action", r#"{"action":"start"}"#, [NO_OWN, NO_OWN, "202", LOW, NOBODY]),
    ("GET", "/api/v1/admin/workers/tenant/1/status", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/tenant/2/status", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/tenant/9/status", "", [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/status", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/logs", "", [NAME_ONE, NAME_ONE, "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/logs?tenant_id=1", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/logs?tenant_id=2", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/logs?tenant_id=9", "", [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/tokens", "", ["200", "200", LOW, LOW, NOBODY]),
    ("POST", "/api/v1/admin/tokens", r#"{"name":"x","role":"viewer","tenant_id":1}"#, ["201", "201", LOW, LOW, NOBODY]),
    ("DELETE", "/api/v1/admin/tokens/000000000000", "", ["404 token_unknown", "404 token_unknown", LOW, LOW, NOBODY]),
    ("GET", "/api/v1/admin/tenants", "", ["200", "200", LOW, LOW, NOBODY]),
    ("POST", "/api/v1/admin/tenants/confirm", "", ["409 nothing_to_confirm", "409 nothing_to_confirm", LOW, LOW, NOBODY]),
    ("GET", "/api/v1/admin/dead-letters", "", [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("GET", "/api/v1/admin/dead-letters?tenant_id=1", "", [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("GET", "/api/v1/admin/dead-letters?tenant_id=2", "", [NO_DATABASE, NO_DATABASE, FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/dead-letters/5", "", [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("POST", "/api/v1/admin/dead-letters/replay", r#"{"filter":{}}"#, [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("POST", "/api/v1/admin/dead-letters/replay", r#"{"filter":{"tenant_id":2}}"#, [NO_DATABASE, NO_DATABASE, FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/dead-letters/discard", r#"{"filter":{"tenant_id":1}}"#, [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("POST", "/api/v1/admin/dead-letters/discard", r#"{"ids":[1]}"#, [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("GET", "/api/v1/admin/credentials", "", ["200", "200", "200", "200", NOBODY]),
    ("POST", "/api/v1/admin/credentials/rotate", r#"{"tenant_id":1}"#, [SHARED, SHARED, SHARED, LOW, NOBODY]),
    ("POST", "/api/v1/admin/credentials/rotate", r#"{"tenant_id":2}"#, [SHARED, SHARED, FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/credentials/rotate", r#"{"tenant_id":9}"#, [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/credentials/rotate", r#"{"all":true}"#, [SHARED, SHARED, LOW, LOW, NOBODY]),
    ("POST", "/api/v1/admin/credentials/rotate", "{}", ["400 selection_required", "400 selection_required", "400 selection_required", "400 selection_required", NOBODY]),
    ("GET", "/openapi.json", "", ["200"; 5]),
    ("GET", "/livez", "", ["200"; 5]),
    ("GET", "/readyz", "", ["200"; 5]),
    ("HEAD", "/api/v1/admin/workers/tenant/2/status", "", ["200", "200", "403", "403", "401"]),
    ("GET", "/api/v1/admin/nothing", "", ["404 path_unknown"; 5]),
    ("GET", "/", "", ["200"; 5]),
    ("PUT", "/api/v1/admin/workers/status", "", ["405 method_not_allowed"; 5]),
    ("GET", "/api/v1/admin/workers/config", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/config?tenant_id=1", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/config?tenant_id=2", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/config?tenant_id=9", "", [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("PUT", "/api/v1/admin/workers/config", r#"{"queues":{}}"#, [NAME_ONE, NAME_ONE, NO_DATABASE, LOW, NOBODY]),
    ("PUT", "/api/v1/admin/workers/config", r#"{"tenant_id":2,"queues":{}}"#, [NO_DATABASE, NO_DATABASE, FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/queues/status", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/queues/status?tenant_id=1", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/queues/status?tenant_id=2", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/queues/status?tenant_id=9", "", [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/jobs", r#"{"integration_id":1,"raw_data_id":1,"type":"github_prs"}"#, [NAME_ONE, NAME_ONE, NO_BROKER, LOW, NOBODY]),
    ("POST", "/api/v1/admin/jobs", r#"{"tenant_id":1,"integration_id":1,"raw_data_id":1,"type":"x"}"#, ["400 unknown_type", "400 unknown_type", "400 unknown_type", LOW, NOBODY]),
    ("POST", "/api/v1/admin/jobs", r#"{"tenant_id":2,"integration_id":1,"raw_data_id":1,"type":"github_prs"}"#, [NO_BROKER, NO_BROKER, FOREIGN, FOREIGN, NOBODY]),
    ("POST", "/api/v1/admin/jobs", r#"{"tenant_id":9,"integration_id":1,"raw_data_id":1,"type":"github_prs"}"#, [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("PUT", "/api/v1/admin/workers/config", r#"{"tenant_id":9,"queues":{}}"#, [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/session", "", ["200", "200", "200", "200", NOBODY]),
    ("POST", "/api/v1/session", r#"{"token":"etl_x_y"}"#, ["401 token_invalid"; 5]),
    ("GET", "/api/v1/admin/audit", "", [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("GET", "/api/v1/admin/audit?tenant_id=1", "", [NO_DATABASE, NO_DATABASE, NO_DATABASE, LOW, NOBODY]),
    ("GET", "/api/v1/admin/audit?tenant_id=2", "", [NO_DATABASE, NO_DATABASE, FOREIGN, FOREIGN, NOBODY]),
    ("DELETE", "/api/v1/session", "", ["409 no_session", "409 no_session", "409 no_session", "409 no_session", NOBODY]),
    ("GET", "/api/v1/admin/workers/events", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/events?tenant_id=1&rows=true", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/events?tenant_id=2", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/history", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/history?tenant_id=2", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/overview", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/tenant/1/history", "", ["200", "200", "200", "200", NOBODY]),
    ("GET", "/api/v1/admin/workers/tenant/2/history", "", ["200", "200", FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/api/v1/admin/workers/tenant/9/history", "", [UNKNOWN, UNKNOWN, FOREIGN, FOREIGN, NOBODY]),
    ("GET", "/metrics", "", ["200"; 5]),
];

/// How somebody shows who he is.
#[derive(Debug, Clone, PartialEq)]
enum Shows {
    /// By the unix socket.
    Socket,
    /// `Authorization`, with an API token or a JWT.
    Bearer(String),
    /// The page's cookie and its word.
    Cookie(String, String),
    Nothing,
}

impl Shows {
    async fn ask(&self, server: &Server, method: Method, path: &str, body: &str) -> Answer {
        match self {
            Self::Socket => server.local(method, path, body).await,
            Self::Bearer(token) => server.remote(Some(token), method, path, body).await,
            Self::Cookie(cookie, word) => {
                server.with(&[("cookie", cookie), ("x-csrf-token", word)], method, path, body).await
            }
            Self::Nothing => server.remote(None, method, path, body).await,
        }
    }
}

/// Every row as everybody in `CALLERS`, who show themselves like this.
async fn wrong(server: &Server, callers: &[Shows; 5]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (method, path, body, expected) in TABLE {
        // Only a session can be ended, and then it is.
        let is_logout = (*method, *path) == ("DELETE", "/api/v1/session");
        let method: Method = method.parse().unwrap();
        for ((caller, name), expected) in callers.iter().zip(CALLERS).zip(expected) {
            if is_logout && matches!(caller, Shows::Cookie(..)) {
                continue;
            }
            let answer = caller.ask(server, method.clone(), path, body).await;
            let mut answered = answer.status.as_u16().to_string();
            if answer.status.as_u16() >= 400 && !answer.body.is_empty() {
                answered = format!("{answered} {}", answer.code());
            }
            if answered != *expected {
                wrong.push(format!("{method} {path} {body} as {name}, {caller:?}: {answered}, not {expected}"));
            }
        }
    }
    wrong
}

async fn tokens(server: &Server) -> [String; 3] {
    [
        server.token(Role::Admin, None).await.token,
        server.token(Role::Operator, Some(1)).await.token,
        server.token(Role::Viewer, Some(1)).await.token,
    ]
}

#[tokio::test]
async fn every_endpoint_answers_every_bearer_of_a_token_as_the_table_says() {
    let server = Server::start(synthetic(2));
    let [admin, operator, viewer] = tokens(&server).await.map(Shows::Bearer);
    let wrong = wrong(&server, &[Shows::Socket, admin, operator, viewer, Shows::Nothing]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_endpoint_answers_whoever_is_logged_in_as_the_table_says() {
    let server = Server::start(synthetic(2));
    let mut callers = [Shows::Socket, Shows::Nothing, Shows::Nothing, Shows::Nothing, Shows::Nothing];
    for (place, token) in callers[1..4].iter_mut().zip(tokens(&server).await) {
        let (cookie, session) = server.login(&token).await;
        *place = Shows::Cookie(cookie, session.csrf_token.unwrap());
    }
    let wrong = wrong(&server, &callers).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_endpoint_answers_bearers_of_the_platforms_tokens_and_their_sessions_as_the_table_says() {
    let secret = [b'k'; 32];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();
    let text = format!("[jwt]\nsecret_file = {:?}\nissuer = \"platform\"", file.path());
    let server = Server::start_with(synthetic(2), |context| context.auth = toml::from_str(&text).unwrap());
    let claims =
        ["\"is_admin\":true", "\"role\":\"operator\",\"tenant_id\":1", "\"role\":\"viewer\",\"tenant_id\":\"1\""];
    let [admin, operator, viewer] = claims.map(|claims| {
        let claims = format!("{{\"iss\":\"platform\",\"exp\":{},\"sub\":\"alice\",{claims}}}", now() + 600);
        hs256(&secret, r#"{"alg":"HS256"}"#, &claims)
    });
    let mut sessions = Vec::new();
    for token in [&admin, &operator, &viewer] {
        let (cookie, session) = server.login(token).await;
        assert_eq!(session.actor, "jwt alice");
        sessions.push(Shows::Cookie(cookie, session.csrf_token.unwrap()));
    }
    let [admin, operator, viewer] = [admin, operator, viewer].map(Shows::Bearer);
    let mut all = wrong(&server, &[Shows::Socket, admin, operator, viewer, Shows::Nothing]).await;
    let [admin, operator, viewer] = <[Shows; 3]>::try_from(sessions).unwrap();
    all.extend(wrong(&server, &[Shows::Socket, admin, operator, viewer, Shows::Nothing]).await);
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test]
async fn the_table_has_every_endpoint_of_the_description() {
    let server = Server::start(synthetic(2));
    let description: serde_json::Value = server.local(Method::GET, "/openapi.json", "").await.json();
    let in_table = |method: &str, path: &str| {
        TABLE.iter().any(|(row_method, row_path, ..)| {
            let row_path = row_path.split('?').next().unwrap().split('/');
            let mut parts = path.split('/');
            let same = row_path.clone().count() == path.split('/').count()
                && row_path.zip(&mut parts).all(|(row, part)| row == part || part.starts_with('{'));
            same && row_method.eq_ignore_ascii_case(method)
        })
    };
    let mut missing = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        missing.extend(
            methods
                .as_object()
                .unwrap()
                .keys()
                .filter(|method| !in_table(method, path))
                .map(|method| format!("{method} {path}")),
        );
    }
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[tokio::test]
async fn a_token_counts_for_what_it_is_through_the_unix_socket_too() {
    let server = Server::start(synthetic(2));
    let viewer = server.token(Role::Viewer, Some(1)).await.token;
    let path = "/api/v1/admin/workers/tenant/2/status";
    let answer = super::server::send(server.unix().await, Method::GET, path, Some(&viewer), String::new()).await;
    assert_eq!(super::server::whole(answer).await.code(), "foreign_tenant");
    let answer = super::server::send(server.unix().await, Method::GET, path, Some("etl_x_y"), String::new()).await;
    assert_eq!(super::server::whole(answer).await.code(), "token_invalid");
}
