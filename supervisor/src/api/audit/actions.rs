//! How the audit log names what a request does.

use axum::http::Method;

/// Names that differ from method and path. `workers.control` becomes `workers.stop` and its like once it is known what is wanted.
const NAMES: [(&str, &str, &str); 14] = [
    ("POST", "/api/v1/admin/workers/control", "workers.control"),
    ("POST", "/api/v1/admin/workers/tenant/control", "workers.control"),
    ("POST", "/api/v1/admin/workers/action", "workers.control"),
    ("PUT", "/api/v1/admin/workers/config", "settings.change"),
    ("POST", "/api/v1/admin/jobs", "jobs.publish"),
    ("POST", "/api/v1/admin/tokens", "tokens.create"),
    ("DELETE", "/api/v1/admin/tokens/{id}", "tokens.revoke"),
    ("POST", "/api/v1/admin/tenants/confirm", "tenants.confirm"),
    ("POST", "/api/v1/admin/credentials/rotate", "credentials.rotate"),
    ("POST", "/api/v1/admin/dead-letters/replay", "dead_letters.replay"),
    ("POST", "/api/v1/admin/dead-letters/discard", "dead_letters.discard"),
    ("POST", "/api/v1/session", "session.login"),
    ("DELETE", "/api/v1/session", "session.logout"),
    ("GET", "/api/v1/session", "session.show"),
];

/// The name of a request to an endpoint; of one to no endpoint, `unknown`.
pub(super) fn name(method: &Method, path: Option<&str>) -> String {
    let Some(path) = path else { return "unknown".to_owned() };
    if let Some((.., name)) = NAMES.iter().find(|(verb, at, _)| *verb == method.as_str() && *at == path) {
        return (*name).to_owned();
    }
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    let path = path.strip_prefix("admin/").unwrap_or(path);
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{')).collect();
    let verb =
        if matches!(*method, Method::GET | Method::HEAD) { "read".to_owned() } else { method.as_str().to_lowercase() };
    format!("{}.{verb}", parts.join(".").replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_a_name() {
        for (method, path, expected) in [
            (Method::POST, Some("/api/v1/session"), "session.login"),
            (Method::GET, Some("/api/v1/admin/workers/tenant/{tenant_id}/status"), "workers.tenant.status.read"),
            (Method::GET, Some("/api/v1/admin/dead-letters/{id}"), "dead_letters.read"),
            (Method::PATCH, Some("/api/v1/admin/new-thing"), "new_thing.patch"),
            (Method::POST, None, "unknown"),
        ] {
            assert_eq!(name(&method, path), expected);
        }
    }
}
