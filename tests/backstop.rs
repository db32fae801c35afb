//! What the broker gives up: the policies that keep it, and its way into the table of dead letters.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    options::{BasicConsumeOptions, BasicQosOptions, BasicRejectOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    broker::Depth,
    createmeta::{Shape, createmeta},
    eventually,
    platform::{KIND, message, queue_of},
    proxy::Proxy,
    stack::Endpoints,
    supervisor_setup::quoted,
    waiting::holds_for,
};
use tokio::time::timeout;

const DEAD_LETTERS: &str = "etl_dead_letters";
const NOTHING: Depth = Depth { ready: 0, consumers: 1 };

fn setup(platform: &Platform) -> Setup {
    Setup::on(platform).set("broker", "management_url", &quoted(&Endpoints::shared().management)).set(
        "broker",
        "delivery_limit",
        "2",
    )
}

/// Tenant 9 has a raw row and a queue, and is switched off: nobody but the test takes its messages.
async fn scene() -> (Platform, i64) {
    let platform = Platform::new().await;
    platform.add_tenant(9).await;
    platform.set_active(9, false).await;
    platform.broker.declare(&queue_of(9)).await;
    let raw = platform.add_raw(9, KIND, &createmeta(1, Shape::SMALL).document).await;
    (platform, raw)
}

/// Waits until a queue has this policy in force.
async fn has_policy(platform: &Platform, queue: &str, policy: &str) -> Value {
    eventually(format!("{queue} has the policy {policy}"), SOON, async || match platform.broker.describe(queue).await {
        Some(queue) if queue["policy"] == policy => Ok(queue["effective_policy_definition"].clone()),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// The broker is ready to keep what it gives up, and the supervisor to take it.
async fn guarded(platform: &Platform, supervisor: &Supervisor) {
    says(supervisor, "broker policies are in place").await;
    platform.broker.has(DEAD_LETTERS, NOTHING).await;
}

/// Waits for words in the supervisor's log.
async fn says(supervisor: &Supervisor, words: &str) {
    eventually(format!("the supervisor says {words:?}"), SOON, async || {
        let log = supervisor.log();
        if log.contains(words) { Ok(()) } else { Err(log) }
    })
    .await;
}

/// Everything that came before has been acknowledged: one more message is stored only after that, and when the brain is gone
/// nothing else comes back. Ends the brain.
async fn all_acknowledged(platform: &Platform, supervisor: &mut Supervisor) {
    let last = b"the last one".as_slice();
    platform.broker.publish(DEAD_LETTERS, last).await;
    eventually("the last letter", SOON, async || match platform.dead_letters().await {
        letters if letters.iter().any(|letter| letter.body == last) => Ok(()),
        letters => Err(format!("{letters:?}")),
    })
    .await;
    supervisor.kill_brain();
    eventually("its consumer is gone", SOON, async || match platform.broker.depth(DEAD_LETTERS).await {
        Some(Depth { consumers: 0, .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    while let Some(left) = platform.broker.take(DEAD_LETTERS).await {
        assert_eq!(left, last, "not acknowledged");
    }
}

/// Takes the only message of a queue and gives it back, until it does not come any more.
async fn return_to_the_limit(platform: &Platform, queue: &str) {
    let connection = platform.broker.connect().await;
    let channel = connection.create_channel().await.expect("a channel");
    channel.basic_qos(1, BasicQosOptions::default()).await.expect("a prefetch of one");
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await
        .expect("the queue is there");
    let mut delivery = Some(consumer.next().await);
    while let Some(taken) = delivery {
        let taken = taken.expect("a consumer").expect("a delivery");
        taken.reject(BasicRejectOptions { requeue: true }).await.expect("a message can be given back");
        delivery = timeout(Duration::from_millis(500), consumer.next()).await.ok();
    }
}

#[tokio::test]
async fn policies_reach_every_tenants_queue_and_an_operators_own_stays() {
    let platform = Platform::new().await;
    for tenant in [1, 2, 3] {
        platform.add_tenant(tenant).await;
    }
    let classic =
        [("x-queue-type", AMQPValue::LongString("classic".into())), ("x-message-ttl", AMQPValue::LongInt(86_400_000))];
    platform.broker.declare_with(&queue_of(1), &classic).await;
    platform.broker.declare(&queue_of(2)).await;
    let own =
        json!({"pattern": "_tenant_2$", "apply-to": "queues", "priority": 10, "definition": {"max-length": 1000}});
    platform.broker.set_policy("of-an-operator", &own).await;
    let mut supervisor = Supervisor::start(&setup(&platform)).await;
    supervisor.until_running(&[1, 2, 3]).await;

    let quorum = has_policy(&platform, &queue_of(3), "etl-supervisor").await;
    let lead = json!({"dead-letter-exchange": "", "dead-letter-routing-key": DEAD_LETTERS});
    assert_eq!(quorum["delivery-limit"], 2);
    assert_eq!(quorum["dead-letter-routing-key"], DEAD_LETTERS);
    assert_eq!(quorum["dead-letter-strategy"], "at-least-once");
    assert_eq!(has_policy(&platform, &queue_of(1), "etl-supervisor-classic").await, lead);
    has_policy(&platform, DEAD_LETTERS, "etl-supervisor-dead-letters").await;
    assert_eq!(has_policy(&platform, &queue_of(2), "of-an-operator").await, own["definition"]);
    assert_eq!(platform.broker.policy("of-an-operator").await.unwrap()["definition"], own["definition"]);

    // Everybody's work goes on as ever.
    for tenant in [1, 2, 3] {
        let raw = platform.submit(tenant, &createmeta(5, Shape::SMALL).document).await;
        platform.completed(&[raw]).await;
    }
    let said = supervisor.cli(&["doctor"]).await.stdout;
    for word in ["of-an-operator", "drop-head", "messages expire", DEAD_LETTERS] {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert_eq!(supervisor.log().matches("broker policies are in place").count(), 1, "{}", supervisor.log());

    // One that somebody changed is ours again after the next connection; those that are right are not written.
    let changed = json!({"pattern": "^x", "apply-to": "queues", "priority": 0, "definition": {"delivery-limit": 1}});
    platform.broker.set_policy("etl-supervisor", &changed).await;
    supervisor.kill_brain();
    supervisor.start_brain().await;
    says(&supervisor, r#""set":"[\"etl-supervisor\"]""#).await;
    assert_eq!(platform.broker.policy("etl-supervisor").await.unwrap()["definition"]["delivery-limit"], 2);
}

#[tokio::test]
async fn a_message_returned_beyond_the_limit_becomes_a_dead_letter_and_its_raw_row_failed() {
    let (platform, raw) = scene().await;
    let mut supervisor = Supervisor::start(&setup(&platform)).await;
    guarded(&platform, &supervisor).await;
    platform.publish(&queue_of(9), &message(9, raw)).await;
    return_to_the_limit(&platform, &queue_of(9)).await;

    let letter = platform.dead_letter().await;
    assert_eq!((letter.tenant_id, letter.queue), (Some(9), queue_of(9)));
    assert_eq!(letter.reason, "delivery_limit");
    assert_eq!(letter.body, message(9, raw).to_string().as_bytes());
    assert!(letter.detail.contains("delivery limit"), "{}", letter.detail);
    let row = platform.raw(raw).await;
    assert_eq!((row.status.as_str(), row.attempts), ("failed", 1));
    assert_eq!(row.error_details.unwrap()["reason"], "delivery_limit");

    // A message whose work was done meanwhile is nobody's concern; one of unknown origin is kept.
    let done = platform.add_raw(9, KIND, &json!({})).await;
    let complete = "UPDATE raw_extraction_data SET status = 'completed' WHERE id = $1";
    platform.database.client().execute(complete, &[&done]).await.unwrap();
    platform.publish(&queue_of(9), &message(9, done)).await;
    return_to_the_limit(&platform, &queue_of(9)).await;
    platform.broker.publish(DEAD_LETTERS, b"from nowhere").await;
    let letters = eventually("the second letter", SOON, async || match platform.dead_letters().await {
        letters if letters.len() >= 2 => Ok(letters),
        letters => Err(format!("{letters:?}")),
    })
    .await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!((letters[1].tenant_id, letters[1].reason.as_str()), (None, "unknown_origin"));
    assert_eq!(platform.raw(done).await.status, "completed");
    all_acknowledged(&platform, &mut supervisor).await;
}

/// A tenant may write its own raw rows, and hold them: everybody's letters are stored all the same.
#[tokio::test]
async fn what_a_tenant_does_to_its_own_raw_row_holds_no_letter_up() {
    let (platform, worn) = scene().await;
    let owner = platform.database.client();
    let most = "UPDATE raw_extraction_data SET attempts = 2147483647 WHERE id = $1";
    owner.execute(most, &[&worn]).await.expect("a row can be changed");
    let held = platform.add_raw(9, KIND, &createmeta(2, Shape::SMALL).document).await;
    let other = platform.database.connect().await;
    let lock = format!("BEGIN; SELECT FROM raw_extraction_data WHERE id = {held} FOR UPDATE");
    other.batch_execute(&lock).await.expect("a row can be held");
    let supervisor = Supervisor::start(&setup(&platform)).await;
    guarded(&platform, &supervisor).await;
    for (raw, letters) in [(worn, 1), (held, 2)] {
        platform.publish(&queue_of(9), &message(9, raw)).await;
        return_to_the_limit(&platform, &queue_of(9)).await;
        eventually(format!("{letters} letters"), SOON, async || match platform.dead_letters().await {
            found if found.len() == letters => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
    }
    let row = platform.raw(worn).await;
    assert_eq!((row.status.as_str(), row.attempts), ("failed", i32::MAX));
    assert_eq!(platform.raw(held).await.status, "pending", "somebody holds it");
}

#[tokio::test]
async fn a_message_that_expires_in_a_classic_queue_becomes_a_dead_letter() {
    let (platform, raw) = scene().await;
    let queue = queue_of(8);
    let classic =
        [("x-queue-type", AMQPValue::LongString("classic".into())), ("x-message-ttl", AMQPValue::LongInt(50))];
    platform.broker.declare_with(&queue, &classic).await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    has_policy(&platform, &queue, "etl-supervisor-classic").await;
    guarded(&platform, &supervisor).await;
    platform.publish(&queue, &message(9, raw)).await;
    let letter = platform.dead_letter().await;
    assert_eq!((letter.tenant_id, letter.queue, letter.reason.as_str()), (Some(8), queue, "expired"));
    assert_eq!(platform.raw(raw).await.status, "pending", "another tenant's row");
}

#[tokio::test]
async fn the_brain_killed_between_letter_and_acknowledgement_leaves_one_letter() {
    let (platform, raw) = scene().await;
    let proxy = Proxy::to(&platform.broker.address());
    let through_the_proxy = platform.broker.url().replace(&platform.broker.address(), proxy.address());
    let configuration = setup(&platform).set("broker", "url", &quoted(&through_the_proxy));
    let mut supervisor = Supervisor::start(&configuration).await;
    guarded(&platform, &supervisor).await;

    // Deliveries still arrive; acknowledgements do not get out any more.
    proxy.hold_what_clients_send();
    platform.publish(&queue_of(9), &message(9, raw)).await;
    return_to_the_limit(&platform, &queue_of(9)).await;
    platform.dead_letter().await;
    supervisor.kill_brain();
    proxy.cut();
    platform.broker.has(DEAD_LETTERS, Depth { ready: 1, consumers: 0 }).await;

    supervisor.start_brain().await;
    all_acknowledged(&platform, &mut supervisor).await;
    assert!(supervisor.log().contains("is a dead letter already"), "{}", supervisor.log());
    assert_eq!(platform.dead_letters().await.len(), 2, "its own and the last one");
    let row = platform.raw(raw).await;
    assert_eq!((row.status.as_str(), row.attempts), ("failed", 1));
}

#[tokio::test]
async fn while_the_database_is_away_messages_are_held() {
    let (platform, raw) = scene().await;
    let address = platform.database.address();
    let proxy = Proxy::to(&address);
    let through_the_proxy = platform.database.url().replace(&address, proxy.address());
    let configuration = setup(&platform).set("database", "url", &quoted(&through_the_proxy));
    let mut supervisor = Supervisor::start(&configuration).await;
    guarded(&platform, &supervisor).await;
    proxy.hold_what_clients_send();
    platform.publish(&queue_of(9), &message(9, raw)).await;
    return_to_the_limit(&platform, &queue_of(9)).await;
    holds_for("no letter, and nothing goes to and fro", Duration::from_secs(1), async || {
        let depth = platform.broker.depth(DEAD_LETTERS).await;
        let letters = platform.dead_letters().await;
        if letters.is_empty() && depth == Some(NOTHING) { Ok(()) } else { Err(format!("{depth:?} {letters:?}")) }
    })
    .await;
    proxy.cut();
    platform.dead_letter().await;
    assert_eq!(platform.raw(raw).await.status, "failed");
    all_acknowledged(&platform, &mut supervisor).await;
}

#[tokio::test]
async fn without_the_management_api_workers_run_and_one_warning_says_so() {
    let platform = Platform::with_tenants(&[1]).await;
    let configuration = setup(&platform).set("broker", "management_url", "\"http://etl:wrong@127.0.0.1:9\"");
    let mut supervisor = Supervisor::start(&configuration).await;
    supervisor.until_running(&[1]).await;
    let raw = platform.submit(1, &createmeta(5, Shape::SMALL).document).await;
    platform.completed(&[raw]).await;
    assert_eq!(supervisor.log().matches("broker policies cannot be set").count(), 1, "{}", supervisor.log());
    let said = supervisor.cli(&["doctor"]).await.stdout;
    assert!(said.contains("127.0.0.1:9") && !said.contains("wrong"), "{said}");

    // One that takes the question and never answers.
    let (credentials, address) = Endpoints::shared().management.rsplit_once('@').expect("MANAGEMENT_URL names a user");
    let proxy = Proxy::to(address);
    proxy.hold_what_clients_send();
    supervisor.kill_brain();
    let silent = quoted(format!("{credentials}@{}", proxy.address()));
    supervisor.configure(&setup(&platform).set("broker", "management_url", &silent));
    platform.add_tenant(2).await;
    supervisor.start_brain().await;
    supervisor.until_running(&[1, 2]).await;
    says(&supervisor, "no answer within 3 seconds").await;

    supervisor.configure(&Setup::on(&platform));
    let said = supervisor.cli(&["doctor"]).await.stdout;
    assert!(said.contains("no [broker] management_url"), "{said}");
}
