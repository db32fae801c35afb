//! With the keyboard alone, and on a phone.

use etl_shared::api::Role;
use serde_json::json;
use system_tests::browser::{Browser, Screen};

use super::scene::Scene;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const TAB: &str = "\u{e004}";
const DOWN: &str = "\u{e015}";
const END: &str = "\u{e010}";

async fn focus_is(browser: &Browser, what: &str, condition: &str) {
    browser.until(&format!("the focus is on {what}"), &format!("document.activeElement.matches({condition:?})")).await;
}

#[tokio::test]
async fn everything_is_reached_with_the_keyboard() {
    let scene = Scene::with(&[1, 2, 3], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    browser.until("three tenants", "document.querySelectorAll('.space .line:not([hidden])').length === 3").await;
    browser.press("/").await;
    focus_is(browser, "the search", "#search").await;
    browser.press("3").await;
    browser.until("one is left", "document.querySelectorAll('.space .line:not([hidden])').length === 1").await;
    browser.press(ESCAPE).await;
    browser.until("all are back", "document.querySelectorAll('.space .line:not([hidden])').length === 3").await;
    browser.press(ESCAPE).await;
    focus_is(browser, "a line", ".line").await;
    browser.press(END).await;
    focus_is(browser, "the last line", ".line[data-tenant='3']").await;
    browser.press("\u{e013}").await;
    focus_is(browser, "the line above", ".line[data-tenant='2']").await;
    browser.press(" ").await;
    browser.until_says(".bulk", "1 chosen").await;
    browser.press(ESCAPE).await;
    browser.until("nothing is chosen", "!document.querySelector('.bulk').checkVisibility()").await;
    // Box, name, and the first of the buttons.
    browser.press(&TAB.repeat(3)).await;
    focus_is(browser, "stop", "[aria-label='Stop tenant 2']").await;
    browser.press(ENTER).await;
    browser.until_says("dialog[open] h2", "Stop").await;
    focus_is(browser, "the button that does nothing", "dialog button[type=button]").await;
    browser.press(ESCAPE).await;
    focus_is(browser, "stop again", "[aria-label='Stop tenant 2']").await;
    // A key that is held down, or pressed twice, answers no question with yes.
    browser.press(&format!("{TAB}{ENTER}")).await;
    browser.until_says("dialog[open] h2", "Restart").await;
    focus_is(browser, "the button that does nothing", "dialog button[type=button]").await;
    browser.press(ENTER).await;
    focus_is(browser, "restart again", "[aria-label='Restart tenant 2']").await;
    browser.press(DOWN).await;
    focus_is(browser, "the line below", ".line[data-tenant='3']").await;
    browser.press(ENTER).await;
    browser.until_says("h1", "tenant 3").await;
    browser.press(ESCAPE).await;
    focus_is(browser, "the line that was left", ".line[data-tenant='3']").await;
    browser.press("?").await;
    browser.until_says("dialog[open]", "open the tenant").await;
    browser.press(ESCAPE).await;
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.run(outline).await, json!("solid"), "where the focus is can be seen");
}

#[tokio::test]
async fn a_phone_never_scrolls_sideways() {
    let scene = Scene::with(&[1, 2], Screen::Phone).await;
    let browser = &scene.browser;
    browser.go(&scene.supervisor.url()).await;
    browser.until("the form", "document.querySelector('form.login')").await;
    fits(browser, "login").await;
    scene.enter(Role::Admin, None).await;
    browser.until_says(".line[data-tenant='2'] .badge", "RUNNING").await;
    fits(browser, "table").await;
    browser.picture("phone").await;
    scene.open_tenant(2).await;
    browser.until_says(".workers-panel", "transform-2-1").await;
    browser.until("its settings are there", "document.querySelector('.settings input')").await;
    fits(browser, "tenant").await;
    browser.picture("phone-tenant").await;
    browser.prefer("dark").await;
    let ground = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.run(ground).await, json!("rgb(14, 17, 22)"), "the system's theme is followed");
    browser.click("#theme").await;
    assert_ne!(browser.run(ground).await, json!("rgb(14, 17, 22)"), "the button's choice counts more");
}

async fn fits(browser: &Browser, what: &str) {
    let wide = "return [document.documentElement, document.body, document.querySelector('main')]\
                .map((one) => one.scrollWidth > one.clientWidth)";
    assert_eq!(browser.run(wide).await, json!([false, false, false]), "{what}");
}
