//! What the audit log says afterwards.

use etl_shared::api::{AuditPage, AuditResult, Role};
use serde_json::json;
use system_tests::{Platform, SOON, Setup, Supervisor, eventually, http::Call, supervisor_setup::quoted};

const AUDIT: &str = "/api/v1/admin/audit";

async fn page(supervisor: &Supervisor, query: &str) -> Result<AuditPage, String> {
    let reply = supervisor.socket(Call::get(&format!("{AUDIT}?{query}"))).await.map_err(|error| error.to_string())?;
    if reply.status == 200 { Ok(reply.json()) } else { Err(format!("{reply:?}")) }
}

#[tokio::test]
async fn what_was_done_and_what_was_refused_stands_there_once() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1, 2]).await;
    let operator = supervisor.token(Role::Operator, Some(1)).await;
    let stop = |tenant: i64| {
        Call::post("/api/v1/admin/workers/tenant/control", json!({"action": "stop", "tenant_id": tenant}))
    };
    supervisor.tcp(stop(1).token(&operator)).await.expect_status(202);
    supervisor.tcp(stop(2).token(&operator)).await.expect_status(403);
    supervisor.tcp(stop(2)).await.expect_status(401);
    supervisor.tcp(Call::post("/api/v1/session", json!({"token": operator}))).await.expect_status(200);
    supervisor.tcp(Call::get("/api/v1/admin/workers/status").token(&operator)).await.expect_status(200);
    let all = eventually("everything is in the database", SOON, async || {
        let page = page(&supervisor, "").await?;
        if page.entries.len() >= 5 { Ok(page.entries) } else { Err(format!("{page:?}")) }
    })
    .await;
    let told: Vec<_> = all
        .iter()
        .rev()
        .map(|entry| {
            let actor = entry.actor.split(' ').next().unwrap_or_default();
            let tenant = entry.tenant_id.map(i64::from);
            (actor, entry.action.as_str(), tenant, entry.result, entry.status, entry.source.as_str())
        })
        .collect();
    let (ok, refused) = (AuditResult::Ok, AuditResult::Refused);
    let expected = [
        ("uid", "tokens.create", Some(1), ok, 201, "unix"),
        ("token", "workers.stop", Some(1), ok, 202, "127.0.0.1"),
        ("token", "workers.control", Some(2), refused, 403, "127.0.0.1"),
        ("nobody", "workers.control", None, refused, 401, "127.0.0.1"),
        ("token", "session.login", Some(1), ok, 200, "127.0.0.1"),
    ];
    assert_eq!(told, expected);
    assert_eq!(all[2].detail["code"], "foreign_tenant", "{all:?}");
    let secret = operator.rsplit('_').next().expect("a secret");
    assert!(!format!("{all:?}").contains(secret) && !supervisor.log().contains(secret), "no secret anywhere");

    // The tenant's operator sees what is about his tenant, and nothing else.
    let own: AuditPage = supervisor.tcp(Call::get(AUDIT).token(&operator)).await.json();
    assert!(
        own.entries.len() == 3 && own.entries.iter().all(|entry| entry.tenant_id.map(i64::from) == Some(1)),
        "{own:?}"
    );
    let first = page(&supervisor, "limit=2").await.expect("a page");
    let second =
        page(&supervisor, &format!("limit=2&cursor={}", first.next_cursor.expect("more"))).await.expect("a page");
    assert_eq!([first.entries, second.entries].concat(), all[..4]);
    let filtered = page(&supervisor, "action=workers.stop&result=ok&since=2020-01-01T00:00:00Z").await.expect("a page");
    assert_eq!(filtered.entries, all[3..4]);
    let printed = supervisor.cli_ok(&["audit", "1", "--since", "1h"]).await;
    assert!(printed.contains("workers.stop") && printed.lines().count() == 3, "{printed}");
}

#[tokio::test]
async fn while_the_database_is_away_entries_wait_and_come_once_and_in_order() {
    let platform = Platform::with_tenants(&[1]).await;
    let proxy = system_tests::proxy::Proxy::to(&platform.database.address());
    let url = platform.database.url().replace(&platform.database.address(), proxy.address());
    let mut supervisor = Supervisor::start(&Setup::on(&platform).set("database", "url", &quoted(url))).await;
    supervisor.until_running(&[1]).await;
    supervisor.control("restart", Some(1)).await;
    eventually("the first entry is there", SOON, async || match page(&supervisor, "").await? {
        page if page.entries.len() == 1 => Ok(()),
        page => Err(format!("{page:?}")),
    })
    .await;
    proxy.hold_what_clients_send();
    supervisor.control("stop", Some(1)).await;
    supervisor.control("start", Some(1)).await;
    let spill = supervisor.directory().join("state/audit.spill");
    eventually("entries wait in the file", SOON, async || {
        let text = std::fs::read_to_string(&spill).map_err(|error| error.to_string())?;
        if text.contains("workers.stop") && text.contains("workers.start") { Ok(()) } else { Err(text) }
    })
    .await;
    // Whoever is killed now must not lose them, nor write them twice.
    supervisor.kill_brain();
    let direct = Setup::on(&platform);
    supervisor.configure(&direct);
    supervisor.start_brain().await;
    let all = eventually("they are in the database", SOON, async || {
        let page = page(&supervisor, "").await?;
        if page.entries.len() >= 3 && !spill.exists() { Ok(page.entries) } else { Err(format!("{page:?}")) }
    })
    .await;
    let actions: Vec<_> = all.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["workers.restart", "workers.stop", "workers.start"]);
}

#[tokio::test]
async fn a_fresh_database_gives_nobody_an_authentication_error() {
    let platform = Platform::with_empty_database().await;
    let supervisor = Supervisor::start(&Setup::on(&platform).set("database", "migrate", "false")).await;
    let admin = supervisor.token(Role::Admin, None).await;
    for path in [
        "/api/v1/session",
        "/api/v1/admin/workers/status",
        "/api/v1/admin/tenants",
        "/api/v1/admin/credentials",
        "/api/v1/admin/tokens",
    ] {
        supervisor.tcp(Call::get(path).token(&admin)).await.expect_status(200);
    }
    for path in [AUDIT, "/api/v1/admin/dead-letters"] {
        let reply = supervisor.tcp(Call::get(path).token(&admin)).await;
        assert_eq!(
            (reply.status, reply.json::<serde_json::Value>()["code"].as_str()),
            (503, Some("schema_missing")),
            "{reply:?}"
        );
    }
    supervisor.tcp(Call::post("/api/v1/session", json!({"token": admin}))).await.expect_status(200);
    assert!(!supervisor.log().to_lowercase().contains("authentication"), "{}", supervisor.log());
    // Set up later, everything that has happened meanwhile is told.
    supervisor.cli_ok(&["migrate"]).await;
    eventually("the login is in the audit log", SOON, async || {
        let page = page(&supervisor, "action=session.login").await?;
        if page.entries.len() == 1 { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;
}
