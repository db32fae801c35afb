//! Dead letters with the page, on a real worker.

use etl_shared::api::Role;
use serde_json::json;
use system_tests::{
    Platform, Setup, Supervisor,
    browser::Screen,
    createmeta::{Shape, createmeta},
};
use tokio_postgres::types::Json;

use super::scene::Scene;

#[tokio::test]
async fn an_operator_looks_at_a_letter_replays_it_and_discards_another() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    let scene = Scene::of(platform, supervisor, Screen::Desktop).await;
    scene.enter(Role::Operator, Some(1)).await;
    let (browser, platform) = (&scene.browser, &scene.platform);
    browser.until_says(".letters-panel > p", "There are none.").await;
    // The page finds out by itself.
    let row = platform.submit(1, &json!({"projects": 7})).await;
    let hopeless = platform.submit(1, &json!({"projects": 8})).await;
    for row in [row, hopeless] {
        browser.until_says(".letters summary", &format!("raw row {row}")).await;
    }
    let mended = Json(createmeta(1, Shape::SMALL).document);
    let update = "UPDATE raw_extraction_data SET raw_data = $2 WHERE id = $1";
    platform.database.client().execute(update, &[&row, &mended]).await.expect("a document can be replaced");

    let open = format!(
        "const letter = [...document.querySelectorAll('.letters details')]\
         .find((one) => one.textContent.includes('raw row {row}')); letter.open = true; letter.id = 'chosen'"
    );
    browser.run(&open).await;
    browser.until_says("#chosen pre", &format!("\"raw_data_id\": {row}")).await;
    browser.picture("letter").await;
    browser.click("#chosen button.primary").await;
    platform.completed(&[row]).await;
    browser.until("it is gone", "!document.getElementById('chosen')").await;

    browser.run("document.querySelector('.letters details').open = true").await;
    browser.click(".letters details button.danger").await;
    scene.confirm().await;
    browser.until_says(".letters-panel > p", "There are none.").await;
    let discarded = "SELECT count(*) FROM dead_letters WHERE discarded_at IS NOT NULL";
    let found = platform.database.client().query_one(discarded, &[]).await.expect("letters can be counted");
    assert_eq!(found.get::<_, i64>(0), 1);
}
