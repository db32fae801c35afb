//! The form of the settings sends back what it was shown, and what somebody has entered, and nothing else.

use etl_shared::api::Role;
use serde_json::{Value, json};
use system_tests::{browser::Screen, http::Call};

use super::scene::Scene;

const CONFIG: &str = "/api/v1/admin/workers/config";
const MEMORY: u64 = (48 << 20) + 12_345;

/// What is set for tenant 1.
async fn set(scene: &Scene, settings: Value) {
    let body = json!({"tenant_id": 1, "queues": {"transform": settings}});
    scene.supervisor.socket(Call::put(CONFIG, body)).await.expect("the API answers").expect_status(200);
}

async fn is_set(scene: &Scene) -> Value {
    let reply = scene.supervisor.socket(Call::get(&format!("{CONFIG}?tenant_id=1"))).await.expect("the API answers");
    reply.json::<Value>()["queues"]["transform"].clone()
}

/// A time so many milliseconds from now, as the API writes it.
async fn later(scene: &Scene, milliseconds: u64) -> Value {
    scene.browser.run(&format!("return new Date(Date.now() + {milliseconds}).toISOString()")).await
}

/// Every answer with the settings comes a second later than the one before.
const LATER_AND_LATER: &str = "
    const real = window.fetch;
    window.readings = 0;
    let asked = 0;
    window.fetch = async (...request) => {
        const answer = await real(...request);
        if (request[1]?.method !== 'GET' || !String(request[0]).includes('/config')) return answer;
        await new Promise((resolve) => setTimeout(resolve, 1000 * ++asked));
        window.readings += 1;
        return answer;
    };";

/// Opens tenant 1, enters a number of workers, and saves.
async fn save_workers(scene: &Scene, workers: &str) {
    let browser = &scene.browser;
    // Away first: the form is that of now.
    browser.go("about:blank").await;
    browser.go(&format!("{}/#/tenant/1", scene.supervisor.url())).await;
    browser.until("the form", "document.querySelector('[name=\"transform.workers\"]:not(:disabled)')").await;
    browser.run("document.querySelector('[name=\"transform.workers\"]').select()").await;
    browser.press(&format!("{workers}\u{e007}")).await;
    browser.until_says(".toast", "Settings saved").await;
}

#[tokio::test]
async fn what_nobody_has_touched_stays_to_the_byte_and_to_the_second() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let until = later(&scene, 3_600_123).await;
    set(&scene, json!({"workers": 1, "memory_soft_bytes": MEMORY, "paused_until": until})).await;
    save_workers(&scene, "2").await;
    let expected = json!({"workers": 2, "workers_max": null, "memory_soft_bytes": MEMORY, "paused_until": until});
    assert_eq!(is_set(&scene).await, expected);
}

#[tokio::test]
async fn a_pause_that_is_over_holds_nothing_up() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let until = later(&scene, 2_000).await;
    set(&scene, json!({"paused_until": until})).await;
    scene.supervisor.until_running(&[1]).await;
    scene.browser.until("it is over", &format!("new Date() > new Date({until})")).await;
    save_workers(&scene, "2").await;
    let shown = "return document.querySelector('[name=\"transform.paused_until\"]').value";
    assert_eq!(scene.browser.run(shown).await, json!(""));
    assert_eq!(is_set(&scene).await["workers"], 2);
}

#[tokio::test]
async fn a_pause_without_end_stays_one_east_of_greenwich_and_ends_when_somebody_says_so() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    let browser = &scene.browser;
    browser.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": "Pacific/Auckland"})).await;
    scene.enter(Role::Admin, None).await;
    scene.press("Pause", 1).await;
    browser.run("document.querySelector('dialog select').value = ''").await;
    scene.confirm().await;
    browser.until_says(".line[data-tenant='1'] .note", "paused").await;
    let endless = json!("9999-12-31T23:59:59.000Z");
    assert_eq!(is_set(&scene).await["paused_until"], endless);
    save_workers(&scene, "2").await;
    assert_eq!(is_set(&scene).await["paused_until"], endless);
    browser.until_says(".tenant-head .reason", "Paused until it is resumed").await;
    browser.picture("settings-paused").await;
    browser.click("[name='transform.paused']:checked").await;
    browser.click(".settings button[type=submit]").await;
    browser.until("it is resumed", "!document.querySelector('[name=\"transform.paused\"]').checked").await;
    scene.supervisor.until_running(&[1]).await;
    assert_eq!(is_set(&scene).await["paused_until"], Value::Null);
}

#[tokio::test]
async fn more_workers_than_the_limit_do_not_stop_an_operator_and_an_admin_may_ask_for_more() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    set(&scene, json!({"workers": 3, "workers_max": 2})).await;
    scene.enter(Role::Operator, Some(1)).await;
    let browser = &scene.browser;
    browser.until("the form", "document.querySelector('[name=\"transform.memory_soft\"]:not(:disabled)')").await;
    browser.run("document.querySelector('[name=\"transform.memory_soft\"]').focus()").await;
    browser.press("40\u{e007}").await;
    browser.until_says(".toast", "Settings saved").await;
    let expected = json!({"workers": 3, "workers_max": 2, "memory_soft_bytes": 40 << 20, "paused_until": null});
    assert_eq!(is_set(&scene).await, expected);
    scene.enter(Role::Admin, None).await;
    save_workers(&scene, "4").await;
    assert_eq!(is_set(&scene).await["workers"], 4);
}

#[tokio::test]
async fn whoever_types_keeps_the_focus_whatever_answers_are_late() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": LATER_AND_LATER})).await;
    scene.enter(Role::Operator, Some(1)).await;
    let browser = &scene.browser;
    // Read once for the view and once for the stream that begins.
    browser.until("the form", "document.querySelector('[name=\"transform.workers\"]:not(:disabled)')").await;
    assert_eq!(browser.run("return window.readings").await, json!(1));
    browser.run("document.querySelector('[name=\"transform.workers\"]').focus()").await;
    browser.until("the second answer", "window.readings > 1").await;
    browser.press("2\u{e007}").await;
    browser.until_says(".toast", "Settings saved").await;
    assert_eq!(is_set(&scene).await["workers"], 2);
}
