//! What a worker needs and does not find: it leaves with 69, so that a supervisor waits instead of counting a failure, and
//! the message stays where it is.

use system_tests::{
    Platform,
    broker::Depth,
    createmeta::{Shape, createmeta},
    platform::{KIND, message, queue_of},
    worker::{Worker, WorkerRun},
};

const UNAVAILABLE: Option<i32> = Some(69);
const REFUSED: Option<i32> = Some(77);

fn quickly(platform: &Platform) -> WorkerRun {
    WorkerRun::on(platform).arguments(&["--queue", &queue_of(1), "--connect-timeout", "500ms"])
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_not_made_behind_the_supervisors_back() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let mut worker = quickly(&platform).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), UNAVAILABLE, "{}", worker.log());
    assert!(worker.log().contains(&queue_of(1)), "{}", worker.log());
    assert_eq!(platform.broker.queues().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_made_on_request() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let worker = WorkerRun::on(&platform).arguments(&["--queue", &queue_of(1), "--create-queue"]).start();
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.completed(&[raw]).await;
    worker.drain().await;
    let queue = platform.broker.describe(&queue_of(1)).await.expect("the queue is there");
    assert_eq!((queue["durable"].as_bool(), queue["type"].as_str()), (Some(true), Some("quorum")), "{queue}");
}

#[tokio::test]
async fn a_broker_that_refuses_the_password() {
    let platform = Platform::with_tenants(&[1]).await;
    let (scheme, rest) = platform.broker.url().split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("a URL with a user");
    let wrong = format!("{scheme}://nobody:wrong-password@{place}");
    let mut worker = quickly(&platform).broker(Some(wrong)).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), REFUSED, "{}", worker.log());
    assert!(!worker.log().contains("wrong-password"), "{}", worker.log());
}

#[tokio::test]
async fn a_broker_and_a_database_that_do_not_answer() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut worker = quickly(&platform).broker(Some("amqp://a:b@127.0.0.1:1/x".to_owned())).start();
    assert_eq!(worker.wait().await.code(), UNAVAILABLE, "{}", worker.log());
    let mut worker = quickly(&platform).database(Some("postgres://a:b@127.0.0.1:1/x".to_owned())).start();
    assert_eq!(worker.wait().await.code(), UNAVAILABLE, "{}", worker.log());
}

#[tokio::test]
async fn a_table_that_is_missing_costs_the_message_nothing() {
    let platform = Platform::with_tenants(&[1]).await;
    let client = platform.database.client();
    client.batch_execute("ALTER TABLE custom_fields RENAME TO custom_fields_elsewhere").await.unwrap();
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let mut worker = quickly(&platform).start();
    let status = worker.wait().await;
    assert_eq!(status.code(), UNAVAILABLE, "{}", worker.log());
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    let row = platform.raw(raw).await;
    assert_eq!((row.status.as_str(), row.attempts), ("pending", 0));

    client.batch_execute("ALTER TABLE custom_fields_elsewhere RENAME TO custom_fields").await.unwrap();
    let worker = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}

#[tokio::test]
async fn a_row_that_stays_locked_is_given_up_after_its_attempts_and_its_neighbours_are_done() {
    let platform = Platform::with_tenants(&[1]).await;
    let meta = createmeta(1, Shape::SMALL);
    let fields = meta.document["projects"][0]["issuetypes"][0]["fields"].as_object().expect("fields");
    let field = fields.keys().find(|key| key.starts_with("customfield_")).expect("a custom field");
    let holder = platform.hold_custom_field(1, field).await;
    let before = platform.submit(1, &createmeta(2, Shape::SMALL).document).await;
    let held = platform.add_raw(1, KIND, &meta.document).await;
    platform.publish(&queue_of(1), &message(1, held)).await;
    let after = platform.submit(1, &createmeta(3, Shape::SMALL).document).await;

    let arguments = ["--queue", &queue_of(1), "--lock-timeout", "150ms", "--attempts", "2"];
    let worker = WorkerRun::on(&platform).arguments(&arguments).start();
    platform.completed(&[before, after]).await;
    let letter = platform.dead_letter().await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    worker.drain().await;

    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(letter.reason, "transform_failed", "{letter:?}");
    let row = platform.raw(held).await;
    assert_eq!((row.status.as_str(), row.attempts), ("failed", 2), "{row:?}");
    let counts = platform.counts(1).await;
    assert_eq!((counts.projects, counts.custom_fields), (2, 4), "nothing of the message that was given up");
}
