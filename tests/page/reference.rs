//! The interactive reference in a browser.

use etl_shared::api::Role;
use system_tests::browser::Screen;

use crate::scene::Scene;

/// As the description names it; the example in the description is about tenant 7.
const OPERATION: &str = "#/workers/post_workers_tenant_control";
const VIOLATIONS: &str = "return window.violations.join(', ')";

#[tokio::test]
async fn the_reference_asks_nobody_else_and_breaks_no_rule_of_its_policy() {
    let scene = Scene::with(&[7], Screen::Desktop).await;
    let address = scene.supervisor.url();
    scene.browser.go("about:blank").await;
    scene.browser.asked().await;
    scene.browser.go(&format!("{address}/docs/{OPERATION}")).await;
    scene.browser.until_says(".opblock-body", "Try it out").await;
    let asked = scene.browser.asked().await;
    let foreign: Vec<_> =
        asked.iter().filter(|asked| !asked.url.starts_with(&address) && !asked.url.starts_with("data:")).collect();
    assert!(asked.iter().any(|asked| asked.url.ends_with("/openapi.json")), "{asked:?}");
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(scene.browser.run(VIOLATIONS).await, "");
    // The watch itself works: what the policy forbids is seen.
    scene.browser.run("document.body.append(Object.assign(new Image(), { src: 'http://192.0.2.1/x.png' }))").await;
    scene.browser.until("the picture is refused", "window.violations.length > 0").await;
}

#[tokio::test]
async fn whoever_is_logged_in_can_try_out_what_changes_something() {
    let scene = Scene::with(&[7], Screen::Desktop).await;
    scene.enter(Role::Operator, Some(7)).await;
    scene.browser.go(&format!("{}/docs/{OPERATION}", scene.supervisor.url())).await;
    scene.browser.click(".try-out__btn").await;
    scene.browser.click(".execute").await;
    scene.browser.until_says(".live-responses-table .response-col_status", "202").await;
    assert_eq!(scene.browser.run(VIOLATIONS).await, "");
}
