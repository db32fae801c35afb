//! Raw rows whose message is missing are published again, once, and nobody else's are.

use std::time::Duration;

use lapin::{
    options::{BasicConsumeOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use nix::sys::signal::Signal;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    broker::Depth,
    createmeta::{Shape, createmeta},
    eventually, fleet,
    platform::{KIND, message, queue_of},
    processes,
    waiting::holds_for,
};

/// Several rounds.
const WHILE: Duration = Duration::from_secs(2);

/// Rounds follow each other fast; a row counts as lost after an hour, as by default.
fn setup(platform: &Platform) -> Setup {
    Setup::on(platform).set("reconcile", "every", "\"100ms\"")
}

/// Stores a raw row as an extraction would have some time ago, without a message.
async fn lost(platform: &Platform, tenant: i64, seed: u64, age: &str) -> i64 {
    let row = platform.add_raw(tenant, KIND, &createmeta(seed, Shape::SMALL).document).await;
    let update = format!("UPDATE raw_extraction_data SET created_at = now() - interval '{age}' WHERE id = $1");
    platform.database.client().execute(&update, &[&row]).await.expect("a row can be made older");
    row
}

async fn reconciled(platform: &Platform) -> Vec<i64> {
    let rows = platform.database.client().query("SELECT raw_data_id FROM reconciliations ORDER BY 1", &[]).await;
    rows.expect("notes can be read").iter().map(|row| row.get(0)).collect()
}

/// The message is in the queue, and may be done, before the note of it is committed.
#[track_caller]
fn notes(platform: &Platform, expected: &[i64]) -> impl Future<Output = ()> {
    eventually("the published rows are noted", SOON, async move || match reconciled(platform).await {
        rows if rows == expected => Ok(()),
        rows => Err(format!("{rows:?}, not {expected:?}")),
    })
}

async fn stopped(supervisor: &Supervisor, tenant: i64) {
    supervisor.control("stop", Some(tenant)).await;
    supervisor
        .until("its worker has no process", |status| {
            fleet::worker(status, tenant).is_some_and(|worker| worker.pid.is_none())
        })
        .await;
}

#[tokio::test]
async fn a_producer_that_died_between_insert_and_publish_is_completed() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let old = [lost(&platform, 1, 1, "2 hours").await, lost(&platform, 1, 2, "3 days").await];
    let young = lost(&platform, 1, 3, "10 minutes").await;
    let other = lost(&platform, 2, 4, "2 hours").await;
    // A tenant that is none has no say, whatever its rows say.
    platform.add_tenant(3).await;
    platform.set_active(3, false).await;
    let nobodys = lost(&platform, 3, 5, "2 hours").await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    platform.completed(&[old[0], old[1], other]).await;
    notes(&platform, &[old[0], old[1], other]).await;
    for row in [young, nobodys] {
        assert_eq!(platform.raw(row).await.status, "pending");
    }
    supervisor.until("the status counts them", |status| status.supervisor.republished_messages == 3).await;
    assert!(supervisor.log().contains("published again, once"), "a line for each tenant in the log");
}

#[tokio::test]
async fn a_row_whose_message_waits_in_the_queue_is_left_alone() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    supervisor.until_running(&[1]).await;
    stopped(&supervisor, 1).await;
    // Older only when its message is there: a round between the two would rightly publish it.
    let row = lost(&platform, 1, 1, "10 minutes").await;
    platform.publish(&queue_of(1), &message(1, row)).await;
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    let old = "UPDATE raw_extraction_data SET created_at = now() - interval '2 hours'";
    platform.database.client().execute(old, &[]).await.unwrap();
    holds_for("one message, and no second one", WHILE, async || {
        match (platform.broker.depth(&queue_of(1)).await, reconciled(&platform).await.len()) {
            (Some(Depth { ready: 1, .. }), 0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    supervisor.control("start", Some(1)).await;
    platform.completed(&[row]).await;
}

#[tokio::test]
async fn a_row_whose_message_a_worker_holds_is_left_alone() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    supervisor.until_running(&[1]).await;
    // A neighbour is held in the middle of its transformation, and the row's message waits behind it in the worker's hands.
    let neighbour = lost(&platform, 1, 2, "10 minutes").await;
    let lock = platform.hold_raw(neighbour).await;
    platform.publish(&queue_of(1), &message(1, neighbour)).await;
    platform.someone_waits_for_a_lock().await;
    let row = lost(&platform, 1, 1, "2 hours").await;
    platform.publish(&queue_of(1), &message(1, row)).await;
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;
    holds_for("nothing is published again", WHILE, async || match reconciled(&platform).await {
        none if none.is_empty() => Ok(()),
        some => Err(format!("{some:?}")),
    })
    .await;
    drop(lock);
    platform.completed(&[row, neighbour]).await;
    assert!(reconciled(&platform).await.is_empty());
}

#[tokio::test]
async fn a_row_whose_message_a_stopped_process_has_not_seen_is_left_alone() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    let pid = fleet::pids(&supervisor.until_running(&[1]).await, &[1])[0];
    // The broker pushes the message into the socket of a process that does not read it.
    processes::signal(pid, Signal::SIGSTOP);
    let row = lost(&platform, 1, 1, "10 minutes").await;
    platform.publish(&queue_of(1), &message(1, row)).await;
    eventually("the message has left the queue", SOON, async || match platform.broker.depth(&queue_of(1)).await {
        Some(Depth { ready: 0, consumers: 1 }) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let old = "UPDATE raw_extraction_data SET created_at = now() - interval '2 hours'";
    platform.database.client().execute(old, &[]).await.unwrap();
    holds_for("nothing is published again", WHILE, async || match reconciled(&platform).await {
        none if none.is_empty() => Ok(()),
        some => Err(format!("{some:?}")),
    })
    .await;
    processes::signal(pid, Signal::SIGCONT);
    platform.completed(&[row]).await;
    assert!(reconciled(&platform).await.is_empty());
}

#[tokio::test]
async fn nothing_is_published_a_second_time_and_doctor_shows_what_is_stuck() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    supervisor.until_running(&[1]).await;
    stopped(&supervisor, 1).await;
    let row = lost(&platform, 1, 1, "2 hours").await;
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    // The second message is lost too: somebody empties the queue.
    let taken = platform.broker.take(&queue_of(1)).await.expect("the message that was published again");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&taken).unwrap(), message(1, row));
    holds_for("the queue stays empty", WHILE, async || match platform.broker.depth(&queue_of(1)).await {
        Some(Depth { ready: 0, .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(platform.raw(row).await.status, "pending");

    let shown = supervisor.cli(&["doctor"]).await.stdout;
    assert!(shown.contains("tenant 1: 1 pending for longer than 1h, 1 published again, 0 stuck, 0 failed"), "{shown}");
    let older = "UPDATE reconciliations SET published_at = now() - interval '2 hours'";
    platform.database.client().execute(older, &[]).await.unwrap();
    let shown = supervisor.cli(&["doctor"]).await.stdout;
    assert!(shown.contains("1 published again, 1 stuck, 0 failed"), "{shown}");
}

#[tokio::test]
async fn a_message_that_is_suspected_of_ending_processes_is_left_to_people() {
    let platform = Platform::with_tenants(&[1]).await;
    let (poison, other) = (lost(&platform, 1, 1, "2 hours").await, lost(&platform, 1, 2, "2 hours").await);
    let insert = "INSERT INTO dead_letters (tenant_id, queue, body, reason, detail, exit_report, discarded_at)
                  VALUES (1, $1, $2, 'poison', 'made by a test', '{\"verdict\": \"OOM\"}', now())";
    let body = message(1, poison).to_string().into_bytes();
    platform.database.client().execute(insert, &[&queue_of(1), &body]).await.unwrap();
    let _supervisor = Supervisor::start(&setup(&platform)).await;
    platform.completed(&[other]).await;
    notes(&platform, &[other]).await;
    holds_for("the other one stays as it is", WHILE, async || match reconciled(&platform).await {
        rows if rows == [other] => Ok(()),
        rows => Err(format!("{rows:?}")),
    })
    .await;
}

#[tokio::test]
async fn nobody_is_published_for_after_a_single_look() {
    let platform = Platform::with_tenants(&[1]).await;
    let row = lost(&platform, 1, 1, "2 hours").await;
    let client = platform.database.client();
    client.batch_execute("CREATE TABLE began AS SELECT clock_timestamp() AS at").await.unwrap();
    let _supervisor = Supervisor::start(&setup(&platform).set("reconcile", "every", "\"1s\"")).await;
    platform.completed(&[row]).await;
    notes(&platform, &[row]).await;
    // The first look is one second after the start, the second one two.
    let select = "SELECT EXTRACT(epoch FROM published_at - at)::float8 FROM reconciliations, began";
    let seconds: f64 = client.query_one(select, &[]).await.unwrap().get(0);
    assert!(seconds >= 1.9, "published {seconds} s after the start");
}

#[tokio::test]
async fn killed_between_publishing_and_commit_it_doubles_nothing() {
    let platform = Platform::with_tenants(&[1]).await;
    let row = lost(&platform, 1, 1, "2 hours").await;
    let client = platform.database.client();
    // Runs when the commit begins.
    let hold = "CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
                BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER held AFTER INSERT ON reconciliations
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held();
                SELECT pg_advisory_lock(4711)";
    client.batch_execute(hold).await.unwrap();
    let mut supervisor = Supervisor::start(&setup(&platform)).await;
    platform.someone_waits_for_a_lock().await;
    supervisor.kill_brain();
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etl-supervisor reconcile'
               AND datname = current_database()";
    platform.database.connect_as_admin().await.execute(end, &[]).await.unwrap();
    // The message was in the queue: a worker that outlives the brain, or the next one, has done it.
    supervisor.start_brain().await;
    platform.completed(&[row]).await;
    client.batch_execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
    let versions = platform.versions().await;
    holds_for("nothing happens any more", WHILE, async || match reconciled(&platform).await {
        none if none.is_empty() && platform.versions().await == versions => Ok(()),
        some => Err(format!("{some:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_refuses_stops_nobody_elses_rows() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let channel = platform.broker.connect().await.create_channel().await.unwrap();
    channel.queue_delete(queue_of(1).into(), QueueDeleteOptions::default()).await.unwrap();
    let (nothing, refuse) = (AMQPValue::LongInt(0), AMQPValue::LongString("reject-publish".into()));
    platform.broker.declare_with(&queue_of(1), &[("x-max-length", nothing), ("x-overflow", refuse)]).await;
    let rows = [lost(&platform, 1, 1, "2 hours").await, lost(&platform, 2, 2, "2 hours").await];
    let supervisor = Supervisor::start(&setup(&platform)).await;
    platform.completed(&rows[1..]).await;
    notes(&platform, &rows[1..]).await;
    assert_eq!(platform.raw(rows[0]).await.status, "pending");
    let log = supervisor.log();
    assert!(log.contains("negative confirm"), "the log says why nothing came of it: {log}");
}

#[tokio::test]
async fn while_the_queue_of_all_tenants_is_in_use_rows_are_left_alone_and_the_log_says_so_once() {
    let platform = Platform::with_tenants(&[1]).await;
    platform.broker.declare("transform_queue").await;
    // Nothing is ready, and what its consumer holds nobody knows.
    let connection = platform.broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let consume = channel.basic_consume(
        "transform_queue".into(),
        "test".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let consumer = consume.await.unwrap();
    let row = lost(&platform, 1, 1, "2 hours").await;
    let supervisor = Supervisor::start(&setup(&platform)).await;
    supervisor.until_running(&[1]).await;
    holds_for("the row stays as it is", WHILE, async || match platform.raw(row).await.status {
        status if status == "pending" => Ok(()),
        status => Err(status),
    })
    .await;
    assert_eq!(supervisor.log().matches("the queue of all tenants has").count(), 1, "{}", supervisor.log());
    drop(consumer);
    connection.close(200, "done".into()).await.unwrap();
    platform.completed(&[row]).await;
}

#[tokio::test]
async fn switched_off_it_publishes_nothing() {
    let platform = Platform::with_tenants(&[1]).await;
    let row = lost(&platform, 1, 1, "2 hours").await;
    let supervisor = Supervisor::start(&setup(&platform).set("reconcile", "after", "\"off\"")).await;
    supervisor.until_running(&[1]).await;
    holds_for("the row stays as it is", WHILE, async || match platform.raw(row).await.status {
        status if status == "pending" => Ok(()),
        status => Err(status),
    })
    .await;
    let shown = supervisor.cli(&["doctor"]).await.stdout;
    assert!(shown.contains("reconciliation is switched off"), "{shown}");
}

#[tokio::test]
async fn many_lost_rows_are_published_in_rounds_of_the_limit() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut rows = Vec::new();
    for seed in 1..=250 {
        rows.push(lost(&platform, 1, seed, "2 hours").await);
    }
    let supervisor = Supervisor::start(&setup(&platform).set("reconcile", "limit", "120")).await;
    platform.completed_within(&rows, Duration::from_mins(1)).await;
    notes(&platform, &rows).await;
    let select = "SELECT max(n) FROM (SELECT count(*) AS n FROM reconciliations GROUP BY published_at) AS t";
    let largest: i64 = platform.database.client().query_one(select, &[]).await.unwrap().get(0);
    assert!(largest <= 100, "{largest} rows in one transaction");
    supervisor.until("each is counted once", |status| status.supervisor.republished_messages == 250).await;
}
