//! By which name the TCP listener is called. A page of another site that has its own name point here ("DNS rebinding") comes with
//! that name, so names that nobody has configured are refused; addresses cannot be made to point elsewhere.
//!
//! A request to the API with an `Authorization` header is let pass: no browser adds one by itself, so whoever sends it has a token, or is
//! refused. What is open to everybody is not: there a page could add any such header and would be answered. The login is, because its
//! token stands in the body.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Api, authenticate::Peer, problem::Refusal};
use crate::settings;

/// Refuses requests under a name that is not ours.
pub(super) async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let local = matches!(request.extensions().get(), Some(Peer::Unix { .. }));
    let harmless = matches!(request.uri().path(), "/livez" | "/readyz");
    let headers = request.headers();
    let login = request.method() == Method::POST && request.uri().path() == "/api/v1/session";
    let api_call = request.uri().path().starts_with("/api/") && !login;
    let bearer = api_call && headers.contains_key(header::AUTHORIZATION);
    if local || harmless || bearer || is_ours(&api.context.api, request.uri(), headers) {
        return next.run(request).await;
    }
    let detail = "the supervisor is not known by this name (Host): add it to [api] hosts, or set [api] public_url";
    Refusal::forbidden("host_unknown", detail).into_response()
}

fn is_ours(settings: &settings::Api, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::HOST).iter();
    let host = match (given.next(), given.next()) {
        // Browsers always send one.
        (None, _) => None,
        (Some(host), None) => match host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) {
            Some(authority) => Some(authority),
            None => return false,
        },
        (Some(_), Some(_)) => return false,
    };
    host.iter().chain(uri.authority()).all(|authority| is_our_name(settings, authority.host()))
}

fn is_our_name(settings: &settings::Api, host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let is = |name: &str| name.eq_ignore_ascii_case(&bare);
    bare.parse::<IpAddr>().is_ok()
        || is("localhost")
        || settings.hosts.iter().any(|name| is(name))
        || settings.public_url.as_ref().and_then(|url| url.host_str()).is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_ours_count() {
        let settings = settings::Api {
            public_url: Some("https://etl.example.org".parse().unwrap()),
            hosts: vec!["etl.internal".to_owned()],
            ..settings::Api::default()
        };
        for (host, ours) in [
            ("127.0.0.1:8750", true),
            ("10.0.0.7", true),
            ("[::1]:8750", true),
            ("localhost", true),
            ("LOCALHOST:8750", true),
            ("etl.example.org", true),
            ("Etl.Internal:80", true),
            ("evil.example", false),
            ("etl.example.org.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evil@localhost", true),
            ("a b", false),
            ("", false),
        ] {
            let headers = [(header::HOST, host.parse().unwrap())].into_iter().collect();
            assert_eq!(is_ours(&settings, &Uri::from_static("/"), &headers), ours, "{host}");
        }
        let twice: HeaderMap = [(header::HOST, "localhost".parse().unwrap())].into_iter().collect();
        let mut twice = twice;
        twice.append(header::HOST, "evil.example".parse().unwrap());
        assert!(!is_ours(&settings, &Uri::from_static("/"), &twice));
        assert!(!is_ours(&settings, &Uri::from_static("http://evil.example/"), &HeaderMap::new()));
    }
}
