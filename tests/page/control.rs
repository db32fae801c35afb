//! Orders given with the page, and what it shows of what happens.

use etl_shared::api::{Role, WorkerState};
use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::{browser::Screen, fleet, processes};

use super::scene::Scene;

#[tokio::test]
async fn a_tenant_is_stopped_started_and_scaled_from_its_row() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let (browser, supervisor) = (&scene.browser, &scene.supervisor);
    scene.press("Stop", 1).await;
    // A question first; no is an answer too.
    browser.until_says("dialog[open] h2", "Stop tenant 1").await;
    browser.picture("question").await;
    browser.click("dialog[open] button[type=button]").await;
    browser.until("the question is gone", "!document.querySelector('dialog')").await;
    scene.press("Stop", 1).await;
    scene.confirm().await;
    supervisor.until("tenant 1 is STOPPED", |status| fleet::state(status, 1) == Some(WorkerState::Stopped)).await;
    browser.until_says(".line[data-tenant='1'] .badge", "STOPPED").await;
    scene.press("Start", 1).await;
    supervisor.until_running(&[1]).await;
    browser.until_says(".line[data-tenant='1'] .badge", "RUNNING").await;

    scene.press("Scale", 2).await;
    browser.until("a number is asked for", "document.activeElement?.name === 'transform'").await;
    browser.run("document.activeElement.value = 0").await;
    scene.confirm().await;
    browser.until_says(".line[data-tenant='2'] .cell.workers", "0/0").await;
    let down = |status: &_| fleet::state(status, 2) != Some(WorkerState::Running);
    supervisor.until("tenant 2 has no running worker", down).await;
    supervisor.until_running(&[1]).await;
    scene.kept_to_itself().await;
}

#[tokio::test]
async fn a_chosen_few_are_restarted_together() {
    let scene = Scene::with(&[1, 2, 3], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    for tenant in [1, 3] {
        scene.browser.click(&format!(".line[data-tenant='{tenant}'] input")).await;
    }
    scene.browser.until_says(".bulk", "2 chosen").await;
    scene.browser.click(".bulk button:nth-of-type(2)").await;
    scene.browser.until_says("dialog[open] h2", "Restart 2 tenants?").await;
    scene.confirm().await;
    let home = &scene.supervisor.home;
    let twice = |_: &_| home.born_of(1).len() == 2 && home.born_of(3).len() == 2;
    scene.supervisor.until("both have a new process", twice).await;
    assert_eq!(home.born_of(2).len(), 1, "the third was not chosen");
}

#[tokio::test]
async fn a_crash_is_seen_while_it_happens() {
    let scene = Scene::with(&[1, 2], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    scene.open_tenant(2).await;
    let first = scene.supervisor.home.born_of(2)[0];
    scene.browser.until_says(".workers-panel td", &first.to_string()).await;
    processes::signal(first, Signal::SIGKILL);
    scene.browser.until_says(".events li", "CRASH(SIGKILL)").await;
    scene.browser.until_says(".tiles", "CRASH(SIGKILL)").await;
    scene.supervisor.until_running(&[2]).await;
    let second = *scene.supervisor.home.born_of(2).last().expect("a process");
    scene.browser.until_says(".workers-panel td", &second.to_string()).await;
    scene.browser.until_says(".tenant-head .badge", "RUNNING").await;
    scene.browser.picture("crash").await;
}

#[tokio::test]
async fn the_page_outlives_a_restart_of_the_supervisor() {
    let mut scene = Scene::with(&[1, 2], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    scene.browser.until_says(".line[data-tenant='1'] .badge", "RUNNING").await;
    scene.browser.run("window.before = 'the same document'").await;
    scene.supervisor.kill_brain();
    scene.browser.until_says("#banner", "Connection lost").await;
    scene.browser.picture("connection-lost").await;
    scene.supervisor.start_brain().await;
    scene.browser.until("the banner is gone", "document.getElementById('banner').hidden").await;
    // What happens now arrives without anybody doing anything, and nobody has to log in again.
    scene.supervisor.until_running(&[1, 2]).await;
    processes::signal(scene.supervisor.home.born_of(1)[0], Signal::SIGKILL);
    scene.browser.until_says(".line[data-tenant='1'] .cell.exit", "CRASH(SIGKILL)").await;
    assert_eq!(scene.browser.run("return window.before").await, json!("the same document"));
}

#[tokio::test]
async fn a_session_that_has_ended_leads_back_to_the_form() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    scene.browser.until_says(".line[data-tenant='1'] .badge", "RUNNING").await;
    // As another window of the same browser would.
    assert_eq!(scene.console("DELETE", "/api/v1/session", serde_json::Value::Null).await, "204");
    scene.press("Restart", 1).await;
    scene.browser.click("dialog[open] button[type=submit]").await;
    scene.browser.until_says(".login", "The session has ended").await;
}
