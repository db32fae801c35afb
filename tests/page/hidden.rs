//! A tab that nobody sees takes none of the few connections that a browser has, and knows everything once it is seen again.

use etl_shared::api::Role;
use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::{browser::Screen, processes};

use super::scene::Scene;

/// As the browser does it for a tab behind another one.
fn hide(hidden: bool) -> String {
    format!(
        "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
         document.dispatchEvent(new Event('visibilitychange'))"
    )
}

#[tokio::test]
async fn a_hidden_tab_holds_no_connection_and_catches_up() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.enter(Role::Operator, Some(1)).await;
    let browser = &scene.browser;
    // Read for the view and again for the stream: an answer that is still under way could tell what the stream does not.
    let read =
        "performance.getEntriesByType('resource').filter((one) => one.name.includes('/workers/history?')).length === 2";
    browser.until("what happened before is read", read).await;
    let first = scene.supervisor.home.born_of(1)[0];
    browser.until_says(".workers-panel td", &first.to_string()).await;
    browser.run(&hide(true)).await;
    processes::signal(first, Signal::SIGKILL);
    let again = |_: &_| scene.supervisor.home.born_of(1).len() == 2;
    scene.supervisor.until("it has a new process", again).await;
    scene.supervisor.until_running(&[1]).await;
    let told = "return document.querySelector('.events').textContent.includes('CRASH')";
    assert_eq!(browser.run(told).await, json!(false), "the stream is still open");
    assert_eq!(browser.run("return document.getElementById('banner').hidden").await, json!(true), "nothing is lost");
    browser.run(&hide(false)).await;
    browser.until_says(".events li", "CRASH(SIGKILL)").await;
    browser.until_says(".tiles", "CRASH(SIGKILL)").await;
    let second = *scene.supervisor.home.born_of(1).last().expect("a process");
    browser.until_says(".workers-panel td", &second.to_string()).await;
}
