//! Documents of real size and shape, and the rows that come out of them.

use std::time::Duration;

use serde_json::json;
use system_tests::{
    Platform,
    createmeta::{Shape, createmeta},
    platform::{Counts, KIND, message, queue_of},
    worker::Worker,
};

#[tokio::test]
async fn a_document_of_eight_megabytes_has_exactly_its_rows_and_a_second_run_changes_none() {
    let platform = Platform::with_tenants(&[1]).await;
    let meta = createmeta(1, Shape::LARGE);
    let raw = platform.submit(1, &meta.document).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    let expected = Counts { projects: 12, wits: 11, projects_wits: 86, custom_fields: 122 };
    assert_eq!(platform.counts(1).await, expected);
    assert_eq!(platform.raw(raw).await.error_details, None, "no warnings");

    let versions = platform.versions().await;
    let again = platform.submit(1, &meta.document).await;
    platform.completed(&[again]).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.counts(1).await, expected);
    assert_eq!(platform.versions().await, versions, "the second run must not write a single row");
}

#[tokio::test]
async fn a_large_document_between_small_ones_takes_none_of_them_along() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut raws = Vec::new();
    for seed in [1, 2] {
        raws.push(platform.submit(1, &createmeta(seed, Shape::SMALL).document).await);
    }
    raws.push(platform.submit(1, &createmeta(3, Shape::LARGE).document).await);
    for seed in [4, 5] {
        raws.push(platform.submit(1, &createmeta(seed, Shape::SMALL).document).await);
    }

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&raws).await;
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    let expected = Counts { projects: 12 + 4, wits: 11 + 4, projects_wits: 86 + 4, custom_fields: 122 + 8 };
    assert_eq!(platform.counts(1).await, expected);
}

#[tokio::test]
async fn what_is_unusable_in_a_document_is_skipped_and_counted() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut document = createmeta(1, Shape::SMALL).document;
    document["projects"].as_array_mut().unwrap().push(json!({"id": "99", "name": "has no key"}));
    let raw = platform.submit(1, &document).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;

    let details = platform.raw(raw).await.error_details.expect("there is a warning");
    let warnings = details["warnings"].as_array().expect("a list of warnings");
    assert_eq!(warnings.len(), 1, "{details}");
    assert_eq!(warnings[0]["count"], 1, "{details}");
    assert!(warnings[0]["reason"].is_string(), "{details}");
    assert_eq!(platform.counts(1).await.projects, 1);
}

#[tokio::test]
async fn the_newer_lists_and_arrays_of_the_api_give_the_same_rows() {
    let platform = Platform::with_tenants(&[1]).await;
    let document = json!({"values": [{"id": 10001, "key": "NEW", "name": "New", "issueTypes": [
        {"id": "1", "name": "Story", "fields": [
            {"fieldId": "customfield_10024", "name": "Story Points", "schema": {"type": "number"}, "operations": ["set"]},
            {"key": "customfield_10021", "name": "Sprint", "schema": {"type": "array"}, "operations": ["set"]},
            {"fieldId": "summary", "name": "Summary", "schema": {"type": "string"}, "operations": ["set"]}]}]}]});
    let raw = platform.submit(1, &document).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;

    let expected = Counts { projects: 1, wits: 1, projects_wits: 1, custom_fields: 2 };
    assert_eq!(platform.counts(1).await, expected);
    let select = "SELECT p.external_id, s.external_id, t.external_id
                  FROM custom_fields_mappings m JOIN projects p ON p.tenant_id = m.tenant_id
                  LEFT JOIN custom_fields s ON s.id = m.story_points_field_id
                  LEFT JOIN custom_fields t ON t.id = m.sprints_field_id";
    let row = platform.database.client().query_one(select, &[]).await.unwrap();
    let text = |column: usize| row.get::<_, Option<String>>(column).unwrap_or_default();
    assert_eq!(
        [text(0), text(1), text(2)],
        ["10001", "customfield_10024", "customfield_10021"],
        "ids are text, and the special fields are mapped"
    );
}

#[tokio::test]
async fn an_operators_choice_of_a_special_field_stands() {
    let platform = Platform::with_tenants(&[1]).await;
    let client = platform.database.client();
    let chosen = "INSERT INTO custom_fields (tenant_id, integration_id, external_id, name, field_type)
                  VALUES (1, 10, 'customfield_77', 'Chosen', 'number') RETURNING id";
    let chosen: i64 = client.query_one(chosen, &[]).await.unwrap().get(0);
    let mapping =
        "INSERT INTO custom_fields_mappings (tenant_id, integration_id, story_points_field_id) VALUES (1, 10, $1)";
    client.execute(mapping, &[&chosen]).await.unwrap();
    let mut document = createmeta(1, Shape::SMALL).document;
    document["projects"][0]["issuetypes"][0]["fields"]["customfield_10024"] =
        json!({"name": "Story Points", "schema": {"type": "number"}, "operations": ["set"]});
    let raw = platform.submit(1, &document).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;

    let select = "SELECT story_points_field_id FROM custom_fields_mappings";
    let mapped: Option<i64> = client.query_one(select, &[]).await.unwrap().get(0);
    assert_eq!(mapped, Some(chosen));
}

#[tokio::test]
async fn odd_text_is_stored_as_it_is() {
    let platform = Platform::with_tenants(&[1]).await;
    let odd = format!("Robert'); DROP TABLE projects;-- \"quoted\" 🚀 \\ {}", "x".repeat(1_000_000));
    let mut document = createmeta(1, Shape::SMALL).document;
    document["projects"][0]["name"] = json!(odd);
    let raw = platform.submit(1, &document).await;

    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;

    let name: String = platform.database.client().query_one("SELECT name FROM projects", &[]).await.unwrap().get(0);
    assert!(name == odd, "{} bytes instead of {}", name.len(), odd.len());
}

#[tokio::test]
async fn two_workers_on_one_queue_share_the_work_without_doing_any_of_it_twice() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut raws = Vec::new();
    // The same rows in every document: both workers want the same keys at the same time.
    let document = createmeta(1, Shape::MEDIUM).document;
    for _ in 0..60 {
        raws.push(platform.add_raw(1, KIND, &document).await);
    }
    let workers = [Worker::of_tenant(&platform, 1), Worker::of_tenant(&platform, 1)];
    for raw in &raws {
        platform.publish(&queue_of(1), &message(1, *raw)).await;
    }
    platform.completed(&raws).await;
    for mut worker in workers {
        worker.signal(nix::sys::signal::Signal::SIGTERM);
        let status = worker.wait_within(Duration::from_secs(10)).await;
        assert_eq!(status.code(), Some(0), "{}", worker.log());
    }
    platform.broker.settled(&queue_of(1)).await;
    let expected = Counts { projects: 3, wits: 5, projects_wits: 11, custom_fields: 20 };
    assert_eq!(platform.counts(1).await, expected);
    assert_eq!(platform.dead_letters().await, []);
}
