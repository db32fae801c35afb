//! An operator of tenant 1 reaches for tenant 2.

use serde_json::json;
use system_tests::refusals::Attempt;

use crate::{
    Scene,
    forged::jwt,
    wire::{request, stop},
};

pub(crate) async fn attempts(scene: &Scene) -> Vec<Attempt> {
    let own = format!("Authorization: Bearer {}", scene.own);
    let own = own.as_str();
    let platform = format!("Authorization: Bearer {}", jwt(&json!({})));
    let logs = "/api/v1/admin/workers/logs";
    let control = "/api/v1/admin/workers/tenant/control";
    let get = |path: &str| request("GET", path, &[own], "");
    let post = |path: &str, body: &str| request("POST", path, &[own], body);
    assert_eq!(scene.answers(&get(&format!("{logs}?tenant_id=1"))).await, ["200"], "one's own tenant is open");
    let tries = [
        ("another tenant in the path", get("/api/v1/admin/workers/tenant/2/status")),
        (
            "another tenant in the path, by a JWT",
            request("GET", "/api/v1/admin/workers/tenant/2/status", &[&platform], ""),
        ),
        ("another tenant in the path, escaped", get("/api/v1/admin/workers/tenant/%32/status")),
        ("another tenant behind `..`", get("/api/v1/admin/workers/tenant/1/../2/status")),
        ("another tenant behind an escaped `/`", get("/api/v1/admin/workers/tenant/1%2F..%2F2/status")),
        ("another tenant in the query", get(&format!("{logs}?tenant_id=2"))),
        ("one's own tenant and then another one in the query", get(&format!("{logs}?tenant_id=1&tenant_id=2"))),
        ("another tenant and then one's own in the query", get(&format!("{logs}?tenant_id=2&tenant_id=1"))),
        ("a list of tenants in the query", get(&format!("{logs}?tenant_id[]=1&tenant_id[]=2"))),
        ("another tenant in the body", post(control, &stop(2))),
        (
            "one's own tenant and then another one in the body",
            post(control, r#"{"action":"stop","tenant_id":1,"tenant_id":2}"#),
        ),
        ("another tenant as text in the body", post(control, r#"{"action":"stop","tenant_id":"2"}"#)),
        (
            "another tenant in the query of a request about one's own",
            post("/api/v1/admin/dead-letters/discard?tenant_id=1", r#"{"filter":{"tenant_id":2}}"#),
        ),
        ("everybody's workers", post("/api/v1/admin/workers/control", r#"{"action":"stop"}"#)),
        ("another tenant's audit log", get("/api/v1/admin/audit?tenant_id=2")),
        ("a token for oneself", post("/api/v1/admin/tokens", r#"{"name":"x","role":"admin"}"#)),
        (
            "another method by X-HTTP-Method-Override",
            request("GET", "/api/v1/admin/tokens", &[own, "X-HTTP-Method-Override: POST"], ""),
        ),
        (
            "another path by X-Original-URL",
            request(
                "GET",
                "/api/v1/admin/workers/tenant/2/status",
                &[own, "X-Original-URL: /livez", "X-Rewrite-URL: /livez"],
                "",
            ),
        ),
        (
            "a role by header",
            request(
                "GET",
                "/api/v1/admin/tokens",
                &[own, "X-Role: admin", "X-Remote-User: root", "X-Forwarded-For: 127.0.0.1"],
                "",
            ),
        ),
    ];
    let mut attempts = Vec::new();
    for (what, bytes) in tries {
        attempts.push(scene.attempt(what, &bytes).await);
    }
    attempts
}
