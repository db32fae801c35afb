//! Signals to a worker that has a message in hand.

use std::time::Duration;

use nix::sys::signal::Signal;
use system_tests::{
    Platform,
    broker::Depth,
    createmeta::{Shape, createmeta},
    platform::{Counts, KIND, message, queue_of},
    processes,
    waiting::holds_for,
    worker::Worker,
};
use tokio_postgres::Client;

/// The worker of tenant 1 with one message in hand, held at its raw row for as long as the client's transaction is open.
async fn in_hand() -> (Platform, Worker, Client, i64) {
    let platform = Platform::with_tenants(&[1]).await;
    let worker = Worker::of_tenant(&platform, 1);
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;
    let raw = platform.add_raw(1, KIND, &createmeta(1, Shape::SMALL).document).await;
    let holder = platform.hold_raw(raw).await;
    platform.publish(&queue_of(1), &message(1, raw)).await;
    platform.someone_waits_for_a_lock().await;
    (platform, worker, holder, raw)
}

#[tokio::test]
async fn term_finishes_what_is_in_hand_and_takes_nothing_new() {
    let (platform, mut worker, holder, raw) = in_hand().await;
    worker.signal(Signal::SIGTERM);
    let late = platform.submit(1, &createmeta(2, Shape::SMALL).document).await;
    assert!(processes::alive(worker.pid()), "it must not leave its message: {}", worker.log());
    holder.batch_execute("ROLLBACK").await.unwrap();

    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{status:?}\n{}", worker.log());
    assert_eq!(platform.raw(raw).await.status, "completed");
    assert_eq!(platform.raw(late).await.status, "pending", "published after TERM");
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
}

#[tokio::test]
async fn quit_leaves_at_once_and_the_message_goes_back() {
    let (platform, mut worker, holder, raw) = in_hand().await;
    worker.signal(Signal::SIGQUIT);
    worker.wait_within(Duration::from_secs(5)).await;
    holder.batch_execute("ROLLBACK").await.unwrap();

    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    assert_eq!(platform.raw(raw).await.status, "pending");
    assert_eq!(platform.counts(1).await, Counts::default());
}

#[tokio::test]
async fn tstp_takes_no_new_messages_until_cont() {
    let platform = Platform::with_tenants(&[1]).await;
    let worker = Worker::of_tenant(&platform, 1);
    let first = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.completed(&[first]).await;

    worker.signal(Signal::SIGTSTP);
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 0 }).await;
    let second = platform.submit(1, &createmeta(2, Shape::SMALL).document).await;
    holds_for("a paused worker leaves the message alone", Duration::from_millis(700), async || {
        let row = platform.raw(second).await;
        if row.status == "pending" { Ok(()) } else { Err(format!("{row:?}")) }
    })
    .await;
    assert!(processes::alive(worker.pid()), "a paused worker lives on");

    worker.signal(Signal::SIGCONT);
    platform.completed(&[second]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}

#[tokio::test]
async fn usr1_switches_debug_lines_on_and_off() {
    let platform = Platform::with_tenants(&[1]).await;
    let worker = Worker::of_tenant(&platform, 1);
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;
    let debug_lines = || worker.log().lines().filter(|line| line.contains("DEBUG")).count();
    assert_eq!(debug_lines(), 0, "{}", worker.log());

    worker.signal(Signal::SIGUSR1);
    let mut seed = 0;
    system_tests::eventually("a message leaves debug lines", system_tests::SOON, async || {
        seed += 1;
        let raw = platform.submit(1, &createmeta(seed, Shape::SMALL).document).await;
        platform.completed(&[raw]).await;
        if debug_lines() > 0 { Ok(()) } else { Err(worker.log()) }
    })
    .await;
    worker.drain().await;
}
