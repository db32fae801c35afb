//! Queues that somebody else has made, and the global queue of an older deployment.

use etl_shared::amqp;
use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use serde_json::json;
use system_tests::{
    Platform,
    createmeta::{Shape, createmeta},
    platform::{KIND, message, queue_of},
    worker::Worker,
};

#[tokio::test]
async fn the_global_queue_serves_every_tenant() {
    const QUEUE: &str = "transform_queue";
    let platform = Platform::with_tenants(&[1, 2]).await;
    platform.broker.declare(QUEUE).await;
    let mut raws = Vec::new();
    for tenant in [1, 2] {
        let raw = platform.add_raw(tenant, KIND, &createmeta(1, Shape::SMALL).document).await;
        platform.publish(QUEUE, &message(tenant, raw)).await;
        raws.push(raw);
    }
    // Whose this was can be read, although the rest is wrong.
    platform.publish(QUEUE, &json!({"tenant_id": 2, "type": KIND})).await;

    let worker = Worker::on_queue(&platform, QUEUE);
    platform.completed(&raws).await;
    let letter = platform.dead_letter().await;
    worker.drain().await;

    platform.broker.settled(QUEUE).await;
    assert_eq!((letter.tenant_id, letter.queue.as_str()), (Some(2), QUEUE));
    assert_eq!(letter.reason, "malformed_message");
    assert_eq!(platform.counts(1).await, platform.counts(2).await);
    assert_eq!(platform.counts(1).await.projects, 1);
}

#[tokio::test]
async fn in_the_global_queue_a_row_of_another_tenant_is_foreign_too() {
    const QUEUE: &str = "transform_queue";
    let platform = Platform::with_tenants(&[1, 2]).await;
    platform.broker.declare(QUEUE).await;
    let raw = platform.add_raw(2, KIND, &createmeta(1, Shape::SMALL).document).await;
    platform.publish(QUEUE, &message(1, raw)).await;

    let worker = Worker::on_queue(&platform, QUEUE);
    let letter = platform.dead_letter().await;
    worker.drain().await;

    platform.broker.settled(QUEUE).await;
    assert_eq!(letter.reason, "foreign_row");
    assert_eq!(platform.raw(raw).await.status, "pending");
}

/// A worker takes a queue as it finds it, whatever its arguments.
async fn a_queue_is_used_as_it_is(arguments: &[(&str, AMQPValue)]) {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    platform.broker.declare_with(&queue_of(1), arguments).await;

    let worker = Worker::of_tenant(&platform, 1);
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.completed(&[raw]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}

#[tokio::test]
async fn a_classic_queue_with_a_time_to_live() {
    let day = AMQPValue::LongInt(24 * 3600 * 1000);
    a_queue_is_used_as_it_is(&[("x-message-ttl", day)]).await;
}

#[tokio::test]
async fn a_classic_queue_with_a_length_limit() {
    let limit = AMQPValue::LongInt(1000);
    a_queue_is_used_as_it_is(&[
        ("x-max-length", limit),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ])
    .await;
}

#[tokio::test]
async fn a_quorum_queue_with_a_delivery_limit_and_a_dead_letter_exchange() {
    a_queue_is_used_as_it_is(&[
        ("x-queue-type", AMQPValue::LongString("quorum".into())),
        ("x-delivery-limit", AMQPValue::LongInt(3)),
        ("x-dead-letter-exchange", AMQPValue::LongString(String::new().into())),
        ("x-dead-letter-routing-key", AMQPValue::LongString("elsewhere".into())),
    ])
    .await;
}

#[tokio::test]
async fn a_message_with_larger_headers_than_a_frame_is_served_like_any_other() {
    let platform = Platform::with_tenants(&[1]).await;
    let first = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let url = format!("{}?frame_max=131072", platform.broker.url());
    let connection = amqp::parse_url(&url.into()).expect("a URL").connect("large").await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    let mut headers = FieldTable::default();
    headers.insert("x-trace".into(), AMQPValue::LongString("t".repeat(20_000).into()));
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let body = message(1, first).to_string();
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("".into(), queue_of(1).into(), options, body.as_bytes(), properties)
        .await
        .expect("the message is sent");
    let worker = Worker::of_tenant(&platform, 1);
    let second = platform.submit(1, &createmeta(2, Shape::SMALL).document).await;
    platform.completed(&[first, second]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}
