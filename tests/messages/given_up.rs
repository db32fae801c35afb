//! Messages that can never succeed. Each one is put between two good ones before the worker starts, so that all three are in
//! one batch: the bad one is dead-lettered with its reason, the good ones are done, and nothing of the bad one is written.

use serde_json::{Value, json};
use system_tests::{
    Platform,
    createmeta::{Shape, createmeta},
    platform::{Counts, DeadLetter, KIND, RawRow, integration_of, message, queue_of},
    worker::Worker,
};

/// What two small documents leave behind.
const TWO_DOCUMENTS: Counts = Counts { projects: 2, wits: 2, projects_wits: 2, custom_fields: 4 };

/// Publishes the message that `bad` prepares between two good ones, lets the worker of tenant 1 take all three, and checks
/// everything that holds for every message that is given up.
async fn given_up(bad: impl AsyncFnOnce(&Platform) -> Vec<u8>) -> (Platform, DeadLetter) {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let before = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let body = bad(&platform).await;
    platform.broker.publish(&queue_of(1), &body).await;
    let after = platform.submit(1, &createmeta(2, Shape::SMALL).document).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[before, after]).await;
    let letter = platform.dead_letter().await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.dead_letters().await.len(), 1, "one letter for one message");
    assert_eq!(letter.tenant_id, Some(1), "the queue's tenant");
    assert_eq!(letter.queue, queue_of(1));
    assert_eq!(letter.body, body, "the message as it was");
    assert_eq!(platform.counts(1).await, TWO_DOCUMENTS, "the neighbours' rows and no others");
    assert_eq!(platform.counts(2).await, Counts::default(), "nothing for the other tenant");
    (platform, letter)
}

/// A raw row that nobody has touched.
fn untouched() -> RawRow {
    RawRow { status: "pending".to_owned(), attempts: 0, error_details: None }
}

#[track_caller]
fn assert_failed(row: &RawRow, reason: &str) {
    assert_eq!(row.status, "failed", "{row:?}");
    let details = row.error_details.as_ref().unwrap_or(&Value::Null);
    assert_eq!(details["reason"], reason, "{row:?}");
    for key in ["message", "attempts", "at"] {
        assert!(!details[key].is_null(), "error_details has no {key}: {row:?}");
    }
}

fn document() -> Value {
    createmeta(3, Shape::SMALL).document
}

#[tokio::test]
async fn a_body_that_is_not_json() {
    let (_, letter) = given_up(async |_| b"{\"tenant_id\":1,\"integration_id\":10,\"raw_da".to_vec()).await;
    assert_eq!(letter.reason, "malformed_message");
}

#[tokio::test]
async fn a_body_that_is_not_even_text() {
    let (_, letter) = given_up(async |_| vec![0x1f, 0x8b, 0x08, 0x00, 0xff, 0xfe]).await;
    assert_eq!(letter.reason, "malformed_message");
}

#[tokio::test]
async fn an_empty_body() {
    let (_, letter) = given_up(async |_| Vec::new()).await;
    assert_eq!(letter.reason, "malformed_message");
}

#[tokio::test]
async fn a_message_without_a_type_fails_the_row_that_it_names_for_certain() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(1, KIND, &document()).await;
        let mut message = message(1, raw);
        message.as_object_mut().expect("an object").remove("type");
        message.to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "malformed_message");
    assert!(letter.detail.contains("type"), "the detail names the field: {letter:?}");
    assert_failed(&platform.raw(raw).await, "malformed_message");
}

#[tokio::test]
async fn a_message_without_a_tenant_touches_no_row() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(1, KIND, &document()).await;
        let mut message = message(1, raw);
        message.as_object_mut().expect("an object").remove("tenant_id");
        message.to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "malformed_message");
    assert_eq!(platform.raw(raw).await, untouched());
}

#[tokio::test]
async fn a_raw_row_named_by_a_string() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(1, KIND, &document()).await;
        let mut message = message(1, raw);
        message["raw_data_id"] = json!(raw.to_string());
        message.to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "malformed_message");
    assert_eq!(platform.raw(raw).await, untouched());
}

#[tokio::test]
async fn a_type_that_does_not_exist() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(1, KIND, &document()).await;
        let mut message = message(1, raw);
        message["type"] = json!("jira_horoscopes");
        message.to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "unknown_type");
    assert_failed(&platform.raw(raw).await, "unknown_type");
}

#[tokio::test]
async fn a_message_of_another_tenant_in_the_queue() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(2, KIND, &document()).await;
        message(2, raw).to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "wrong_tenant");
    assert_eq!(platform.raw(raw).await, untouched());
}

#[tokio::test]
async fn a_raw_row_of_another_tenant() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(2, KIND, &document()).await;
        message(1, raw).to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "foreign_row");
    assert_eq!(platform.raw(raw).await, untouched());
}

#[tokio::test]
async fn a_raw_row_that_does_not_exist() {
    let (_, letter) = given_up(async |_| message(1, 987_654_321).to_string().into_bytes()).await;
    assert_eq!(letter.reason, "raw_row_missing");
}

#[tokio::test]
async fn an_integration_that_is_not_the_rows() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        platform.add_integration(1, 11).await;
        raw = platform.add_raw(1, KIND, &document()).await;
        let mut message = message(1, raw);
        message["integration_id"] = json!(11);
        message.to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "integration_mismatch");
    assert_failed(&platform.raw(raw).await, "integration_mismatch");
}

#[tokio::test]
async fn message_and_raw_row_that_name_different_data_types() {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(1, "github_repositories", &document()).await;
        message(1, raw).to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "type_mismatch");
    assert_failed(&platform.raw(raw).await, "type_mismatch");
}

/// A payload of the wrong shape is given up at once: trying again would not change it.
async fn given_up_for_its_shape(payload: Value) {
    let mut raw = 0;
    let (platform, letter) = given_up(async |platform| {
        raw = platform.add_raw(1, KIND, &payload).await;
        message(1, raw).to_string().into_bytes()
    })
    .await;
    assert_eq!(letter.reason, "payload_shape");
    assert_failed(&platform.raw(raw).await, "payload_shape");
}

#[tokio::test]
async fn a_payload_that_was_cut_off_and_stored_as_a_string() {
    let whole = document().to_string();
    given_up_for_its_shape(json!(whole[..whole.len() / 2])).await;
}

#[tokio::test]
async fn a_payload_whose_list_is_a_number() {
    given_up_for_its_shape(json!({"projects": 7})).await;
}

#[tokio::test]
async fn a_payload_in_which_no_project_is_usable() {
    given_up_for_its_shape(json!({"projects": [{"key": "NOID"}, 5, null]})).await;
}

#[tokio::test]
async fn a_payload_nested_deeper_than_any_honest_one() {
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let mut payload = document();
    payload["projects"][0]["issuetypes"][0]["fields"]["customfield_1"] =
        json!({"name": "Deep", "schema": {"type": "string"}, "operations": [], "allowedValues": deep});
    given_up_for_its_shape(payload).await;
}

#[tokio::test]
async fn the_same_bad_message_again_makes_no_second_letter() {
    let platform = Platform::with_tenants(&[1]).await;
    let bad = json!({"tenant_id": 1, "integration_id": integration_of(1), "type": KIND});
    platform.publish(&queue_of(1), &bad).await;
    platform.publish(&queue_of(1), &bad).await;
    let worker = Worker::of_tenant(&platform, 1);
    let good = platform.submit(1, &document()).await;
    platform.completed(&[good]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    let letters = platform.dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
}
