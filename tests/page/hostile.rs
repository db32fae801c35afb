//! What tenants and their workers write is shown as they wrote it, and is never more than text.

use etl_shared::api::Role;
use serde_json::json;
use system_tests::{Platform, Supervisor, browser::Screen, scripted::Do};

use super::scene::{Scene, scripted};

const IMAGE: &str = "<img src=x onerror=\"window.pwned=1\">";
const SCRIPT: &str = "</div><script>window.pwned=1</script>";
const LINK: &str = "<a href=\"javascript:window.pwned=1\">here</a>";

#[tokio::test]
async fn markup_in_names_log_lines_and_error_texts_stays_text() {
    let platform = Platform::with_tenants(&[1]).await;
    let client = platform.database.client();
    client.execute("UPDATE tenants SET name = $1 WHERE id = 1", &[&IMAGE]).await.expect("a name");
    let letter = "INSERT INTO dead_letters (tenant_id, queue, body, headers, reason, detail, exit_report)
                  VALUES (1, $1, $2, jsonb_build_object('job', $3::text), 'transform_failed', $3, jsonb_build_object('tail', $4::text))";
    let body = format!("{{\"type\":\"{SCRIPT}\",\"raw_data_id\":5,\"more\":\"{LINK}\"}}").into_bytes();
    client.execute(letter, &[&"transform_queue_tenant_1", &body, &IMAGE, &SCRIPT]).await.expect("a letter");
    let supervisor = Supervisor::start_prepared(&scripted(&platform), |home| {
        let json = json!({"level": IMAGE, "timestamp": SCRIPT, "fields": {"message": IMAGE, LINK: SCRIPT}});
        // Words that are none, and that no text can be made of.
        let none = json!({"toString": 1});
        let odd = json!({"level": none, "timestamp": none, "message": none, "note": "odd"});
        let lines = [IMAGE, SCRIPT, LINK, &json.to_string(), &odd.to_string()];
        home.plan(1, &lines.map(|line| Do::Print(line.to_owned())));
    })
    .await;
    supervisor.until_running(&[1]).await;
    let scene = Scene::of(platform, supervisor, Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    browser.until_says(".line[data-tenant='1'] .tenant-link", IMAGE).await;
    // The question names the tenant, too.
    scene.press("Stop", 1).await;
    browser.until_says("dialog[open]", IMAGE).await;
    browser.click("dialog[open] button[type=button]").await;
    scene.open_tenant(1).await;
    browser.until_says("h1", IMAGE).await;
    for line in [IMAGE, SCRIPT, LINK, "{\"toString\":1} note=odd"] {
        browser.until_says(".log", line).await;
    }
    browser.until_says(".letters .detail", IMAGE).await;
    browser.run("document.querySelector('.letters details').open = true").await;
    for words in [SCRIPT, "window.pwned=1", "\"tail\""] {
        browser.until_says(".letters pre", words).await;
    }
    browser.picture("hostile").await;
    let made = "return [window.pwned ?? null, document.images.length, document.querySelectorAll('main script').length, \
                document.querySelectorAll('a[href^=javascript]').length]";
    assert_eq!(browser.run(made).await, json!([null, 0, 0, 0]));
    // Nothing was even tried: not by the page, and not by the browser on its behalf.
    scene.kept_to_itself().await;
}

#[tokio::test]
async fn the_policy_holds_where_the_page_would_fail() {
    let scene = Scene::with(&[1], Screen::Desktop).await;
    scene.enter(Role::Admin, None).await;
    let browser = &scene.browser;
    // As if the page had a hole: markup is not taken, and neither are scripts, styles, pictures and requests from elsewhere.
    let refused = browser
        .run("try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); return 'taken' } catch (error) { return error.name }")
        .await;
    assert_eq!(refused, json!("TypeError"));
    browser.run("const one = new Image(); one.src = 'http://127.0.0.1:9/x.png'; document.body.append(one)").await;
    browser.run("fetch('http://127.0.0.1:9/').catch(() => {})").await;
    browser.run("const one = document.createElement('style'); one.textContent = 'body{color:red}'; document.head.append(one)").await;
    for directive in ["require-trusted-types-for", "img-src", "connect-src", "style-src"] {
        let seen = format!("window.violations.some((one) => one.startsWith('{directive}'))");
        browser.until(&format!("{directive} was kept"), &seen).await;
    }
}
