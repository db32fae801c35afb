//! One id, from whoever asks to the line of the worker that does it.

use std::fs;

use lapin::types::AMQPValue;
use serde_json::{Value, json};
use system_tests::{
    Platform, SOON, Setup, Supervisor, eventually, fleet,
    http::Call,
    platform::{KIND, integration_of, message, queue_of},
};

pub(crate) const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The worker's lines with this id.
async fn lines_with(supervisor: &Supervisor, id: &str) -> Vec<Value> {
    let directory = supervisor.directory().join("log");
    eventually(format!("a worker's line names {id}"), SOON, async || {
        let texts = fs::read_dir(&directory).into_iter().flatten().flatten();
        let texts: String = texts.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
        let lines = texts.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found: Vec<Value> = lines.filter(|line| line["correlation_id"] == id).collect();
        if found.is_empty() { Err(texts) } else { Ok(found) }
    })
    .await
}

/// A letter whose document fails again, with these headers of its producer.
pub(crate) async fn letter(platform: &Platform, headers: &Value) -> (i64, i64) {
    let row = platform.add_raw(1, KIND, &json!({"projects": 7})).await;
    let insert = "INSERT INTO dead_letters (tenant_id, queue, body, headers, reason, detail)
                  VALUES (1, $1, $2, $3, 'transform_failed', 'made by a test') RETURNING id";
    let body = message(1, row).to_string().into_bytes();
    let headers = tokio_postgres::types::Json(headers);
    let inserted = platform.database.client().query_one(insert, &[&queue_of(1), &body, &headers]).await;
    (inserted.expect("a letter can be written").get(0), row)
}

pub(crate) async fn replay(supervisor: &Supervisor, letter: i64, id: &str) {
    let call = Call::post("/api/v1/admin/dead-letters/replay", json!({"ids": [letter]}))
        .header("x-request-id", id)
        .header("traceparent", PARENT);
    let reply = supervisor.socket(call).await.expect("the socket answers");
    reply.expect_status(200);
    assert_eq!(reply.json::<Value>()["done"], 1, "{reply:?}");
}

#[tokio::test]
async fn a_request_is_followed_to_the_worker_and_its_lines_say_everything_that_names_the_message() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    let (letter, row) = letter(&platform, &json!({})).await;
    replay(&supervisor, letter, "order-7.A_b").await;
    let lines = lines_with(&supervisor, "order-7.A_b").await;
    let line = &lines[0];
    assert_eq!(line["message"], "dead letter", "{line}");
    let status = supervisor.status().await.unwrap();
    let incarnation = fleet::worker(&status, 1).expect("a worker").incarnation;
    assert_eq!((&line["worker"], &line["incarnation"]), (&json!("transform-1-1"), &json!(incarnation)), "{line}");
    assert_eq!((&line["tenant"], &line["queue"]), (&json!(1), &json!(queue_of(1))), "{line}");
    assert_eq!((&line["raw_data_id"], &line["type"]), (&json!(row), &json!(KIND)), "{line}");
    assert_eq!((&line["trace_id"], &line["reason"]), (&json!(TRACE), &json!("payload_shape")), "{line}");
    assert!(line["delivery"].is_u64() && line["timestamp"].is_string() && line["level"] == "WARN", "{line}");
    // The supervisor's own line of the same request.
    let own = supervisor.log();
    let own = own.lines().find(|line| line.contains("\"order-7.A_b\"")).unwrap_or_else(|| panic!("{own}"));
    assert!(own.contains(TRACE), "{own}");
}

#[tokio::test]
async fn a_replay_keeps_the_id_of_whoever_published_the_message_first() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    let (letter, row) = letter(&platform, &json!({"x-correlation-id": "the-producers"})).await;
    replay(&supervisor, letter, "the-operators").await;
    let lines = lines_with(&supervisor, "the-producers").await;
    assert_eq!(lines[0]["raw_data_id"], json!(row), "{lines:?}");
}

#[tokio::test]
async fn what_is_published_by_hand_carries_the_id_that_was_asked_for() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    let row = platform.add_raw(1, KIND, &json!({"projects": 7})).await.to_string();
    let integration = integration_of(1).to_string();
    let arguments = ["publish", "--tenant", "1", "--integration", &integration, "--raw-data-id", &row, "--type", KIND];
    let printed = supervisor.cli_ok(&[&arguments[..], &["--correlation-id", "by-hand"]].concat()).await;
    assert!(printed.contains("by-hand"), "{printed}");
    let lines = lines_with(&supervisor, "by-hand").await;
    assert!(lines[0]["trace_id"].as_str().is_some_and(|trace| trace.len() == 32), "{lines:?}");
}

#[tokio::test]
async fn headers_that_are_no_ids_are_left_out_of_the_lines() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1]).await;
    let row = platform.add_raw(1, KIND, &json!({"projects": 7})).await;
    let mut headers = lapin::types::FieldTable::default();
    headers.insert("x-correlation-id".into(), AMQPValue::LongString("two\nlines \"x\"".into()));
    headers.insert("traceparent".into(), AMQPValue::LongLongInt(7));
    let connection = platform.broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let properties = lapin::BasicProperties::default().with_headers(headers).with_message_id("m-1".into());
    let body = message(1, row).to_string();
    let options = lapin::options::BasicPublishOptions::default();
    channel.basic_publish("".into(), queue_of(1).into(), options, body.as_bytes(), properties).await.unwrap();
    platform.dead_letter().await;
    let log = supervisor.cli_ok(&["logs", "1"]).await;
    let line = log.lines().find(|line| line.contains("\"dead letter\"")).unwrap_or_else(|| panic!("{log}"));
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["correlation_id"], &line["trace_id"]), (&Value::Null, &Value::Null), "{line}");
    assert_eq!(line["message_id"], "m-1", "{line}");
}
