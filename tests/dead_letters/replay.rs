//! A message that is published again: what it carries, and what becomes of its letter.

use lapin::{options::BasicGetOptions, types::AMQPValue};
use serde_json::{Value, json};
use system_tests::{
    Platform, Setup, Supervisor, eventually,
    http::Call,
    platform::{message, queue_of},
    proxy::Proxy,
    supervisor_setup::quoted,
};

use super::letters::{
    LETTERS, LONG, given_up, good, hold_commits, ids, letter, mend, open, page, release, replay, replay_is_held,
    settle, supervisor,
};

#[tokio::test]
async fn a_mended_document_is_transformed_by_the_replay_of_its_letter() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = supervisor(&platform).await;
    let rows = given_up(&platform, 1, 3).await;
    mend(&platform, &rows).await;
    let settled = replay(&supervisor, json!({"filter": {"tenant_id": 1}})).await;
    assert_eq!((settled.matched, settled.done, settled.skipped), (3, 3, 0), "{settled:?}");
    platform.completed(&rows).await;
    assert_eq!(open(&platform).await, 0);
    let again = replay(&supervisor, json!({"ids": ids(&platform).await})).await;
    assert_eq!((again.matched, again.done, again.skipped), (0, 0, 3), "what is replayed is not replayed again");
}

#[tokio::test]
async fn the_message_is_the_same_and_its_headers_are_the_producers_own() {
    let platform = Platform::with_tenants(&[1]).await;
    // Without workers, so that what is in the queue can be looked at.
    let supervisor = without_workers(&platform).await;
    let row = letter(&platform, 1, &json!({})).await;
    let id = ids(&platform).await[0];
    assert_eq!(replay(&supervisor, json!({"ids": [id]})).await.done, 1);
    let connection = platform.broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let queue = queue_of(1);
    let got = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().expect("a message");
    assert_eq!(serde_json::from_slice::<Value>(&got.data).unwrap(), message(1, row));
    assert_eq!(got.properties.delivery_mode(), &Some(2), "persistent");
    let headers = got.properties.headers().clone().expect("headers");
    assert_eq!(headers.inner()["job"], AMQPValue::LongString("j-1".into()));
    assert_eq!(headers.inner()["x-etl-replayed-from"], AMQPValue::LongLongInt(id));
    // The letter's count of 3 is left behind; some brokers begin a new one.
    assert!(
        headers.inner().get("x-delivery-count").is_none_or(|count| *count == AMQPValue::LongLongInt(0)),
        "{headers:?}"
    );
}

#[tokio::test]
async fn a_message_that_fails_again_while_the_replay_is_not_committed_has_a_letter_of_its_own() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = supervisor(&platform).await;
    given_up(&platform, 1, 1).await;
    let holder = hold_commits(&platform).await;
    let replaying = replay(&supervisor, json!({"filter": {}}));
    let meanwhile = async {
        replay_is_held(&platform).await;
        // The worker has the message and gives it up again; it waits for the letter that is being replayed.
        eventually("the worker waits with its letter", LONG, async || {
            let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                          AND wait_event = 'transactionid'";
            let row = platform.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
            if row.get::<_, i64>(0) > 0 { Ok(()) } else { Err("nobody waits".to_owned()) }
        })
        .await;
        release(&holder).await;
    };
    let (settled, ()) = tokio::join!(replaying, meanwhile);
    assert_eq!(settled.done, 1, "{settled:?}");
    eventually("the second failure has an open letter", LONG, async || match open(&platform).await {
        1 => Ok(()),
        open => Err(format!("{open} open")),
    })
    .await;
    let all = page(&supervisor, "state=all").await.letters;
    let states: Vec<_> = all.iter().map(|letter| letter.state.as_str()).collect();
    assert_eq!(states, ["open", "replayed"], "{all:?}");
}

#[tokio::test]
async fn a_letter_whose_queue_is_gone_stays_open_and_its_neighbours_do_not() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let supervisor = without_workers(&platform).await;
    // Between each other, so that what comes back from the broker can be taken for a neighbour's.
    for number in 0..40 {
        letter(&platform, 1, &json!({"number": number})).await;
        letter(&platform, 2, &json!({"number": number})).await;
    }
    let gone = "UPDATE dead_letters SET queue = 'transform_queue_tenant_404', tenant_id = 404 WHERE tenant_id = 2";
    platform.database.client().execute(gone, &[]).await.unwrap();
    let settled = replay(&supervisor, json!({"filter": {}, "limit": 500})).await;
    assert_eq!((settled.done, settled.failed.len()), (40, 40), "{settled:?}");
    assert!(settled.failed.iter().all(|failure| failure.code == "queue_missing"), "{:?}", settled.failed);
    let left = page(&supervisor, "limit=500").await.letters;
    assert!(left.len() == 40 && left.iter().all(|letter| letter.queue.ends_with("_404")), "{left:?}");
    assert_eq!(platform.broker.depth(&queue_of(1)).await.map(|depth| depth.ready), Some(40));
}

#[tokio::test]
async fn headers_larger_than_a_small_frame_are_replayed_with_their_message() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = supervisor(&platform).await;
    let row = letter(&platform, 1, &good(1)).await;
    enlarge_headers(&platform, ids(&platform).await[0], 20_000).await;
    let settled = replay(&supervisor, json!({"filter": {}})).await;
    assert_eq!((settled.done, settled.failed.len()), (1, 0), "{settled:?}");
    platform.completed_within(&[row], LONG).await;
    assert_eq!(open(&platform).await, 0);
}

#[tokio::test]
async fn a_letter_that_no_connection_can_carry_fails_alone() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = without_workers(&platform).await;
    for number in 0..6 {
        letter(&platform, 1, &json!({"number": number})).await;
    }
    let bad = ids(&platform).await[1];
    enlarge_headers(&platform, bad, 200_000).await;
    let settled = replay(&supervisor, json!({"filter": {}})).await;
    assert_eq!(settled.done, 5, "{settled:?}");
    let failed: Vec<_> = settled.failed.iter().map(|failure| (failure.id, failure.code.as_str())).collect();
    assert_eq!(failed, [(bad, "unconfirmed")]);
    assert_eq!(open(&platform).await, 1);
}

#[tokio::test]
async fn a_letter_is_never_published_to_another_tenants_queue() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let supervisor = without_workers(&platform).await;
    for _ in 0..3 {
        letter(&platform, 1, &json!({})).await;
    }
    let ids = ids(&platform).await;
    let client = platform.database.client();
    let update = "UPDATE dead_letters SET queue = $2 WHERE id = $1";
    client.execute(update, &[&ids[0], &queue_of(2)]).await.unwrap();
    client.execute(update, &[&ids[1], &"etl_dead_letters"]).await.unwrap();
    // The broker would deliver a copy to the queue that CC names.
    let copied =
        "UPDATE dead_letters SET headers = jsonb_build_object('CC', jsonb_build_array($2::text)) WHERE id = $1";
    client.execute(copied, &[&ids[2], &queue_of(2)]).await.unwrap();
    let settled = replay(&supervisor, json!({"filter": {}})).await;
    let failed: Vec<_> = settled.failed.iter().map(|failure| (failure.id, failure.code.as_str())).collect();
    assert_eq!((settled.done, failed), (1, vec![(ids[0], "not_replayable"), (ids[1], "not_replayable")]));
    let ready = async |tenant| platform.broker.depth(&queue_of(tenant)).await.map(|depth| depth.ready);
    assert_eq!((ready(1).await, ready(2).await), (Some(1), Some(0)));
}

/// Gives a letter headers of so many bytes.
async fn enlarge_headers(platform: &Platform, id: i64, bytes: i32) {
    let update = "UPDATE dead_letters SET headers = jsonb_build_object('large', repeat('x', $2)) WHERE id = $1";
    platform.database.client().execute(update, &[&id, &bytes]).await.expect("headers can be replaced");
}

#[tokio::test]
async fn a_discarded_letter_is_kept_and_never_replayed() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = without_workers(&platform).await;
    letter(&platform, 1, &json!({})).await;
    let settled: etl_shared::api::LettersSettled =
        settle(&supervisor, "discard", json!({"filter": {"reason": "transform_failed"}})).await.json();
    assert_eq!(settled.done, 1);
    assert_eq!(replay(&supervisor, json!({"ids": ids(&platform).await})).await.skipped, 1);
    assert_eq!(page(&supervisor, "state=discarded").await.letters.len(), 1);
    assert_eq!(platform.broker.depth(&queue_of(1)).await.map(|depth| depth.ready), Some(0));
}

#[tokio::test]
async fn while_broker_or_database_is_away_letters_stay_as_they_are() {
    let platform = Platform::with_tenants(&[1]).await;
    let (broker, database) = (platform.broker.address(), address(platform.database.url()));
    let (broker_proxy, database_proxy) = (Proxy::to(&broker), Proxy::to(&database));
    let setup = Setup::on(&platform)
        .set("broker", "url", &quoted(platform.broker.url().replace(&broker, broker_proxy.address())))
        .set("database", "url", &quoted(platform.database.url().replace(&database, database_proxy.address())));
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until("it knows its tenants", |status| !status.tenants.is_empty()).await;
    supervisor.control("stop", None).await;
    letter(&platform, 1, &json!({})).await;
    let code = async |call| {
        let reply = supervisor.socket(call).await.expect("an answer in good time");
        reply.expect_status(503).json::<Value>()["code"].as_str().unwrap_or_default().to_owned()
    };
    let replay = || Call::post(&format!("{LETTERS}/replay"), json!({"filter": {}}));

    drop(broker_proxy);
    assert_eq!(code(replay()).await, "broker_unavailable");
    // A database that takes a connection and says nothing.
    database_proxy.hold_what_clients_send();
    assert_eq!(code(Call::get(LETTERS)).await, "database_slow");
    drop(database_proxy);
    assert_eq!(code(Call::get(LETTERS)).await, "database_unavailable");
    assert_eq!(code(replay()).await, "database_unavailable");
    assert_eq!(open(&platform).await, 1);
}

/// `host:port` of a URL.
fn address(url: &str) -> String {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_database_that_is_locked_or_not_migrated_is_a_problem_and_soon() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = without_workers(&platform).await;
    let lock = platform.database.connect().await;
    lock.batch_execute("BEGIN; LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let reply = supervisor.socket(Call::get(LETTERS)).await.unwrap();
    assert_eq!(reply.expect_status(503).json::<Value>()["code"], "database_slow");
    lock.batch_execute("ROLLBACK; ALTER TABLE dead_letters RENAME TO moved").await.unwrap();
    let reply = supervisor.socket(Call::get(LETTERS)).await.unwrap();
    assert_eq!(reply.expect_status(503).json::<Value>()["code"], "schema_missing");
}

/// A supervisor whose tenants are all stopped: the queues are there, and nobody consumes.
pub(crate) async fn without_workers(platform: &Platform) -> Supervisor {
    let supervisor = Supervisor::start(&Setup::on(platform)).await;
    supervisor.control("stop", None).await;
    supervisor
        .until("no worker has a process", |status| {
            status.tenants.values().all(|tenant| tenant.workers.iter().all(|worker| worker.pid.is_none()))
                && !status.tenants.is_empty()
        })
        .await;
    supervisor
}
