//! Who sees what, and who cannot do what: not with the page, and not from the browser's console either.

use etl_shared::api::Role;
use serde_json::{Value, json};
use system_tests::browser::Screen;

use super::scene::Scene;

const CONTROL: &str = "/api/v1/admin/workers/tenant/control";

#[tokio::test]
async fn an_admin_sees_everybody_and_has_every_control() {
    let scene = Scene::with(&[1, 2, 3], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    browser.until("three tenants", "document.querySelectorAll('.space .line:not([hidden])').length === 3").await;
    browser.until_says(".line[data-tenant='2']", "tenant 2").await;
    browser.until_says(".line[data-tenant='2'] .badge", "RUNNING").await;
    browser.until("controls", "document.querySelectorAll('.line .controls').length === 3").await;
    browser.until_says(".totals", "3 / 3").await;
    browser.run("document.getElementById('choose-all').click()").await;
    browser.until_says(".bulk", "3 chosen").await;
    browser.picture("admin").await;
    scene.open_tenant(2).await;
    for panel in ["Workers", "The last two hours", "Events", "Log", "Dead letters", "Settings", "Credentials"] {
        browser.until_says(".panel h2", panel).await;
    }
    browser.until("the log can be scrolled", "document.querySelector('.log')").await;
    browser.until("nothing failed", "!document.querySelector('.panel > .bad-text')").await;
    browser.picture("admin-tenant").await;
    assert_eq!(browser.run("return document.cookie").await, json!(""), "no script can read the session");
    scene.kept_to_itself().await;
}

#[tokio::test]
async fn an_operator_sees_and_controls_its_own_tenant_only() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    scene.enter(Role::Operator, Some(1)).await;
    let browser = &scene.browser;
    browser.until_says("h1", "tenant 1").await;
    browser.until("controls", "document.querySelector('.tenant-head .controls')?.checkVisibility()").await;
    browser.until("dead letters", "document.querySelector('.letters-panel')").await;
    browser.until("settings", "document.querySelector('.settings input:not(:disabled)')").await;
    browser.picture("operator").await;
    // Another tenant's address shows its own.
    browser.run("location.hash = '#/tenant/2'").await;
    browser.until_says("h1", "tenant 1").await;
    let before = scene.supervisor.home.born_of(2);
    for (method, path, body, expected) in [
        ("GET", "/api/v1/admin/workers/tenant/2/status", Value::Null, "403 foreign_tenant"),
        ("GET", "/api/v1/admin/workers/tenant/2/history", Value::Null, "403 foreign_tenant"),
        ("GET", "/api/v1/admin/workers/logs?tenant_id=2", Value::Null, "403 foreign_tenant"),
        ("GET", "/api/v1/admin/workers/events?tenant_id=2", Value::Null, "403 foreign_tenant"),
        ("POST", CONTROL, json!({"action": "stop", "tenant_id": 2}), "403 foreign_tenant"),
        ("PUT", "/api/v1/admin/workers/config", json!({"tenant_id": 2, "queues": {}}), "403 foreign_tenant"),
        ("POST", "/api/v1/admin/workers/control", json!({"action": "stop"}), "403 role_too_low"),
        ("POST", "/api/v1/admin/tokens", json!({"name": "x", "role": "admin"}), "403 role_too_low"),
        ("POST", CONTROL, json!({"action": "start", "tenant_id": 1}), "202"),
    ] {
        assert_eq!(scene.console(method, path, body).await, expected, "{method} {path}");
    }
    // What another site could make this browser send has no such token.
    let stop = json!({"action": "stop", "tenant_id": 1});
    assert_eq!(scene.console_with("POST", CONTROL, stop, false).await, "403 csrf_required");
    let status = scene.supervisor.until_running(&[1, 2]).await;
    assert_eq!(status.tenants.len(), 2);
    assert_eq!(scene.supervisor.home.born_of(2), before, "nobody has touched tenant 2");
}

#[tokio::test]
async fn a_viewer_sees_its_own_tenant_and_no_controls() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    scene.enter(Role::Viewer, Some(2)).await;
    let browser = &scene.browser;
    browser.until_says("h1", "tenant 2").await;
    browser.until_says(".tenant-head .badge", "RUNNING").await;
    browser.until("its settings are shown", "document.querySelector('.settings input:disabled')").await;
    for selector in [".controls", ".letters-panel", ".settings button", ".credentials button", ".back"] {
        let found = browser.run(&format!("return document.querySelectorAll('{selector}').length")).await;
        assert_eq!(found, json!(0), "{selector}");
    }
    browser.picture("viewer").await;
    for (method, path, body) in [
        ("POST", CONTROL, json!({"action": "stop", "tenant_id": 2})),
        ("POST", "/api/v1/admin/workers/action", json!({"action": "stop"})),
        ("PUT", "/api/v1/admin/workers/config", json!({"tenant_id": 2, "queues": {"transform": {"workers": 0}}})),
        ("GET", "/api/v1/admin/dead-letters", Value::Null),
        ("POST", "/api/v1/admin/dead-letters/discard", json!({"filter": {}})),
        ("POST", "/api/v1/admin/credentials/rotate", json!({"tenant_id": 2})),
    ] {
        assert_eq!(scene.console(method, path, body).await, "403 role_too_low", "{method} {path}");
    }
    assert_eq!(scene.supervisor.home.born_of(2).len(), 1, "its worker is the first one");
    // Logged out, it sees the form, and its session is worth nothing any more.
    browser.click("#logout").await;
    browser.until("the form", "document.querySelector('form.login')").await;
    let path = "/api/v1/admin/workers/tenant/2/status";
    assert_eq!(scene.console("GET", path, Value::Null).await, "401 token_required");
}

#[tokio::test]
async fn a_wrong_token_is_refused_in_words_and_a_right_one_lets_in() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    let browser = &scene.browser;
    browser.go(&scene.supervisor.url()).await;
    browser.until("the form", "document.activeElement?.id === 'token'").await;
    browser.picture("login").await;
    browser.press("etl_wrong_token\u{e007}").await;
    browser.until_says(".login [role=alert]", "this token is unknown").await;
    let token = scene.supervisor.token(Role::Admin, None).await;
    browser.press(&format!("{token}\u{e007}")).await;
    browser.until("the table", "document.querySelector('.line[data-tenant=\"1\"]')").await;
}
