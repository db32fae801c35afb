//! A worker that dies in the worst moments: nothing is lost, nothing is done twice, nothing is half done.

use nix::sys::signal::Signal;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    broker::Depth,
    createmeta::{Createmeta, Shape, createmeta},
    eventually, fleet,
    platform::{Counts, KIND, message, queue_of},
    processes,
    proxy::Proxy,
    worker::{Worker, WorkerRun},
};

const ONE: Counts = Counts { projects: 1, wits: 1, projects_wits: 1, custom_fields: 2 };

fn small(seed: u64) -> Createmeta {
    createmeta(seed, Shape::SMALL)
}

/// The key of the first custom field of a document.
fn first_field(meta: &Createmeta) -> String {
    let fields = &meta.document["projects"][0]["issuetypes"][0]["fields"];
    let mut keys = fields.as_object().expect("fields are an object").keys();
    keys.find(|key| key.starts_with("customfield_")).expect("there is a custom field").clone()
}

#[tokio::test]
async fn killed_before_its_transaction_began_to_write() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.add_raw(1, KIND, &small(1).document).await;
    let holder = platform.hold_raw(raw).await;
    platform.publish(&queue_of(1), &message(1, raw)).await;
    let mut worker = Worker::of_tenant(&platform, 1);
    platform.someone_waits_for_a_lock().await;

    worker.kill();
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    drop(holder);
    assert_eq!(platform.raw(raw).await.status, "pending");
    assert_eq!(platform.counts(1).await, Counts::default());

    let successor = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    successor.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.counts(1).await, ONE);
}

#[tokio::test]
async fn killed_in_the_middle_of_its_transaction() {
    let platform = Platform::with_tenants(&[1]).await;
    let meta = small(1);
    // Fields are written after projects, types and relations: those stand in the worker's transaction when it dies.
    let holder = platform.hold_custom_field(1, &first_field(&meta)).await;
    let raw = platform.submit(1, &meta.document).await;
    let mut worker = Worker::of_tenant(&platform, 1);
    platform.someone_waits_for_a_lock().await;

    worker.kill();
    platform.broker.has(&queue_of(1), Depth { ready: 1, consumers: 0 }).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    drop(holder);
    // The server notices the dead client, and its transaction is rolled back.
    platform.sessions_are_gone(1).await;
    assert_eq!(platform.counts(1).await, Counts::default(), "nothing of the broken transaction is there");
    assert_eq!(platform.raw(raw).await.status, "pending");

    let successor = Worker::of_tenant(&platform, 1);
    platform.completed(&[raw]).await;
    successor.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.counts(1).await, ONE);
    assert_eq!(platform.dead_letters().await, []);
}

#[tokio::test]
async fn killed_between_commit_and_acknowledgement() {
    let platform = Platform::with_tenants(&[1]).await;
    let proxy = Proxy::to(&platform.broker.address());
    let through_the_proxy = platform.broker.url().replace(&platform.broker.address(), proxy.address());
    let run = WorkerRun::on(&platform).broker(Some(through_the_proxy)).arguments(&["--queue", &queue_of(1)]);
    let mut worker = run.start();
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;

    // Deliveries still arrive; acknowledgements do not get out any more.
    proxy.hold_what_clients_send();
    let raws = [platform.submit(1, &small(1).document).await, platform.submit(1, &small(2).document).await];
    platform.completed(&raws).await;
    worker.kill();
    proxy.cut();
    platform.broker.has(&queue_of(1), Depth { ready: 2, consumers: 0 }).await;
    let committed = platform.versions().await;

    let successor = Worker::of_tenant(&platform, 1);
    let next = platform.submit(1, &serde_json::json!({})).await;
    platform.completed(&[next]).await;
    successor.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.versions().await, committed, "the redelivered messages change nothing");
    assert_eq!(platform.counts(1).await, Counts { projects: 2, wits: 2, projects_wits: 2, custom_fields: 4 });
    assert_eq!(platform.dead_letters().await, []);
}

#[tokio::test]
async fn the_broker_connection_breaks_between_commit_and_acknowledgement() {
    let platform = Platform::with_tenants(&[1]).await;
    let proxy = Proxy::to(&platform.broker.address());
    let through_the_proxy = platform.broker.url().replace(&platform.broker.address(), proxy.address());
    let run = WorkerRun::on(&platform).broker(Some(through_the_proxy)).arguments(&["--queue", &queue_of(1)]);
    let worker = run.start();
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;

    proxy.hold_what_clients_send();
    let raw = platform.submit(1, &small(1).document).await;
    platform.completed(&[raw]).await;
    proxy.cut();

    // The worker lives, connects again by itself, and acknowledges what comes a second time.
    let next = platform.submit(1, &small(2).document).await;
    platform.completed(&[next]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.counts(1).await, Counts { projects: 2, wits: 2, projects_wits: 2, custom_fields: 4 });
}

#[tokio::test]
async fn the_server_ends_the_workers_database_session_in_the_middle_of_a_transaction() {
    let platform = Platform::with_tenants(&[1]).await;
    let meta = small(1);
    let holder = platform.hold_custom_field(1, &first_field(&meta)).await;
    let raw = platform.submit(1, &meta.document).await;
    let worker = Worker::of_tenant(&platform, 1);
    platform.someone_waits_for_a_lock().await;

    let admin = platform.database.connect_as_admin().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    admin.execute(end, &[]).await.unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();

    platform.completed(&[raw]).await;
    let undisturbed = platform.submit(1, &small(1).document).await;
    platform.completed(&[undisturbed]).await;
    let attempts = [platform.raw(raw).await.attempts, platform.raw(undisturbed).await.attempts];
    assert_eq!(attempts[0], attempts[1], "an outage of the database is no attempt");
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.counts(1).await, ONE);
}

#[tokio::test]
async fn killed_again_and_again_under_load_by_hand() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut raws = Vec::new();
    for seed in 1..=120 {
        raws.push(platform.submit(1, &small(seed).document).await);
    }
    // Each one dies after some more of the work, in whatever it is doing.
    for done in [5, 20, 40, 60, 90] {
        let mut worker = Worker::of_tenant(&platform, 1);
        eventually(format!("{done} raw rows are completed"), SOON, async || match completed(&platform).await {
            count if count >= done => Ok(()),
            count => Err(format!("{count}; the worker's log: {}", worker.log())),
        })
        .await;
        worker.kill();
    }
    let last = Worker::of_tenant(&platform, 1);
    raws.push(platform.submit(1, &serde_json::json!({})).await);
    platform.completed(&raws).await;
    last.drain().await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.dead_letters().await, [], "a dying worker must not take innocent messages with it");
    assert_eq!(platform.counts(1).await, Counts { projects: 120, wits: 120, projects_wits: 120, custom_fields: 240 });
}

#[tokio::test]
async fn killed_again_and_again_under_a_supervisor() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let setup = Setup::on(&platform).set("restart", "max_restarts", "1000");
    let supervisor = Supervisor::start(&setup).await;
    let mut pid = fleet::pid(&supervisor.until_running(&[1, 2]).await, 1).expect("a RUNNING worker has a process");
    let neighbour = fleet::pid(&supervisor.status().await.unwrap(), 2);
    let mut raws = Vec::new();
    for round in 0..8 {
        for number in 0..15 {
            raws.push(platform.submit(1, &small(1 + round * 15 + number).document).await);
        }
        processes::signal(pid, Signal::SIGKILL);
        let status = supervisor
            .until("a killed worker is replaced", |status| {
                fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(pid)
            })
            .await;
        pid = fleet::pid(&status, 1).expect("a RUNNING worker has a process");
    }
    platform.completed(&raws).await;
    assert_eq!(platform.counts(1).await, Counts { projects: 120, wits: 120, projects_wits: 120, custom_fields: 240 });
    assert_eq!(platform.dead_letters().await, []);
    let status = supervisor.status().await.unwrap();
    assert_eq!(fleet::last_verdict(&status, 1), "CRASH(SIGKILL)");
    assert_eq!(fleet::pid(&status, 2), neighbour, "the neighbour has not noticed anything");
    supervisor.control("stop", None).await;
    supervisor.until("everybody is stopped", |status| !status.running).await;
    platform.broker.settled(&queue_of(1)).await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_by_the_system_for_a_while_finishes_its_message() {
    let platform = Platform::with_tenants(&[1]).await;
    let worker = Worker::of_tenant(&platform, 1);
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;
    worker.signal(Signal::SIGSTOP);
    let raw = platform.submit(1, &small(1).document).await;
    platform.broker.has(&queue_of(1), Depth { ready: 0, consumers: 1 }).await;
    worker.signal(Signal::SIGCONT);
    platform.completed(&[raw]).await;
    worker.drain().await;
    platform.broker.settled(&queue_of(1)).await;
}

async fn completed(platform: &Platform) -> i64 {
    let select = "SELECT count(*) FROM raw_extraction_data WHERE status = 'completed'";
    platform.database.client().query_one(select, &[]).await.expect("raw rows can be counted").get(0)
}
