//! How somebody gets in and out: a link logs nobody in by itself, and whoever wants to leave knows whether that has worked.

use etl_shared::api::Role;
use serde_json::{Value, json};
use system_tests::browser::{Browser, Screen};

use super::{directed::directed, scene::Scene};

const SESSION: &str = "/api/v1/session";
const WHO: &str = "const [done] = arguments; fetch('/api/v1/session').then((answer) => answer.json()).then((who) => done(who.actor ?? null))";
const BUTTON: &str = "form.login button[type=submit]";

/// Who is logged in, as the server sees it.
async fn who(browser: &Browser) -> Value {
    browser.run_async(WHO, vec![]).await
}

#[tokio::test]
async fn a_link_logs_nobody_in_before_somebody_agrees() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    let (browser, url) = (&scene.browser, scene.supervisor.url());
    let token = scene.supervisor.token(Role::Operator, Some(1)).await;
    browser.go(&format!("{url}/#login={token}")).await;
    browser.until_says(BUTTON, "Log in with the link's token").await;
    assert_eq!(browser.run("return location.hash").await, json!(""), "the token is in the address");
    assert_eq!(who(browser).await, Value::Null, "the link alone has logged in");
    browser.picture("login-link").await;
    // The button has the focus.
    browser.press("\u{e007}").await;
    browser.until_says("#who", "operator").await;
    browser.until_says("h1", "tenant 1").await;
}

#[tokio::test]
async fn another_sites_link_takes_nobodys_session_away() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    let (browser, url) = (&scene.browser, scene.supervisor.url());
    scene.enter(Role::Admin, None).await;
    let before = who(browser).await;
    let foreign = scene.supervisor.token(Role::Operator, Some(2)).await;
    // In a page that is open already, and in one that is not.
    for away in [false, true] {
        if away {
            browser.go("about:blank").await;
        }
        browser.go(&format!("{url}/#login={foreign}")).await;
        browser.until_says("form.login .asked", "You are logged in as").await;
        browser.until("to stay is what Enter does", "document.activeElement?.textContent.startsWith('Stay')").await;
        assert_eq!(who(browser).await, before);
        browser.press("\u{e007}").await;
        browser.until_says(".line[data-tenant='2'] .badge", "RUNNING").await;
        assert_eq!(who(browser).await, before);
    }
    browser.go(&format!("{url}/#login={foreign}")).await;
    browser.click(BUTTON).await;
    browser.until_says("#who", "operator").await;
    browser.until("nothing of the admin's is left", "!document.querySelector('.space .line')").await;
    assert_ne!(who(browser).await, before);
}

#[tokio::test]
async fn whoever_logs_in_in_another_tab_is_who_this_one_shows() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    scene.open_tenant(2).await;
    log_in_elsewhere(&scene).await;
    // The server ends the stream of the session that is none any more.
    becomes_the_operator(&scene).await;
}

#[tokio::test]
async fn a_refused_control_finds_out_who_is_logged_in_by_now() {
    let scene = directed(&[1, 2]).await;
    scene.enter(Role::Admin, None).await;
    scene.browser.until_says(".line[data-tenant='2'] .badge", "RUNNING").await;
    // This tab's stream does not end.
    log_in_elsewhere(&scene).await;
    scene.press("Restart", 2).await;
    scene.confirm().await;
    becomes_the_operator(&scene).await;
    assert_eq!(scene.supervisor.home.born_of(2).len(), 1, "it was refused");
}

/// As another tab of the same browser does it: the cookie is the one of both.
async fn log_in_elsewhere(scene: &Scene) {
    let token = scene.supervisor.token(Role::Operator, Some(1)).await;
    assert_eq!(scene.console_with("POST", SESSION, json!({"token": token}), false).await, "200");
}

/// Its own tenant is all that is shown, and its controls work.
async fn becomes_the_operator(scene: &Scene) {
    let browser = &scene.browser;
    browser.until_says("#who", "operator").await;
    browser.until_says("h1", "tenant 1").await;
    browser.until("nothing of the admin's is left", "!document.querySelector('.space .line, .back')").await;
    scene.press("Restart", 1).await;
    scene.confirm().await;
    browser.until_says(".toast", "Restarting tenant 1").await;
}

#[tokio::test]
async fn whoever_could_not_be_logged_out_is_told_so_and_tries_again() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    browser.until_says(".line[data-tenant='1'] .badge", "RUNNING").await;
    browser.devtools("Network.enable", json!({})).await;
    browser.devtools("Network.setBlockedURLs", json!({"urls": [format!("*{SESSION}")]})).await;
    browser.click("#logout").await;
    browser.until_says(".toast.bad", "You are still logged in").await;
    assert_eq!(browser.run("return document.querySelector('form.login')").await, Value::Null);
    browser.devtools("Network.setBlockedURLs", json!({"urls": []})).await;
    browser.click("#logout").await;
    browser.until("the form", "document.querySelector('form.login')").await;
    assert_eq!(who(browser).await, Value::Null);
}
