//! Messages that are acknowledged without a new row: completions, repetitions, empty documents.

use serde_json::{Value, json};
use system_tests::{
    Platform,
    createmeta::{Shape, createmeta},
    platform::{Counts, KIND, message, queue_of},
    worker::Worker,
};

#[tokio::test]
async fn a_row_that_is_already_completed_is_left_as_it_is() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let complete = "UPDATE raw_extraction_data SET status = 'completed' WHERE id = $1";
    platform.database.client().execute(complete, &[&raw]).await.unwrap();
    let row = platform.raw(raw).await;
    platform.publish(&queue_of(1), &message(1, raw)).await;
    // Done after it, so the one before has been settled too.
    let next = platform.submit(1, &json!({})).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[next]).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.raw(raw).await, row);
    assert_eq!(platform.counts(1).await, Counts::default());
    assert_eq!(platform.dead_letters().await, []);
}

#[tokio::test]
async fn a_row_that_failed_before_is_processed_again() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let fail = r#"UPDATE raw_extraction_data SET status = 'failed', attempts = 3,
                  error_details = '{"reason":"transform_failed","message":"x","attempts":3,"at":"2026-01-01T00:00:00Z"}'
                  WHERE id = $1"#;
    platform.database.client().execute(fail, &[&raw]).await.unwrap();
    platform.publish(&queue_of(1), &message(1, raw)).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.raw(raw).await.error_details, None, "nothing of the failure is left");
    assert_eq!(platform.counts(1).await.projects, 1);
}

#[tokio::test]
async fn the_same_message_twice_has_one_effect() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.publish(&queue_of(1), &message(1, raw)).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    let first = platform.versions().await;
    platform.publish(&queue_of(1), &message(1, raw)).await;
    let next = platform.submit(1, &json!([])).await;
    platform.completed(&[next]).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.versions().await, first);
    assert_eq!(platform.dead_letters().await, []);
}

#[tokio::test]
async fn a_completion_message_names_no_row_and_changes_none() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let completion = json!({"tenant_id": 1, "integration_id": 10, "raw_data_id": null, "type": "whatever_comes_next",
                            "last_job_item": true, "rate_limited": null});
    platform.publish(&queue_of(1), &completion).await;
    let next = platform.submit(1, &json!({"projects": null})).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[next]).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.raw(raw).await.status, "pending");
    assert_eq!(platform.dead_letters().await, []);
}

#[tokio::test]
async fn empty_documents_of_every_form_are_completed_without_rows() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut raws = Vec::new();
    for document in [json!({}), json!([]), Value::Null, json!({"projects": []}), json!({"values": []})] {
        raws.push(platform.submit(1, &document).await);
    }

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&raws).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    for raw in raws {
        assert_eq!(platform.raw(raw).await.error_details, None);
    }
    assert_eq!(platform.counts(1).await, Counts::default());
    assert_eq!(platform.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn fields_that_nobody_knows_are_no_reason_to_refuse() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let mut rich = message(1, raw);
    for (name, value) in [
        ("provider", json!("jira")),
        ("job_id", json!("6a1f")),
        ("token", json!(null)),
        ("first_item", json!(true)),
        ("anything", json!({"deep": [1, 2.5, "x"]})),
    ] {
        rich[name] = value;
    }
    platform.publish(&queue_of(1), &rich).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}
