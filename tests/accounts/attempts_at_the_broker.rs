//! What somebody tries who has a tenant's account at the broker.

use lapin::{
    BasicProperties, Channel, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::FieldTable,
};
use system_tests::{SOON, accounts::Installation, http::Call, platform::queue_of, refusals::all_refused_as_documented};

use crate::attempts::Attempt;

const ATTEMPTS: &[&str] = &[
    "consume the victim's queue",
    "get a message of the victim's queue",
    "purge the victim's queue",
    "delete the victim's queue",
    "publish to the victim's queue",
    "publish to one's own queue",
    "publish to another exchange",
    "declare a queue",
    "declare an exchange",
    "delete an exchange",
    "bind the victim's queue to an exchange",
    "bind one's own queue to an exchange that sees everything",
    "consume the queue of tenant 11 as tenant 1",
    "consume the queue of dead letters",
];

/// Tries everything as tenant 1, each on a connection of its own.
pub(crate) async fn attempts(installation: &Installation) -> Vec<Attempt> {
    let mut made = Vec::new();
    for what in ATTEMPTS {
        let connection = installation.broker(1, 1).await.expect("a login as tenant 1");
        let channel = connection.create_channel().await.expect("a channel");
        let outcome = attempt(&channel, what).await;
        made.push(Attempt {
            what,
            succeeded: outcome.is_ok(),
            outcome: outcome.err().map_or_else(|| "accepted".to_owned(), |error| error.to_string()),
        });
    }
    made
}

async fn attempt(channel: &Channel, what: &str) -> lapin::Result<()> {
    let (victim, own, none) = (queue_of(2), queue_of(1), FieldTable::default());
    match what {
        "consume the victim's queue" => consume(channel, &victim).await,
        "consume the queue of tenant 11 as tenant 1" => consume(channel, &queue_of(11)).await,
        "consume the queue of dead letters" => consume(channel, "etl_dead_letters").await,
        "get a message of the victim's queue" => {
            channel.basic_get(victim.into(), BasicGetOptions::default()).await.map(drop)
        }
        "purge the victim's queue" => channel.queue_purge(victim.into(), QueuePurgeOptions::default()).await.map(drop),
        "delete the victim's queue" => {
            channel.queue_delete(victim.into(), QueueDeleteOptions::default()).await.map(drop)
        }
        "publish to the victim's queue" => publish(channel, "", &victim).await,
        "publish to one's own queue" => publish(channel, "", &own).await,
        "publish to another exchange" => publish(channel, "amq.direct", &victim).await,
        "declare a queue" => {
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare("transform_queue_tenant_12".into(), options, none).await.map(drop)
        }
        "declare an exchange" => {
            let options = ExchangeDeclareOptions::default();
            channel.exchange_declare("mine".into(), ExchangeKind::Fanout, options, none).await
        }
        "delete an exchange" => channel.exchange_delete("amq.match".into(), ExchangeDeleteOptions::default()).await,
        "bind the victim's queue to an exchange" => bind(channel, &victim, "amq.direct").await,
        "bind one's own queue to an exchange that sees everything" => bind(channel, &own, "amq.topic").await,
        other => unreachable!("nobody has written down how to {other}"),
    }
}

async fn consume(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "c".into(), options, FieldTable::default()).await.map(drop)
}

async fn publish(channel: &Channel, exchange: &str, queue: &str) -> lapin::Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish(exchange.into(), queue.into(), options, b"x", properties).await?.await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), "#".into(), options, FieldTable::default()).await
}

#[tokio::test]
async fn a_tenants_account_at_the_broker_is_good_for_its_own_queues_only() {
    let installation = Installation::new().await;
    let broker = &installation.platform.broker;
    for queue in [queue_of(1), queue_of(2), queue_of(11), "etl_dead_letters".to_owned()] {
        broker.declare(&queue).await;
        broker.publish(&queue, b"a message").await;
    }
    let task = installation.start();
    task.want([1]);
    task.ready(&[1], 1, SOON).await;
    let attempts = attempts(&installation).await;
    // Virtual host and user are this test's own.
    let usual = |text: &str| {
        let (_, said) = text.split_once("ACCESS_REFUSED - ").unwrap_or(("", text));
        let (what, _) = said.split_once(" in vhost").unwrap_or((said, ""));
        format!("ACCESS_REFUSED: {what}")
    };
    all_refused_as_documented(
        "at the broker",
        &attempts.iter().map(|attempt| attempt.documented(usual(&attempt.outcome))).collect::<Vec<_>>(),
    );
    let other =
        |attempt: &&Attempt| !attempt.outcome.contains("ACCESS_REFUSED") && !attempt.outcome.contains("access to");
    let other: Vec<_> = attempts.iter().filter(other).collect();
    assert!(other.is_empty(), "refused for another reason: {other:#?}");
    let own = installation.broker(1, 1).await.expect("a login");
    let channel = own.create_channel().await.expect("a channel");
    let got = channel.basic_get(queue_of(1).into(), BasicGetOptions::default()).await.expect("its own queue");
    assert_eq!(got.map(|message| message.delivery.data), Some(b"a message".to_vec()));
    let url = &installation.settings.broker.as_ref().expect("a broker").management_url;
    let shown = installation.management().shown();
    assert!(url.is_some());
    let name = format!("{}:x", installation.name(1, 1));
    let reply = Call::get("/api/queues").basic(&name).to_address(&shown).await.expect("an answer");
    assert_eq!(reply.status, 401, "no access to the management API");
}
