//! A database that is slow or busy, though it is there.

use std::time::Duration;

use nix::sys::signal::Signal;
use system_tests::{
    Platform,
    broker::Depth,
    createmeta::{Shape, createmeta},
    platform::queue_of,
    worker::WorkerRun,
};

const RAWS: u64 = 20;

async fn submitted(platform: &Platform, raws_wanted: u64) -> Vec<i64> {
    let mut raws = Vec::new();
    for seed in 1..=raws_wanted {
        raws.push(platform.submit(1, &createmeta(seed, Shape::SMALL).document).await);
    }
    raws
}

/// Every row that is written to these tables takes so many seconds.
async fn slow_down(platform: &Platform, seconds: f64, tables: &[&str]) {
    let function = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END';"
    );
    let trigger = |table| format!("CREATE TRIGGER slow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION slow();");
    let script = function + &tables.iter().map(trigger).collect::<Vec<_>>().concat();
    platform.database.client().batch_execute(&script).await.expect("triggers can be made");
}

#[tokio::test]
async fn a_batch_that_takes_too_long_is_served_in_smaller_pieces() {
    let platform = Platform::with_tenants(&[1]).await;
    // Twenty rows in each of three tables: 1.4 s each, which no statement's limit ends, and 4.2 s together. The first batch holds
    // what has come by then, perhaps less; while it is at work so many come that the second is a whole one.
    slow_down(&platform, 0.07, &["projects", "wits", "projects_wits"]).await;
    let raws = submitted(&platform, 2 * RAWS).await;
    let mut arguments = vec!["--queue", "transform_queue_tenant_1", "--lock-timeout", "10ms"];
    arguments.extend(["--statement-timeout", "1750ms", "--batch", "20"]);
    let worker = WorkerRun::on(&platform).arguments(&arguments).start();
    platform.completed_within(&raws, Duration::from_mins(1)).await;
    let log = worker.log();
    assert!(log.contains("tried one by one") && log.contains("too much for one transaction"), "{log}");
    assert!(!log.contains("the database is away"), "{log}");
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}

#[tokio::test]
async fn term_does_not_wait_for_every_message_of_a_batch_behind_a_locked_table() {
    let platform = Platform::with_tenants(&[1]).await;
    let holder = platform.database.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE projects IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    submitted(&platform, RAWS).await;
    let arguments = ["--queue", &queue_of(1), "--lock-timeout", "1s"];
    let mut worker = WorkerRun::on(&platform).arguments(&arguments).start();
    platform.someone_waits_for_a_lock().await;

    worker.signal(Signal::SIGTERM);
    let status = worker.wait_within(Duration::from_secs(8)).await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    holder.batch_execute("ROLLBACK").await.expect("the lock can be given up");
    platform.broker.has(&queue_of(1), Depth { ready: u32::try_from(RAWS).unwrap(), consumers: 0 }).await;
    assert_eq!(platform.dead_letters().await, [], "nobody is to blame");
}
