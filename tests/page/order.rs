//! The order of the table changes while somebody is about to press a button: it stays the button of the same tenant.

use etl_shared::api::Role;
use serde_json::{Value, json};

use super::{directed::directed, scene::Scene};

const FOCUSED: &str = "return document.activeElement.getAttribute('aria-label')";

/// Tenants 1 and 2, by messages per second, of which there are none yet.
async fn by_rate() -> Scene {
    let scene = directed(&[1, 2]).await;
    scene.enter(Role::Admin, None).await;
    scene.browser.until("both lines", "document.querySelectorAll('.space .line:not([hidden])').length === 2").await;
    scene.browser.click(".head .rate button").await;
    first_is(&scene, 1).await;
    scene
}

async fn first_is(scene: &Scene, tenant: i64) {
    let first = format!("document.querySelector('.line[data-tenant=\"{tenant}\"]')?.ariaRowIndex === '2'");
    scene.browser.until(&format!("tenant {tenant} comes first"), &first).await;
}

async fn point_at(scene: &Scene, [x, y]: [f64; 2]) {
    let moved = json!({"type": "mouseMoved", "x": x, "y": y});
    scene.browser.devtools("Input.dispatchMouseEvent", moved).await;
}

#[tokio::test]
async fn the_focus_goes_where_its_tenant_goes() {
    let scene = by_rate().await;
    let browser = &scene.browser;
    browser.run("document.querySelector('[aria-label=\"Restart tenant 1\"]').focus()").await;
    browser.run("shows({ tenant_id: 2, throughput: 1234 })").await;
    first_is(&scene, 2).await;
    assert_eq!(browser.run(FOCUSED).await, json!("Restart tenant 1"));
    // What is pressed is what has the focus.
    browser.press("\u{e007}").await;
    browser.until_says("dialog[open] h2", "Restart tenant 1").await;
}

#[tokio::test]
async fn nothing_moves_below_a_pointer_that_rests_on_a_button() {
    let scene = by_rate().await;
    let browser = &scene.browser;
    let middle = "const { x, y, width, height } = document.querySelector('[aria-label=\"Restart tenant 1\"]').getBoundingClientRect(); \
                  return [x + width / 2, y + height / 2]";
    let middle = browser.run(middle).await;
    point_at(&scene, serde_json::from_value(middle).expect("a place")).await;
    browser.until("the pointer is there", "document.querySelector('[aria-label=\"Restart tenant 1\"]:hover')").await;
    browser.run("shows({ tenant_id: 2, throughput: 1234 })").await;
    // The sums are counted anew when the lines are put in order anew.
    browser.until_says(".totals", "1,234").await;
    let first = browser.run("return document.querySelector('.line[data-tenant=\"1\"]').ariaRowIndex").await;
    assert_eq!(first, json!("2"), "the order has changed below the pointer");
    point_at(&scene, [1.0, 1.0]).await;
    first_is(&scene, 2).await;
}

#[tokio::test]
async fn a_button_that_is_scrolled_away_leaves_its_focus_to_no_other_tenants() {
    let scene = by_rate().await;
    let browser = &scene.browser;
    browser.run("shows(...Array.from({ length: 300 }, (_, at) => ({ tenant_id: at + 1 })))").await;
    browser.until("many lines", "document.querySelectorAll('.space .line:not([hidden])').length > 10").await;
    browser.run("document.querySelector('[aria-label=\"Restart tenant 1\"]').focus()").await;
    // So far that the same element is the line of another one: there are as many as can be seen, and six beyond.
    browser
        .run("const line = document.querySelector('.line[data-tenant=\"1\"]'); \
              line.id = 'watched'; \
              document.querySelector('.view').scrollTop = (document.querySelectorAll('.space .line').length + 6) * line.offsetHeight")
        .await;
    browser.until("it is another tenant's", "document.getElementById('watched').dataset.tenant !== '1'").await;
    assert_eq!(browser.run(FOCUSED).await, Value::Null, "a button has the focus");
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        json!("watched"),
        "the keyboard is still in the table"
    );
}
