//! Answers that come late, twice or not at all.

use etl_shared::api::Role;
use serde_json::json;
use system_tests::{Platform, Supervisor, browser::Screen, scripted::Do};

use super::{
    directed::{direct, directed},
    scene::{Scene, scripted},
};

/// What `window.happens` is called with.
const EVENT: &str = "const event = (id) => ({ id, kind: 'order', tenant_id: 1, at: '2026-01-02T03:04:05Z', reason: `event ${id};`, \
                     from: null, to: null, verdict: null, worker: null, incarnation: null, by: null });";

#[tokio::test]
async fn what_happens_while_the_events_are_loaded_stands_above_them() {
    let scene = directed(&[1]).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    browser.run("window.holds = '/workers/history'").await;
    scene.open_tenant(1).await;
    browser.run(&format!("{EVENT} happens('fleet', event(9e15))")).await;
    browser.until_says(".events li", "event 9000000000000000;").await;
    browser.run("release()").await;
    browser.until("older events", "document.querySelectorAll('.events li').length > 1").await;
    let first = browser.run("return document.querySelector('.events li p').textContent").await;
    assert_eq!(first, json!("event 9000000000000000;"));
}

#[tokio::test]
async fn events_that_were_pushed_out_come_again_for_whoever_asks_for_older_ones() {
    let scene = directed(&[1]).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    // Fifty of a thousand, and fifty older ones each time.
    let history = "window.answers = (path) => { \
                       if (!path.includes('/workers/history')) return null; \
                       const before = Number(new URL(path, location.href).searchParams.get('cursor') ?? 1001); \
                       const events = Array.from({ length: 50 }, (_, at) => event(before - 1 - at)); \
                       return new Response(JSON.stringify({ events, next_cursor: before - 50 })); \
                   }";
    browser.run(&format!("{EVENT} {history}")).await;
    scene.open_tenant(1).await;
    browser.until_says(".events li", "event 951;").await;
    browser.click(".events .scroll > button").await;
    browser.until_says(".events li", "event 901;").await;
    // Five hundred are kept.
    browser.run(&format!("{EVENT} for (let id = 1001; id <= 1450; id += 1) happens('fleet', event(id))")).await;
    browser.until_says(".events li", "event 1450;").await;
    browser.until("the oldest are gone", "!document.querySelector('.events').textContent.includes('event 950;')").await;
    browser.click(".events .scroll > button").await;
    browser.until_says(".events li", "event 901;").await;
    let shown = "return [...document.querySelectorAll('.events li p')].map((one) => Number(/event (\\d+);/.exec(one.textContent)[1]))";
    let expected: Vec<u32> = (901..=1450).rev().collect();
    assert_eq!(browser.run(shown).await, json!(expected), "in their order, without a gap");
}

#[tokio::test]
async fn a_letter_is_fetched_once_however_often_it_is_opened_and_again_where_that_failed() {
    let scene = directed(&[1]).await;
    let letter = "INSERT INTO dead_letters (tenant_id, queue, body, headers, reason, detail)
                  VALUES (1, 'transform_queue_tenant_1', '{}', '{}', 'transform_failed', 'a test')";
    scene.platform.database.client().execute(letter, &[]).await.expect("a letter");
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    let refusing = "window.answers = (path) => path.includes('/dead-letters/') \
                    ? new Response(JSON.stringify({ detail: 'not now' }), { status: 503 }) : null";
    browser.run(refusing).await;
    scene.open_tenant(1).await;
    browser.until("the letter", "document.querySelector('.letters details')").await;
    toggle(&scene, &[true]).await;
    browser.until_says(".letters .letter-body", "not now").await;
    browser.run("window.asked = []; window.answers = () => null; window.holds = '/dead-letters/'").await;
    toggle(&scene, &[false, true, false, true]).await;
    let asked = "return asked.filter((path) => path.includes('/dead-letters/')).length";
    assert_eq!(browser.run(asked).await, json!(1));
    browser.run("release()").await;
    browser.until_says(".letters pre", "{}").await;
    assert_eq!(
        browser.run("return document.querySelectorAll('.letters h3').length").await,
        json!(2),
        "message and headers"
    );
    browser.until("no word of the failure", "!document.querySelector('.letters .bad-text')").await;
}

/// Opens and closes the letter, and waits each time until the page has been told.
async fn toggle(scene: &Scene, states: &[bool]) {
    let script = "const [states, done] = arguments; \
                  (async () => { \
                      const letter = document.querySelector('.letters details'); \
                      for (const state of states) { \
                          const told = new Promise((resolve) => letter.addEventListener('toggle', resolve, { once: true })); \
                          letter.open = state; \
                          await told; \
                      } \
                      done(); \
                  })()";
    scene.browser.run_async(script, vec![json!(states)]).await;
}

#[tokio::test]
async fn a_log_that_is_live_again_says_nothing_of_the_failure_before() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor =
        Supervisor::start_prepared(&scripted(&platform), |home| home.plan(1, &[Do::Print("a first line".to_owned())]))
            .await;
    supervisor.until_running(&[1]).await;
    let scene = Scene::of(platform, supervisor, Screen::Desktop).await;
    direct(&scene).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    let refusing = "window.answers = (path) => path.includes('/workers/logs') \
                    ? new Response(JSON.stringify({ detail: 'not now' }), { status: 503 }) : null";
    browser.run(refusing).await;
    scene.open_tenant(1).await;
    browser.until_says(".logs header", "not now").await;
    browser.run("window.answers = () => null").await;
    browser.until_says(".log", "a first line").await;
    browser
        .until("the failure is forgotten", "!document.querySelector('.logs header').textContent.includes('not now')")
        .await;
}
